"""charon's configuration file: what it loads, where it listens, and how little of the host it touches. Pure.

Nothing in it is secret: those go over vici. Names and values are those of strongswan.conf(5), 5.9.8.

Routes are the gateway's. `install_routes = no` is enough for kernel ESP. kernel-libipsec installs one all the same, and
fails without, so it gets a table of its own, in which nobody looks: the rule that leads there is for packets with a
mark that nothing sets, and is taken away as soon as charon runs (`rules`). All charons share the table; what one of
them does to another's route there is of no consequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from gateway.model import IpsecAuth

TABLE: Final = 51_900
"""The routing table nobody looks in, its rule's priority, and the mark that the rule asks for."""

RETRANSMIT_TRIES: Final = 3
RETRANSMIT_TIMEOUT: Final = 1.0
RETRANSMIT_BASE: Final = 1.3
"""An unanswered message is sent again after 1.0, 1.3 and 1.7 s, and given up 2.2 s later: after 6.2 s in all."""

_CRYPTO: Final = "random nonce openssl! gcm aes pem pkcs1 pkcs8 x509 pubkey constraints revocation kdf hmac sha1 sha2"
_LOGINS: Final[Mapping[IpsecAuth, tuple[str, ...]]] = {
    IpsecAuth.MSCHAPV2: ("eap-identity!", "eap-mschapv2!"),
    IpsecAuth.TLS: ("eap-identity!", "eap-tls!"),
    IpsecAuth.PUBKEY: (),
}


class Encryption(Enum):
    """Who does ESP. The first plugin that can, does, so kernel-libipsec comes before kernel-netlink.

    It is critical (`!`): had it failed, the kernel would encrypt what matches, for every process of the host. With it,
    kernel-netlink is not, for it lacks a feature where the kernel has no ESP.
    """

    USERSPACE = ("kernel-libipsec!", "kernel-netlink")
    KERNEL = ("kernel-netlink!",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What differs between the daemons. `socket` is where it takes orders.

    `device` is where it puts the virtual IP: with kernel ESP the XFRM interface; its own tun device otherwise.
    """

    socket: Path
    auth: IpsecAuth
    encryption: Encryption
    device: str | None = None

    def text(self) -> str:
        """The file."""
        lines = [f"{key} = {_quoted(value)}" for key, value in self._general()]
        for section, pairs in self._sections().items():
            lines.append(section + " {")
            lines += [f"  {key} = {_quoted(value)}" for key, value in pairs.items()]
            lines.append("}" * (1 + section.count("{")))
        return "charon {\n" + "\n".join(lines) + "\n}\n"

    def _general(self) -> Iterator[tuple[str, str | int | float]]:
        plugins = (_CRYPTO, *self.encryption.value, "socket-default!", "vici!", *_LOGINS[self.auth])
        yield "load_modular", "no"
        yield "load", " ".join(plugins)
        yield "port", 0  # any that is free: every charon of the gateway has its own
        yield "port_nat_t", 0
        yield "install_routes", "no"
        yield "process_route", "no"  # other tunnels' routes come and go, and are not its business
        # Zero is the main table, and no rule: kernel ESP installs no routes.
        yield "routing_table", TABLE if self.encryption is Encryption.USERSPACE else 0
        yield "routing_table_prio", TABLE
        yield "retransmit_tries", RETRANSMIT_TRIES
        yield "retransmit_timeout", RETRANSMIT_TIMEOUT
        yield "retransmit_base", RETRANSMIT_BASE
        if self.device is not None:
            yield "install_virtual_ip_on", self.device

    def _sections(self) -> dict[str, dict[str, str | int]]:
        return {
            "plugins { vici": {"socket": f"unix://{self.socket}"},
            "plugins { kernel-netlink": {
                "fwmark": TABLE,
                "roam_events": "no",  # it would log in again when another tunnel's address changes
            },
            # The server may lie inside the networks behind it: no route of charon's has to keep its packets out.
            "plugins { kernel-libipsec": {"allow_peer_ts": "yes"},
            # Standard error, since it is not buffered; /dev/stdout cannot be opened where it is a socket.
            "filelog { stderr": {"default": 1},
        }


def _quoted(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
