"""IPsec: a server at a site, and a client in the cloud. ESP is done in user space: not every kernel has it.

The client's device is its process's own, and gone with it. The daemon names its devices `ipsec0`, `ipsec1` and so on,
and takes the first name that is free: each site is given a name for good by taking the lower ones away meanwhile.

Two daemons in one namespace stand in each other's way: the ports of IKE, and the routing table 220 with a rule that
catches everybody's packets. So a client has ports of its own, and a table that is asked for marked packets
only, of which there are none: the routes are the lab's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import vici

from tests.lab.charon import Charon
from tests.lab.errors import LabError
from tests.lab.names import Role
from tests.lab.netns import Namespace
from tests.lab.servers.ipsec import Auth, IpsecAccess, IpsecServer
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.vpn import Vpn, Workshop

_CONNECT = 10.0  # seconds
_IKE, _CHILD = "company", "network"
_FIRST_TABLE = 700  # a number that nobody else uses, for a table, its rule's priority, and its mark


class IpsecClient:
    """A `vpn.Client`. `dpd` (seconds) is how often it asks a silent server whether it is there."""

    def __init__(self, workshop: Workshop, site: Site, access: IpsecAccess, *, dpd: int = 2) -> None:
        self._workshop = workshop
        self._site = site
        self._access = access
        self._dpd = dpd
        table = _FIRST_TABLE + site.number
        settings = {
            "port": 0,
            "port_nat_t": 0,
            "routing_table": table,
            "routing_table_prio": table,
            "plugins.kernel-netlink.fwmark": table,
        }
        self._charon = Charon(workshop, f"ipsec-client-{site}", Role.CLOUD, settings)
        self.name = self._charon.name
        self.device = f"ipsec{site.number - 1}"

    def start(self) -> None:
        """Start it, with its device; it begins to connect in `wait_ready`."""
        with _taken(self._workshop.cloud, [f"ipsec{number}" for number in range(self._site.number - 1)]):
            self._charon.start()
            self._charon.wait_ready()
        if self._workshop.cloud.link(self.device) is None:
            raise LabError(f"{self.name} has no {self.device}\n{self._charon.log}")

    def wait_ready(self) -> None:
        try:
            with self._charon.session(_CONNECT) as session:
                self._load(session)
                for _ in session.initiate({"ike": _IKE, "child": _CHILD, "timeout": int(_CONNECT * 1000)}):
                    pass
        except (vici.exception.CommandException, OSError) as error:
            raise LabError(f"{self.name}: {error}\n{self._charon.log}") from error

    def restart(self) -> None:
        self._charon.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        self._charon.stop()

    def _load(self, session: vici.Session) -> None:
        access = self._access
        session.load_cert({"type": "X509", "flag": "CA", "data": access.ca.read_bytes()})
        if access.account is not None:
            owner = {"owners": [access.account.user], "data": access.account.password}
            session.load_shared({"id": "account", "type": "EAP", **owner})
        if access.identity is not None:
            session.load_key({"type": "any", "data": access.identity.key.read_bytes()})
        connection = {
            "version": 2,
            "local_addrs": [self._site.near],
            "remote_addrs": [access.host],
            "remote_port": access.port,
            "vips": ["0.0.0.0"],
            "dpd_delay": f"{self._dpd}s",
            "mobike": "no",
            "keyingtries": 0,
            "local": self._local(),
            "remote": {"auth": "pubkey", "id": access.name, "cacerts": [access.ca.read_bytes()]},
            "children": {
                _CHILD: {"remote_ts": [CORP_NETWORK], "dpd_action": "restart", "close_action": "start"},
            },
        }
        session.load_conn({_IKE: connection})

    def _local(self) -> dict[str, object]:
        access = self._access
        certificates = [] if access.identity is None else [access.identity.certificate.read_bytes()]
        match access.auth:
            case Auth.MSCHAPV2 if access.account is not None:
                return {"auth": "eap-mschapv2", "eap_id": access.account.user}
            case Auth.TLS if access.identity is not None:
                return {"auth": "eap-tls", "certs": certificates}
            case Auth.PUBKEY if access.identity is not None:
                return {"auth": "pubkey", "certs": certificates}
            case _:
                raise LabError(f"nothing to prove oneself with by {access.auth}")


@contextmanager
def _taken(space: Namespace, devices: list[str]) -> Iterator[None]:
    """Those of `devices` that there are not, for a while."""
    placeholders = [device for device in devices if space.link(device) is None]
    space.ip(*(f"tuntap add dev {device} mode tun" for device in placeholders))
    try:
        yield
    finally:
        space.ip(*(f"link del {device}" for device in placeholders))


def vpn(workshop: Workshop, site: Site) -> Vpn:
    """The kind `ipsec`: with a user and a password, and with a client that notices silence after some 8 s."""
    server = IpsecServer(workshop, site)
    return Vpn(workshop, site, server, IpsecClient(workshop, site, server.access))
