"""What is said on the socket of a WireGuard implementation in user space. Pure: text to send, text that came.

The protocol is https://www.wireguard.com/xplatform/: an operation is lines `key=value`, closed by an empty one, and so
is its answer, whose last line is `errno=`. Keys are hexadecimal there, base64 everywhere else.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from typing import Final

from gateway.tunnels.wireguard.device import Address, Peering, Reading

GET: Final = "get=1\n\n"
"""Ask how everything stands. The answer holds the private key: `reading` is all of it that may be kept."""

FORGET: Final = "set=1\nreplace_peers=true\n\n"
"""Have no peer any more."""

END: Final = b"\n\n"
"""The end of an answer."""

_NANOSECOND: Final = 1e-9


class OrderRefusedError(Exception):
    """An operation was refused: the text is that of its error number."""


def begin(peering: Peering) -> str:
    """Have this peer and no other."""
    lines = [
        f"private_key={_hex(peering.private_key.reveal())}",
        "replace_peers=true",
        f"public_key={_hex(peering.public_key)}",
    ]
    if peering.preshared_key is not None:
        lines.append(f"preshared_key={_hex(peering.preshared_key.reveal())}")
    lines += [
        f"endpoint={peering.address}",
        "replace_allowed_ips=true",
        *(f"allowed_ip={network}" for network in peering.allowed_ips),
        f"persistent_keepalive_interval={peering.keepalive}",
    ]
    return _set(lines)


def move(public_key: str, address: Address) -> str:
    """The peer is at another address."""
    return _set([f"public_key={_hex(public_key)}", "update_only=true", f"endpoint={address}"])


def keep_alive(public_key: str, seconds: int) -> str:
    """Say something every so often; 0: never."""
    lines = [f"public_key={_hex(public_key)}", "update_only=true", f"persistent_keepalive_interval={seconds}"]
    return _set(lines)


def reading(answer: str) -> Reading:
    """The one peer of an answer, or one that was never heard of. Raises OrderRefusedError, ValueError."""
    values = dict(line.split("=", 1) for line in answer.splitlines() if line)
    number = int(values.get("errno", "0"))
    if number:
        raise OrderRefusedError(os.strerror(abs(number)))
    return Reading(
        handshake=int(values.get("last_handshake_time_sec", "0"))
        + int(values.get("last_handshake_time_nsec", "0")) * _NANOSECOND,
        transmitted=int(values.get("tx_bytes", "0")),
        received=int(values.get("rx_bytes", "0")),
    )


def _set(lines: Iterable[str]) -> str:
    return "\n".join(["set=1", *lines, "", ""])


def _hex(key: str) -> str:
    return base64.b64decode(key).hex()
