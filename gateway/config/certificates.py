"""Certificates and keys as text and files: read, compared, and described; never shown.

What is wrong with one is said as a ValueError that an operator understands, without a byte of what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs12

from gateway.config.wording import shown

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----"
_WRONG_PASSWORD: Final = "Invalid password"  # noqa: S105 - what the library says; it tells it from data that is none


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a PKCS#12 file holds: key, certificate, and the certificates of authorities."""

    key: PrivateKeyTypes
    certificate: x509.Certificate
    authorities: tuple[x509.Certificate, ...]


def certificates(pem: str) -> tuple[x509.Certificate, ...]:
    """All certificates in a text, at least one. Raises ValueError."""
    if _CERTIFICATE not in pem:
        raise ValueError(f"holds no certificate in PEM: no line says {_CERTIFICATE}")
    try:
        return tuple(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        raise ValueError("holds a certificate that cannot be read: it is damaged, or cut off") from None


def private_key(pem: str) -> PrivateKeyTypes:
    """The private key in a text. Raises ValueError, also where it is encrypted."""
    try:
        return load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise ValueError(
            "the key is encrypted, and nobody is there to be asked: store it decrypted (openssl pkey -in OLD -out NEW)"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("holds no private key in PEM that can be read") from None


def bundle(content: bytes, password: str | None) -> Bundle:
    """What is in a PKCS#12 file. Raises ValueError that tells a wrong password from a wrong file."""
    try:
        found = pkcs12.load_pkcs12(content, None if password is None else password.encode())
    except ValueError as error:
        if not str(error).startswith(_WRONG_PASSWORD):
            raise ValueError("is no PKCS#12 file that can be read") from None
        why = "is protected by a password" if password is None else "the password is not the one of this file"
        raise ValueError(why) from None
    except UnsupportedAlgorithm:
        raise ValueError("is encrypted in a way that is not supported any more: export it again") from None
    if found.key is None or found.cert is None:
        raise ValueError("holds no certificate with its key")
    return Bundle(found.key, found.cert.certificate, tuple(other.certificate for other in found.additional_certs))


def belong(key: PrivateKeyTypes, certificate: x509.Certificate) -> bool:
    """Is it the certificate of this very key?"""
    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return own == certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def is_authority(certificate: x509.Certificate, *, strictly: bool) -> bool:
    """Can others be believed by it? One that signed itself and says nothing of it counts; `strictly` or not.

    Not `strictly` counts even one that signed itself and says that it is none: it can be believed for itself.
    """
    own = certificate.subject == certificate.issuer
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return own
    return constraints.ca or (own and not strictly)


def issuer(certificate: x509.Certificate) -> str:
    """Who signed it, fit to be shown."""
    return shown(certificate.issuer.rfc4514_string()).strip('"')


def subject(certificate: x509.Certificate) -> str:
    """Whose it is, fit to be shown: `CN=client`."""
    return shown(certificate.subject.rfc4514_string()).strip('"')


def untimely(certificate: x509.Certificate, now: datetime) -> str | None:
    """Why it is not valid at the moment `now`, or None."""
    if certificate.not_valid_after_utc < now:
        return f"{subject(certificate)} expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if certificate.not_valid_before_utc > now:
        return f"{subject(certificate)} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return None
