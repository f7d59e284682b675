"""Certificates and keys for tests of the configuration: texts, made in a millisecond each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

BORN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
GONE = dt.datetime(2021, 1, 1, tzinfo=dt.UTC)
LATE = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)
STATIC_KEY = f"-----BEGIN OpenVPN Static key V1-----\n{'0123456789abcdef' * 2}\n-----END OpenVPN Static key V1-----\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its key."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key(self) -> str:
        return self._key(None)

    def encrypted_key(self, password: str) -> str:
        return self._key(password)

    def pkcs12(self, password: str | None, *authorities: Identity) -> bytes:
        cipher = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        others = [other.certificate for other in authorities]
        return pkcs12.serialize_key_and_certificates(b"client", self.private, self.certificate, others, cipher)

    def _key(self, password: str | None) -> str:
        cipher = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


@cache
def identity(
    name: str,
    *,
    since: dt.datetime = BORN,
    until: dt.datetime = LATE,
    authority: bool | None = None,
    signed_by: str | None = None,
) -> Identity:
    """One that signed itself, whoever it says it is signed by. `authority`: what it says of itself; None: nothing."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if signed_by is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signed_by)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
    )
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    return Identity(builder.sign(private, hashes.SHA256()), private)
