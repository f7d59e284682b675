"""An OpenVPN server at a site. A site may have several: their numbers tell them apart.

The sample of a customer's server, in `samples`, is another one: this is what tests bend to their needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from tests.lab.authority import Identity
from tests.lab.errors import LabError
from tests.lab.management import Management
from tests.lab.pki import Account, Certified
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.vpn import Workshop

_CONNECT = 10.0  # seconds
_CHECK = Path(__file__).parent.with_name("openvpn_login.py")


class Login(StrEnum):
    """How a client proves who it is."""

    CERTIFICATE = "certificate"
    PASSWORD = "password"
    BOTH = "both"


class Transport(StrEnum):
    """What the tunnel's packets travel in."""

    UDP = "udp"
    TCP = "tcp"


class ControlKey(StrEnum):
    """What the control channel is wrapped in, with a key that both sides have."""

    TLS_CRYPT = "tls-crypt"
    TLS_AUTH = "tls-auth"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVpnAccess:
    """What a client needs; None for what this server does not ask for. `name` is what its certificate ought to say.

    With `tls_auth` the key direction is 0 at the server and 1 at the client. `options` are for clients that are told
    more than they are asked for: lines of OpenVPN's configuration.
    """

    host: str
    port: int
    ca: Path
    name: str
    transport: Transport = Transport.UDP
    account: Account | None = None
    identity: Identity | None = None
    tls_auth: Path | None = None
    tls_crypt: Path | None = None
    options: tuple[str, ...] = ()

    def profile(self) -> list[str]:
        """The lines of a client's configuration file, without a device."""
        lines = [
            "client",
            f"proto {_protocol(self.transport, server=False)}",
            f"remote {self.host} {self.port}",
            "nobind",
            f"ca {self.ca}",
            "remote-cert-tls server",
            f"verify-x509-name {self.name} name",
        ]
        if self.account is not None:
            lines.append(f"auth-user-pass {self.account.login}")
        if self.identity is not None:
            lines += [f"cert {self.identity.certificate}", f"key {self.identity.key}"]
        if self.tls_auth is not None:
            lines.append(f"tls-auth {self.tls_auth} 1")
        if self.tls_crypt is not None:
            lines.append(f"tls-crypt {self.tls_crypt}")
        return [*lines, *self.options]


class OpenVpnServer:
    """A `server.Server`. `number`, from 1 on, gives it a port (1194 on), a device and a pool of addresses of its own.

    `ping` and `ping_restart` (seconds) are what it pushes: how soon its clients notice silence. `options` are
    further lines of its configuration.
    """

    def __init__(
        self,
        workshop: Workshop,
        site: Site,
        *,
        number: int = 1,
        login: Login = Login.CERTIFICATE,
        transport: Transport = Transport.UDP,
        control_key: ControlKey = ControlKey.TLS_CRYPT,
        certified: Certified = Certified.RIGHT,
        ping: int = 2,
        ping_restart: int = 8,
        options: Sequence[str] = (),
    ) -> None:
        self._workshop = workshop
        self._site = site
        self._number = number
        self._login = login
        self._control_key = control_key
        self._identity = workshop.pki.server(site, certified)
        self._options = (f"keepalive {ping} {ping_restart}", *options)
        self.name = f"openvpn-server-{site}" if number == 1 else f"openvpn-server-{site}-{number}"
        self.pool = site.pool(number)
        pki = workshop.pki
        self.access = OpenVpnAccess(
            host=site.far,
            port=1193 + number,
            ca=pki.ca,
            name=site.role,
            transport=transport,
            account=None if login is Login.CERTIFICATE else pki.account,
            identity=None if login is Login.PASSWORD else pki.client(),
            tls_auth=pki.tls_auth if control_key is ControlKey.TLS_AUTH else None,
            tls_crypt=pki.tls_crypt if control_key is ControlKey.TLS_CRYPT else None,
        )

    def start(self) -> None:
        path = self._workshop.directory.conf / f"{self.name}.conf"
        path.write_text("\n".join([*self._configuration(), ""]))
        self._workshop.processes.spawn(
            self.name, ["openvpn", "--config", str(path)], self._workshop.spaces[self._site.role]
        )

    def wait_ready(self) -> None:
        wait_connected(self._workshop, self.name)

    def restart(self) -> None:
        self._workshop.processes.restart(self.name)
        self.wait_ready()

    def stop(self) -> None:
        self._workshop.processes.kill(self.name)

    def _configuration(self) -> list[str]:
        network = IPv4Network(CORP_NETWORK)
        lines = [
            *common(self._workshop, self.name),
            f"dev tun{self._number}",
            f"proto {_protocol(self.access.transport, server=True)}",
            f"local {self.access.host}",
            f"port {self.access.port}",
            "topology subnet",
            f"server {self.pool}.0 255.255.255.0",
            f'push "route {network.network_address} {network.netmask}"',
            f"ca {self._workshop.pki.ca}",
            f"cert {self._identity.certificate}",
            f"key {self._identity.key}",
            "dh none",
            *self._control_channel(),
            *self._login_options(),
            *self._options,
        ]
        if self.access.transport is Transport.UDP:
            lines.append("explicit-exit-notify 1")
        return lines

    def _control_channel(self) -> list[str]:
        match self._control_key:
            case ControlKey.TLS_CRYPT:
                return [f"tls-crypt {self._workshop.pki.tls_crypt}"]
            case ControlKey.TLS_AUTH:
                return [f"tls-auth {self._workshop.pki.tls_auth} 0"]
            case ControlKey.NONE:
                return []

    def _login_options(self) -> list[str]:
        password = [
            "username-as-common-name",
            "script-security 2",
            f'auth-user-pass-verify "{sys.executable} -I {_CHECK} {self._workshop.pki.users}" via-file',
        ]
        match self._login:
            case Login.CERTIFICATE:
                return ["remote-cert-tls client"]
            case Login.PASSWORD:
                return ["verify-client-cert none", *password]
            case Login.BOTH:
                return ["remote-cert-tls client", *password]


def common(workshop: Workshop, name: str) -> list[str]:
    """The lines that the lab's servers and clients have in common; `name` is the process."""
    return [
        *("dev-type tun", "persist-key", "persist-tun", "disable-dco", "verb 3"),
        "data-ciphers AES-256-GCM:CHACHA20-POLY1305",
        f"management {management_socket(workshop, name)} unix",
    ]


def management_socket(workshop: Workshop, name: str) -> Path:
    """Where the process called `name` takes orders."""
    return workshop.directory.sock / name


def wait_connected(workshop: Workshop, name: str) -> None:
    """Return when the process called `name`, a server or a client, is. Raises LabError with what it said."""
    try:
        with Management(management_socket(workshop, name)) as management:
            management.wait_connected(_CONNECT)
    except (LabError, OSError) as error:
        raise LabError(f"{name}: {error}\n{workshop.processes.log(name)}") from error


def _protocol(transport: Transport, *, server: bool) -> str:
    match transport:
        case Transport.UDP:
            return "udp4"
        case Transport.TCP:
            return "tcp4-server" if server else "tcp4-client"
