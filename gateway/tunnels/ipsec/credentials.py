"""What an IKEv2 client proves itself with, and believes the server by: from the entry's texts to what charon takes.

Pure. A PKCS#12 file is opened here, so that its password goes nowhere. charon takes every certificate of an authority
for one to be trusted; the connection names those that the server's may come from.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import certificates
from gateway.model import IpsecAuth, IpsecSpec, Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Certificates are DER, the key PEM. `chain` leads from `certificate` to its authority. None: not needed."""

    authorities: tuple[bytes, ...]
    certificate: bytes | None = None
    chain: tuple[bytes, ...] = ()
    key: Secret | None = None


def read(spec: IpsecSpec) -> Credentials:
    """What the entry's way to log in needs. Raises ValueError, which names the key and shows nothing of its content."""
    own, key, others = _own(spec)
    believed = certificates.certificates(spec.ca) if spec.ca is not None else others
    if not believed:
        raise ValueError("ca: there is no authority that the server's certificate may come from")
    return Credentials(
        authorities=_der(believed),
        certificate=None if own is None else own.public_bytes(Encoding.DER),
        chain=_der(others),
        key=None if key is None else _pem(key),
    )


def _own(
    spec: IpsecSpec,
) -> tuple[x509.Certificate | None, PrivateKeyTypes | None, Sequence[x509.Certificate]]:
    if spec.pkcs12 is not None:
        password = None if spec.pkcs12_password is None else spec.pkcs12_password.reveal()
        try:
            content = base64.b64decode("".join(spec.pkcs12.reveal().split()), validate=True)
        except binascii.Error:
            raise ValueError("pkcs12: is no PKCS#12 file in base64") from None
        packed = certificates.bundle(content, password)
        if spec.auth is IpsecAuth.MSCHAPV2:
            return None, None, packed.authorities
        return packed.certificate, packed.key, packed.authorities
    if spec.auth is IpsecAuth.MSCHAPV2:
        return None, None, ()
    if spec.certificate is None or spec.key is None:
        raise ValueError("certificate: certificate and key are needed, or pkcs12")
    own, *others = certificates.certificates(spec.certificate)
    return own, certificates.private_key(spec.key.reveal()), others


def _der(them: Sequence[x509.Certificate]) -> tuple[bytes, ...]:
    return tuple(each.public_bytes(Encoding.DER) for each in them)


def _pem(key: PrivateKeyTypes) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
