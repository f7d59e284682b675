"""OpenVPN: a server at a site, and a client in the cloud on a device made beforehand.

The device is persistent: when the client is killed it keeps its index and address, and loses its carrier, which is
what the kernel reports of a real tunnel whose client dies. The client installs no routes. It reconnects
by itself: `management-hold` would hold it again at every restart until somebody releases it.
"""

from __future__ import annotations

from tests.lab.servers.openvpn import OpenVpnAccess, OpenVpnServer, common, wait_connected
from tests.lab.topology import Site
from tests.lab.vpn import Vpn, Workshop


class OpenVpnClient:
    """A `vpn.Client`."""

    def __init__(self, workshop: Workshop, site: Site, access: OpenVpnAccess) -> None:
        self._workshop = workshop
        self._access = access
        self.name = f"openvpn-client-{site}"
        self.device = f"tun-{site}"

    def start(self) -> None:
        self._make_device()
        lines = [
            *common(self._workshop, self.name),
            *self._access.profile(),
            f"dev {self.device}",
            "route-noexec",
            'pull-filter ignore "redirect-gateway"',
            'pull-filter ignore "dhcp-option"',
            "connect-retry 1 4",
            "server-poll-timeout 4",
            "hand-window 8",
        ]
        path = self._workshop.directory.conf / f"{self.name}.conf"
        path.write_text("\n".join([*lines, ""]))
        self._workshop.processes.spawn(self.name, ["openvpn", "--config", str(path)], self._workshop.cloud)

    def wait_ready(self) -> None:
        wait_connected(self._workshop, self.name)

    def restart(self) -> None:
        self._workshop.processes.kill(self.name)
        self._make_device()
        self._workshop.processes.restart(self.name)
        self.wait_ready()

    def stop(self) -> None:
        self._workshop.processes.kill(self.name)
        self._workshop.cloud.ip(f"link del {self.device}")

    def _make_device(self) -> None:
        if self._workshop.cloud.link(self.device) is None:
            self._workshop.cloud.ip(f"tuntap add dev {self.device} mode tun")


def vpn(workshop: Workshop, site: Site) -> Vpn:
    """The kind `openvpn`: with certificates, and with a client that notices silence after 8 s."""
    server = OpenVpnServer(workshop, site)
    return Vpn(workshop, site, server, OpenVpnClient(workshop, site, server.access))
