"""WireGuard: a server at a site, and a client in the cloud on a device made beforehand, as with OpenVPN.

It has no notion of being connected. The tunnel is ready when the two have shaken hands, which the client's keepalive
makes them do; a client that was started anew does so again with a server that knows of none.
"""

from __future__ import annotations

from tests.lab.names import Role
from tests.lab.servers.wireguard import WireGuardAccess, WireGuardServer
from tests.lab.topology import Site
from tests.lab.vpn import Vpn, Workshop
from tests.lab.waiting import wait_until
from tests.lab.wireguard_go import WireGuardGo

_HANDSHAKE = 10.0  # seconds; a second handshake is tried after five


class WireGuardClient:
    """A `vpn.Client`."""

    def __init__(self, workshop: Workshop, site: Site, access: WireGuardAccess) -> None:
        self._workshop = workshop
        self._access = access
        self.device = f"wg-{site}"
        self._wireguard = WireGuardGo(workshop, f"wireguard-client-{site}", Role.CLOUD, self.device)
        self.name = self._wireguard.name

    def start(self) -> None:
        self._wireguard.start()

    def wait_ready(self) -> None:
        self._wireguard.wait_ready()
        access = self._access
        self._wireguard.set(
            *("private-key", str(access.private_key), "peer", access.peer_public_key),
            *("endpoint", f"{access.host}:{access.port}", "allowed-ips", ",".join(access.allowed_ips)),
            *("persistent-keepalive", str(access.keepalive)),
            *(() if access.preshared_key is None else ("preshared-key", str(access.preshared_key))),
        )
        self._workshop.cloud.ip(f"addr replace {access.address} dev {self.device}", f"link set {self.device} up")
        wait_until(
            lambda: self._wireguard.last_handshake(access.peer_public_key) > 0,
            within=_HANDSHAKE,
            what=f"{self.name} has shaken hands",
            detail=lambda: self._workshop.processes.log(self.name),
        )

    def restart(self) -> None:
        self._wireguard.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        self._wireguard.stop()
        self._workshop.cloud.ip(f"link del {self.device}")


def vpn(workshop: Workshop, site: Site) -> Vpn:
    """The kind `wireguard`."""
    server = WireGuardServer(workshop, site)
    return Vpn(workshop, site, server, WireGuardClient(workshop, site, server.access))
