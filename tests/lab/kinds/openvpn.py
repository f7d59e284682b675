"""OpenVPN: a server at a site, and a client in the cloud on a device made beforehand.

The device is persistent: when the client is killed it keeps its index and address, and loses its carrier, which is
what the kernel reports of a real tunnel whose client dies. The client installs no routes. It reconnects
by itself: `management-hold` would hold it again at every restart until somebody releases it.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from tests.lab.errors import LabError
from tests.lab.management import Management
from tests.lab.names import Role
from tests.lab.pki import CLIENT
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.vpn import Workshop

_CONNECT = 10.0  # seconds
_CIPHERS = "AES-256-GCM:CHACHA20-POLY1305"


class Login(StrEnum):
    """How the client proves who it is. Each has a server, and with it a pool of addresses, of its own."""

    CERTIFICATE = "certificate"
    PASSWORD = "password"

    @property
    def number(self) -> int:
        return 1 + list(Login).index(self)

    @property
    def port(self) -> int:
        return 1193 + self.number


class OpenVpn:
    """A `vpn.Vpn`. `ping` and `ping_restart` (seconds) are what the server pushes: how soon silence is noticed."""

    def __init__(
        self,
        workshop: Workshop,
        site: Site,
        *,
        login: Login = Login.CERTIFICATE,
        ping: int = 2,
        ping_restart: int = 8,
    ) -> None:
        self._workshop = workshop
        self._login = login
        self._keepalive = f"keepalive {ping} {ping_restart}"
        self.site = site
        self.device = f"tun-{site}"
        self.server = f"openvpn-server-{site}"
        self.client = f"openvpn-client-{site}"

    @property
    def address(self) -> str:
        link = self._workshop.cloud.link(self.device)
        if link is None or not link.addresses:
            raise LabError(f"{self.device} has no address")
        return link.addresses[0].partition("/")[0]

    def start(self) -> None:
        self._spawn(self.server, self._server_options(), self.site.role)
        self._wait_connected(self.server)  # a client that comes too early waits a second before it tries again
        self._make_device()
        self._spawn(self.client, self._client_options(), Role.CLOUD)

    def wait_ready(self) -> None:
        self._wait_connected(self.client)
        self._workshop.routes.plain(self.site, self.device)

    def restart(self, process: str) -> None:
        if process == self.client:
            self._workshop.processes.kill(process)
            self._make_device()
        self._workshop.processes.restart(process)
        if process == self.client:
            self.wait_ready()
        else:
            self._wait_connected(process)

    def _make_device(self) -> None:
        if self._workshop.cloud.link(self.device) is None:
            self._workshop.cloud.ip(f"tuntap add dev {self.device} mode tun")

    def _spawn(self, name: str, options: list[str], role: Role) -> None:
        directory = self._workshop.directory
        common = [
            *("dev-type tun", "proto udp4", "persist-key", "persist-tun", "disable-dco", "verb 3"),
            f"data-ciphers {_CIPHERS}",
            f"ca {self._workshop.pki.ca}",
            f"tls-crypt {self._workshop.pki.tls_crypt}",
            f"management {self._socket(name)} unix",
        ]
        path = directory.conf / f"{name}.conf"
        path.write_text("\n".join([*common, *options, ""]))
        self._workshop.processes.spawn(name, ["openvpn", "--config", str(path)], self._workshop.spaces[role])

    def _server_options(self) -> list[str]:
        pki, role = self._workshop.pki, str(self.site.role)
        network = IPv4Network(CORP_NETWORK)
        options = [
            f"dev tun{self._login.number}",
            f"local {self.site.far}",
            f"port {self._login.port}",
            "topology subnet",
            f"server {self.site.pool(self._login.number)}.0 255.255.255.0",
            f'push "route {network.network_address} {network.netmask}"',
            f"cert {pki.certificate(role)}",
            f"key {pki.key(role)}",
            "dh none",
            self._keepalive,
            "explicit-exit-notify 1",
        ]
        match self._login:
            case Login.CERTIFICATE:
                return [*options, "remote-cert-tls client"]
            case Login.PASSWORD:
                check = Path(__file__).parent.with_name("openvpn_login.py")
                return [
                    *options,
                    "verify-client-cert none",
                    "username-as-common-name",
                    "script-security 2",
                    f'auth-user-pass-verify "{sys.executable} -I {check} {pki.users}" via-file',
                ]

    def _client_options(self) -> list[str]:
        pki = self._workshop.pki
        options = [
            "client",
            f"dev {self.device}",
            f"remote {self.site.far} {self._login.port}",
            "nobind",
            "remote-cert-tls server",
            f"verify-x509-name {self.site.role} name",
            "route-noexec",
            'pull-filter ignore "redirect-gateway"',
            'pull-filter ignore "dhcp-option"',
            "connect-retry 1 4",
            "server-poll-timeout 4",
            "hand-window 8",
        ]
        match self._login:
            case Login.CERTIFICATE:
                return [*options, f"cert {pki.certificate(CLIENT)}", f"key {pki.key(CLIENT)}"]
            case Login.PASSWORD:
                return [*options, f"auth-user-pass {pki.login}"]

    def _socket(self, name: str) -> Path:
        return self._workshop.directory.sock / name

    def _wait_connected(self, name: str) -> None:
        try:
            with Management(self._socket(name)) as management:
                management.wait_connected(_CONNECT)
        except (LabError, OSError) as error:
            raise LabError(f"{name}: {error}\n{self._workshop.processes.log(name)}") from error


def vpn(workshop: Workshop, site: Site) -> OpenVpn:
    """The kind `openvpn`: with certificates, and with a client that notices silence after 8 s."""
    return OpenVpn(workshop, site)
