"""A TCP handshake, awaited, and what the kernel knows of it.

The kernel does the shaking; we only come by to look. So the moment of the answer and the round trip are its own
(tcp(7), TCP_INFO), and at the deadline its word counts: an established connection is an answer, however late we are.
"""

from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass
from typing import Final

from gateway.control.probes.patience import patience
from gateway.control.probes.readiness import writable

# struct tcp_info (linux/tcp.h): the state is its first byte; tcpi_rtt, in microseconds, follows 8 bytes and 15 words.
_STATE_AND_RTT: Final = struct.Struct("=B67xI")
_ESTABLISHED: Final = 1  # net/tcp_states.h
_CLOSE_WAIT: Final = 8  # it was established, and the other side has ended already
_CONNECTED: Final = frozenset({_ESTABLISHED, _CLOSE_WAIT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaken:
    """A connection that came about. `rtt` as the kernel measured it, seconds; None: it did not."""

    rtt: float | None


def shaken(sock: socket.socket) -> Shaken | None:
    """Whether `sock` has got its connection; None: not, or no more."""
    state, rtt = _STATE_AND_RTT.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _STATE_AND_RTT.size))
    return Shaken(rtt=rtt / 1e6 or None) if state in _CONNECTED else None


async def shake(sock: socket.socket, address: tuple[str, int], seconds: float) -> int:
    """Connect: 0, or the errno that stands for what came of it; ETIMEDOUT when nothing has after `seconds`."""
    code = sock.connect_ex(address)
    if code != errno.EINPROGRESS:
        return code
    try:
        async with patience(seconds):
            await writable(sock)
    except TimeoutError:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return code or (0 if shaken(sock) else errno.ETIMEDOUT)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def answered_at(sent_at: float, seen_at: float, rtt: float | None) -> float:
    """When the answer came to a question sent at `sent_at` that was seen at `seen_at`: one round trip later."""
    return seen_at if rtt is None else min(sent_at + rtt, seen_at)
