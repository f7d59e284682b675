"""The kinds of VPN that are measured: each with a server of the lab, and what the gateway is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.peers.base import first_line
from tests.e2e.managed import Access
from tests.lab.charon import PROGRAM as CHARON
from tests.lab.server import Server
from tests.lab.servers.ipsec import IpsecServer
from tests.lab.servers.openvpn import Login, OpenVpnServer
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site
from tests.lab.vpn import Workshop

# The data channel of the customer's sample server, which a client that offers AES-256-GCM never gets to see: OpenVPN
# 2.6 negotiates. The sample's compression is left out, since the load's bytes would shrink to nothing.
_CBC = ("data-ciphers AES-256-CBC", "auth SHA256")


class Reachable(Server, Protocol):
    """A server that says what a client needs to get in."""

    @property
    def access(self) -> Access: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. `further` are lines of the `[[tunnel]]` beside those that the server's access makes."""

    name: str
    what: str
    version: Callable[[], str]
    server: Callable[[Workshop, Site], Reachable]
    further: tuple[str, ...] = ()


def _openvpn_version() -> str:
    return " ".join(first_line(["/usr/sbin/openvpn", "--version"]).split()[:2])


KINDS = (
    Kind(
        name="openvpn-gcm",
        what="OpenVPN over UDP, AES-256-GCM",
        version=_openvpn_version,
        server=lambda workshop, site: OpenVpnServer(workshop, site, login=Login.PASSWORD),
    ),
    Kind(
        name="openvpn-cbc",
        what="OpenVPN over UDP, AES-256-CBC with SHA256, as the sample server has it",
        version=_openvpn_version,
        server=lambda workshop, site: OpenVpnServer(workshop, site, login=Login.PASSWORD, options=_CBC),
        further=('ciphers = ["AES-256-CBC"]', 'options = ["auth SHA256"]'),
    ),
    Kind(
        name="ipsec",
        what="IPsec with IKEv2, ESP in user space (kernel-libipsec)",
        version=lambda: first_line([CHARON, "--version"]),
        server=IpsecServer,
        further=('esp = "userspace"',),
    ),
    Kind(
        name="wireguard",
        what="WireGuard in user space (wireguard-go)",
        version=lambda: first_line(["wireguard-go", "--version"]),
        server=WireGuardServer,
    ),
)
