"""A server of IPsec with IKEv2 at a site: one daemon, which offers one way of proving who a client is at a time.

What it offers can be changed while it runs, which costs milliseconds. Connections that are up stay. It
lets every client choose its own identity, as customers' servers do, and proposes what strongSwan proposes by default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.lab.authority import Bundle, Identity
from tests.lab.charon import Charon
from tests.lab.pki import Account, Certified
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.vpn import Workshop

POOL = 100  # the number of its pool of addresses
PORT, NAT_PORT = 500, 4500
_OFFER = "clients"


class Auth(StrEnum):
    """How a client proves who it is; the server always does with its certificate."""

    MSCHAPV2 = "mschapv2"
    TLS = "tls"
    PUBKEY = "pubkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpsecAccess:
    """What a client needs; None for what is not asked for. `name` is the identity that the server claims.

    `identity` and `bundle` are the same certificate and key, once as PEM files and once as PKCS#12.
    """

    host: str
    port: int
    auth: Auth
    ca: Path
    name: str
    account: Account | None = None
    identity: Identity | None = None
    bundle: Bundle | None = None


class IpsecServer:
    """A `server.Server`. `dpd` (seconds) is how often it asks a silent client whether it is there."""

    def __init__(
        self,
        workshop: Workshop,
        site: Site,
        *,
        auth: Auth = Auth.MSCHAPV2,
        certified: Certified = Certified.RIGHT,
        dpd: int = 2,
    ) -> None:
        self._workshop = workshop
        self._site = site
        self._auth = auth
        self._certified = certified
        self._dpd = dpd
        # Tests knock in vain, and often: that is not to be taken for an attack.
        self._charon = Charon(workshop, f"ipsec-server-{site}", site.role, {"dos_protection": "no"})
        self.name = self._charon.name
        self.pool = site.pool(POOL)

    @property
    def access(self) -> IpsecAccess:
        """What a client needs for what is offered now."""
        pki = self._workshop.pki
        with_account = self._auth is Auth.MSCHAPV2
        return IpsecAccess(
            host=self._site.far,
            port=PORT,
            auth=self._auth,
            ca=pki.ca,
            name=self._site.far,
            account=pki.account if with_account else None,
            identity=None if with_account else pki.client(),
            bundle=None if with_account else pki.bundle,
        )

    def start(self) -> None:
        self._charon.start()

    def wait_ready(self) -> None:
        self._charon.wait_ready()
        self._load()

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_ready()

    def stop(self) -> None:
        self._charon.stop()

    def offer(self, auth: Auth, certified: Certified = Certified.RIGHT) -> None:
        """Offer this, and nothing else, to clients that come from now on."""
        self._auth, self._certified = auth, certified
        self._load()

    def _load(self) -> None:
        account, identity = self._workshop.pki.account, self._workshop.pki.server(self._site, self._certified)
        connection = {
            "version": 2,
            "local_addrs": [self._site.far],
            "pools": ["clients"],
            "dpd_delay": f"{self._dpd}s",
            "encap": "yes",
            "mobike": "no",
            "local": {"auth": "pubkey", "certs": [identity.certificate.read_bytes()], "id": self._site.far},
            "remote": self._remote(),
            "children": {"company": {"local_ts": [CORP_NETWORK], "dpd_action": "clear"}},
        }
        with self._charon.session() as session:
            session.clear_creds()  # EAP-TLS would choose among all certificates of its name, also of earlier offers
            session.load_cert({"type": "X509", "flag": "CA", "data": self._workshop.pki.ca.read_bytes()})
            session.load_key({"type": "any", "data": identity.key.read_bytes()})
            session.load_shared({"id": "account", "type": "EAP", "owners": [account.user], "data": account.password})
            session.load_pool({"clients": {"addrs": f"{self.pool}.0/24"}})
            session.load_conn({_OFFER: connection})

    def _remote(self) -> dict[str, object]:
        match self._auth:
            case Auth.MSCHAPV2:
                return {"auth": "eap-mschapv2", "eap_id": "%any"}
            case Auth.TLS:
                return {"auth": "eap-tls", "eap_id": "%any"}
            case Auth.PUBKEY:
                return {"auth": "pubkey", "cacerts": [self._workshop.pki.ca.read_bytes()]}
