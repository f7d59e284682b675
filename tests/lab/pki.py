"""Keys, certificates and passwords of a lab: made when it starts, gone with its directory.

Two authorities. One is the company's: it has certified each VPN server, and the gateway as a client of all of them. The
other is the *stranger*: it has certified servers of the same names, and no client of this lab ought to believe them.
Beside what is right there is, for every server and for the client, what can be wrong with a certificate.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.lab import authority
from tests.lab.authority import Authority, Bundle, Identity, write_private
from tests.lab.commands import run
from tests.lab.topology import Site

CLIENT = "gw-client"
USER = "gw-user"
ELSEWHERE = "elsewhere.example.com"
ORGANISATION = "gateway-lab"


class Certified(StrEnum):
    """How a certificate is: in order, or wrong in one respect."""

    RIGHT = "right"
    EXPIRED = "expired"
    MISNAMED = "misnamed"  # it is somebody else's, of `ELSEWHERE`
    UNTRUSTED = "untrusted"  # the stranger has signed it


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user and a password. `password_file` holds the password and nothing else."""

    user: str
    password: str
    password_file: Path
    login: Path  # user and password on two lines, as OpenVPN reads them

    @staticmethod
    def write(directory: Path, user: str, password: str) -> Account:
        """An account, with its files in `directory`."""
        return Account(
            user=user,
            password=password,
            password_file=write_private(directory / "password", password.encode()),
            login=write_private(directory / "login", f"{user}\n{password}\n".encode()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WireGuardKey:
    """A key pair of WireGuard; `private` is a file, `public` the text."""

    private: Path
    public: str


class Pki:
    """What there is, under `directory`. All of it is there once the object is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        company = Authority(directory, "ca", organisation=ORGANISATION)
        stranger = Authority(directory, "stranger", organisation="stranger")
        self.ca = company.ca
        self.stranger = stranger.ca
        self._identities = {
            (name, how): self._issue(stranger if how is Certified.UNTRUSTED else company, name, usage, names, how)
            for name, usage, names in self._certified()
            for how in Certified
        }
        self.bundle: Bundle = company.bundle(self.client(), secrets.token_urlsafe(18))
        self.account = Account.write(directory, USER, secrets.token_urlsafe(18))
        self.users = directory / "users"  # user, salt, and sha256(salt + password): all that OpenVPN's server gets
        self._digest(self.account)
        self.tls_crypt = self._openvpn_key("tls-crypt")
        self.tls_auth = self._openvpn_key("tls-auth")
        self.preshared = write_private(  # by WireGuard's peers
            directory / "wireguard.preshared", base64.b64encode(secrets.token_bytes(32)) + b"\n"
        )
        self._wireguard = {name: self._wireguard_key(name) for name in (CLIENT, *(site.role for site in Site))}

    def server(self, site: Site, how: Certified = Certified.RIGHT) -> Identity:
        """The certificate of the VPN servers of `site`: of the host name `site.role`, and of the address `site.far`."""
        return self._identities[site.role, how]

    def client(self, how: Certified = Certified.RIGHT) -> Identity:
        """The gateway's certificate as a client, of `CLIENT`; the right one is in `bundle` too."""
        return self._identities[CLIENT, how]

    def wireguard(self, name: str) -> WireGuardKey:
        """The key pair of `name`: a site's role, or `CLIENT`."""
        return self._wireguard[name]

    def _certified(self) -> list[tuple[str, Sequence[x509.ObjectIdentifier], Sequence[str]]]:
        servers = [(str(site.role), authority.SERVER, (str(site.role), site.far)) for site in Site]
        return [*servers, (CLIENT, authority.CLIENT, (CLIENT, f"{CLIENT}@{ORGANISATION}"))]

    def _issue(
        self,
        issuer: Authority,
        name: str,
        usage: Sequence[x509.ObjectIdentifier],
        names: Sequence[str],
        how: Certified,
    ) -> Identity:
        file = name if how is Certified.RIGHT else f"{name}-{how}"
        if how is Certified.MISNAMED:
            name, names = ELSEWHERE, (ELSEWHERE,)
        return issuer.issue(file, name, usage, names, expired=how is Certified.EXPIRED)

    def _digest(self, account: Account) -> None:
        salt = secrets.token_hex(8)
        digest = hashlib.sha256((salt + account.password).encode()).hexdigest()
        self.users.write_text(f"{account.user} {salt} {digest}\n")

    def _openvpn_key(self, kind: str) -> Path:
        path = self._directory / f"{kind}.key"
        run(["openvpn", "--genkey", kind, str(path)])
        return path

    def _wireguard_key(self, name: str) -> WireGuardKey:
        key = X25519PrivateKey.generate()
        return WireGuardKey(
            private=write_private(
                self._directory / f"{name}.wireguard", base64.b64encode(key.private_bytes_raw()) + b"\n"
            ),
            public=base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        )
