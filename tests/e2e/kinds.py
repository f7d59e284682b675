"""A tunnel of each kind side by side, all of them brought up by the gateway itself: OpenVPN, IPsec, WireGuard.

    with servers(lab) as running:
        text = configuration(lab, tmp_path, *entries(running), *FORWARDS)
        async with GatewayProcess(lab, tmp_path, text) as gateway:
            await connected(gateway, *TUNNELS)

Each kind has a site of its own, and a port of the gateway's behind which is the page by this tunnel alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from enum import Enum

from tests.e2e.failover import forward, zone
from tests.e2e.managed import tunnel
from tests.lab.lab import Lab
from tests.lab.servers.ipsec import IpsecServer
from tests.lab.servers.openvpn import OpenVpnServer
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site

ManagedServer = OpenVpnServer | IpsecServer | WireGuardServer


class Kind(Enum):
    """A kind of tunnel, the site that it leads to, and the program that the gateway starts for it."""

    OPENVPN = ("openvpn", Site.A, "openvpn")
    IPSEC = ("ipsec", Site.B, "charon")
    WIREGUARD = ("wireguard", Site.C, "wireguard-go")

    def __init__(self, word: str, site: Site, program: str) -> None:
        self.word = word
        self.site = site
        self.program = program

    def __str__(self) -> str:
        return self.word

    @property
    def port(self) -> int:
        """The gateway's port of the company's page, through this tunnel alone."""
        return 33000 + self.site.number

    @property
    def tunnel(self) -> str:
        """Its name in the configuration, and its device's."""
        return zone(self.site)


TUNNELS = tuple(kind.tunnel for kind in Kind)
FORWARDS = tuple(forward(f"hello-{kind}", kind.port, 8080, f'tunnels = ["{kind.tunnel}"]') for kind in Kind)


@contextmanager
def servers(lab: Lab) -> Iterator[Mapping[Kind, ManagedServer]]:
    """A server of each kind, each at its site, while the context lasts."""
    with ExitStack() as stack:
        yield {
            Kind.OPENVPN: stack.enter_context(lab.serving(OpenVpnServer(lab.workshop, Kind.OPENVPN.site))),
            Kind.IPSEC: stack.enter_context(lab.serving(IpsecServer(lab.workshop, Kind.IPSEC.site))),
            Kind.WIREGUARD: stack.enter_context(lab.serving(WireGuardServer(lab.workshop, Kind.WIREGUARD.site))),
        }


def entries(running: Mapping[Kind, ManagedServer], *further: str) -> list[str]:
    """A `[[tunnel]]` for each; `further` are lines of all of them, which may end with tables."""
    return [tunnel(kind.tunnel, running[kind].access, *further) for kind in Kind]
