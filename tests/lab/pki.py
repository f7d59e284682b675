"""Keys, certificates and passwords of a lab: made when it starts, gone with its directory.

One elliptic-curve authority; a certificate for each VPN server, and one for the gateway as a client of both.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from tests.lab.commands import run
from tests.lab.topology import Site

CLIENT = "gw-client"
USER = "gw-user"
_ORGANISATION = "gateway-lab"
_IKE_INTERMEDIATE = "1.3.6.1.5.5.7.3.17"  # what an IKE server's certificate says it is for


class Pki:
    """What the authority has issued, under `directory`. All of it is there once the object is."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ca = directory / "ca.crt"
        self.tls_crypt = directory / "tls-crypt.key"
        self.login = directory / "login"  # user and password on two lines, as OpenVPN reads them
        self.users = directory / "users"  # user, salt, and sha256(salt + password): all that a server gets
        self._authority()
        for site in Site:
            self._issue(str(site.role), f"serverAuth,{_IKE_INTERMEDIATE}", f"DNS:{site.role},IP:{site.far}")
        self._issue(CLIENT, "clientAuth", f"DNS:{CLIENT},email:{CLIENT}@{_ORGANISATION}")
        self.password = secrets.token_urlsafe(18)
        self._accounts()
        run(["openvpn", "--genkey", "tls-crypt", str(self.tls_crypt)])

    def certificate(self, name: str) -> Path:
        """The certificate of `name`: a site's role, or `CLIENT`."""
        return self._directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key of `name`."""
        return self._directory / f"{name}.key"

    def _authority(self) -> None:
        self._openssl("ca", "keyUsage=critical,keyCertSign,cRLSign")

    def _issue(self, name: str, usage: str, names: str) -> None:
        self._openssl(
            name,
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=digitalSignature",
            f"extendedKeyUsage={usage}",
            f"subjectAltName={names}",
            signer="ca",
        )

    def _openssl(self, name: str, *extensions: str, signer: str | None = None) -> None:
        signed_by = ["-CA", str(self.ca), "-CAkey", str(self.key(signer))] if signer else []
        run(
            [
                *("openssl", "req", "-x509", "-new", "-nodes", "-days", "3", *signed_by),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/O={_ORGANISATION}/CN={name}"),
                *("-keyout", str(self.key(name)), "-out", str(self.certificate(name))),
                *(word for extension in extensions for word in ("-addext", extension)),
            ]
        )

    def _accounts(self) -> None:
        salt = secrets.token_hex(8)
        digest = hashlib.sha256((salt + self.password).encode()).hexdigest()
        self.login.touch(mode=0o600)
        self.login.write_text(f"{USER}\n{self.password}\n")
        self.users.write_text(f"{USER} {salt} {digest}\n")
