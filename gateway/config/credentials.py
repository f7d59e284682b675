"""What a VPN tunnel proves itself with, and believes its server by: looked at before it is used.

A key that is not the certificate's, or a certificate that has expired, is found out here and not by a failed attempt.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from gateway.config import certificates
from gateway.config.certificates import Bundle
from gateway.config.profiles import statements
from gateway.config.profiles.statements import Statement
from gateway.model import Expiry, IpsecSpec, OpenVpnSpec, Secret, TunnelSpec, VpnSpec

_STATIC_KEY: Final = "-----BEGIN OpenVPN Static key V1-----"
_V2_KEY: Final = "-----BEGIN OpenVPN tls-crypt-v2 client key-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Texts in PEM; `pkcs12` is the file's content, base64. `needs_authority`: without `ca`, pkcs12 must hold one."""

    ca: str | None = None
    certificate: str | None = None
    key: Secret | None = None
    pkcs12: Secret | None = None
    pkcs12_password: Secret | None = None
    tls_auth: Secret | None = None
    tls_crypt: Secret | None = None
    needs_authority: bool = False


class Finding(NamedTuple):
    """Something about the credential `key`; unless it is `fatal`, the tunnel can be tried all the same."""

    key: str
    text: str
    fatal: bool


def held(spec: VpnSpec) -> Credentials:
    """The credentials of a tunnel, those inside a profile among them. WireGuard has no certificates."""
    match spec:
        case OpenVpnSpec(profile=Secret() as profile):
            return _inline(profile)
        case OpenVpnSpec():
            return Credentials(
                ca=spec.ca,
                certificate=spec.certificate,
                key=spec.key,
                tls_auth=spec.tls_auth,
                tls_crypt=spec.tls_crypt,
            )
        case IpsecSpec():
            return Credentials(
                ca=spec.ca,
                certificate=spec.certificate,
                key=spec.key,
                pkcs12=spec.pkcs12,
                pkcs12_password=spec.pkcs12_password,
                needs_authority=True,
            )
        case _:
            return Credentials()


def findings(held: Credentials, now: datetime) -> Iterator[Finding]:
    """Everything that is wrong with credentials, or worth a look, at the moment `now`."""
    opened = _open(held)
    yield from opened.unreadable
    own, key, packed = opened.own, opened.key, opened.packed
    if own is not None and key is not None and not certificates.belong(key, own):
        yield Finding("key", f"is not the key of the certificate {certificates.subject(own)}", fatal=True)
    if packed is not None and not certificates.belong(packed.key, packed.certificate):
        yield Finding("pkcs12", "holds a key that is not the certificate's", fatal=True)
    if packed is not None and held.needs_authority and held.ca is None and not packed.authorities:
        yield Finding("ca", "this key is needed: pkcs12 holds no certificate of an authority", fatal=True)
    if opened.authorities and not any(
        certificates.is_authority(one, strictly=held.needs_authority) for one in opened.authorities
    ):
        yield Finding("ca", _no_authority(opened.authorities[0]), fatal=True)
    for name, certificate in opened.all_certificates():
        why = certificates.untimely(certificate, now)
        if why is not None:
            yield Finding(name, why, fatal=False)


def _no_authority(certificate: x509.Certificate) -> str:
    subject, issuer = certificates.subject(certificate), certificates.issuer(certificate)
    if subject == issuer:
        return (
            f"{subject} signed itself, and says that it is no authority's (CA:FALSE): strongSwan believes no such one"
        )
    return f"{subject} is no certificate of an authority: that of {issuer}, which signed it, is needed"


def expiries(spec: TunnelSpec) -> tuple[Expiry, ...]:
    """When the certificates of a valid tunnel end: of its authorities the one that ends first ("ca"), and its own."""
    if spec.vpn is None:
        return ()
    opened = _open(held(spec.vpn))
    packed = opened.packed
    authorities = (*opened.authorities, *(() if packed is None else packed.authorities))
    own = opened.own if packed is None else packed.certificate
    first = min(authorities, key=lambda one: one.not_valid_after_utc, default=None)
    return tuple(
        Expiry(
            tunnel=spec.name,
            certificate=name,
            subject=certificates.subject(one),
            expires_at_unix=one.not_valid_after_utc.timestamp(),
        )
        for name, one in (("ca", first), ("client", own))
        if one is not None
    )


@dataclass(slots=True)
class _Opened:
    """Credentials that could be read, and what is to be said of the others."""

    authorities: tuple[x509.Certificate, ...] = ()
    own: x509.Certificate | None = None
    key: PrivateKeyTypes | None = None
    packed: Bundle | None = None
    unreadable: list[Finding] = field(default_factory=list)

    def all_certificates(self) -> Iterator[tuple[str, x509.Certificate]]:
        """Each certificate, with the key that it stands under."""
        for one in self.authorities:
            yield "ca", one
        if self.own is not None:
            yield "certificate", self.own
        if self.packed is not None:
            for one in (self.packed.certificate, *self.packed.authorities):
                yield "pkcs12", one

    @contextmanager
    def reading(self, key: str) -> Iterator[None]:
        """What is raised while the credential `key` is read is a finding."""
        try:
            yield
        except ValueError as error:
            self.unreadable.append(Finding(key, str(error), fatal=True))


def _open(held: Credentials) -> _Opened:
    opened = _Opened()
    if held.ca is not None:
        with opened.reading("ca"):
            opened.authorities = certificates.certificates(held.ca)
    if held.certificate is not None:
        with opened.reading("certificate"):
            opened.own = certificates.certificates(held.certificate)[0]  # those below it lead to its authority
    if held.key is not None:
        with opened.reading("key"):
            opened.key = certificates.private_key(held.key.reveal())
    if held.pkcs12 is not None:
        password = None if held.pkcs12_password is None else held.pkcs12_password.reveal()
        with opened.reading("pkcs12"):
            opened.packed = certificates.bundle(_content(held.pkcs12), password)
    for key, static in (("tls_auth", held.tls_auth), ("tls_crypt", held.tls_crypt)):
        if static is not None:
            with opened.reading(key):
                _check_static(static.reveal())
    return opened


def _content(pkcs12: Secret) -> bytes:
    try:
        return base64.b64decode("".join(pkcs12.reveal().split()), validate=True)
    except binascii.Error:
        raise ValueError("is no PKCS#12 file in base64") from None


def _check_static(text: str) -> None:
    if _V2_KEY in text:
        raise ValueError("is a key of tls-crypt-v2: it can only stand in a profile")
    if _STATIC_KEY not in text:
        raise ValueError(f"is no static key of OpenVPN: no line says {_STATIC_KEY}")


def _inline(profile: Secret) -> Credentials:
    blocks = {
        one.name: one.inline
        for one in statements.read(profile.reveal())
        if isinstance(one, Statement) and one.inline is not None
    }

    def secret(name: str) -> Secret | None:
        text = blocks.get(name)
        return None if text is None else Secret(text)

    return Credentials(
        ca=blocks.get("ca"),
        certificate=blocks.get("cert"),
        key=secret("key"),
        pkcs12=secret("pkcs12"),
        tls_auth=secret("tls-auth"),
        tls_crypt=secret("tls-crypt"),
    )
