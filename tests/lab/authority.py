"""An authority of certificates: keys on elliptic curves, in a millisecond, and RSA where that is asked for.

It issues what openssl's command line cannot: a certificate that has expired already.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SERVER = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.IPSEC_IKE)
CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
IKE_INTERMEDIATE = x509.ObjectIdentifier("1.3.6.1.5.5.8.2.2")  # what older clients look for in an IKE server's
_LIFE = dt.timedelta(days=3)
_DAY = dt.timedelta(days=1)


def elliptic() -> PrivateKey:
    """A new key on the curve P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def rsa_4096() -> PrivateKey:
    """A new RSA key; it takes about a second."""
    return rsa.generate_private_key(65537, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A certificate and its private key, in PEM files."""

    name: str
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An identity with its authority in one PKCS#12 file; `password_file` holds the password and nothing else."""

    file: Path
    password: str
    password_file: Path

    def open(self, directory: Path) -> Identity:
        """What is in it, written into `directory`."""
        key, certificate, _ = pkcs12.load_key_and_certificates(self.file.read_bytes(), self.password.encode())
        assert isinstance(key, PrivateKey)
        assert certificate is not None
        (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return _write(directory / self.file.stem, str(name.value), certificate, key)


class Authority:
    """Issues certificates into `directory`. Its own is `ca`, called NAME.crt, its key NAME.key."""

    def __init__(
        self, directory: Path, name: str, *, organisation: str | None, new_key: Callable[[], PrivateKey] = elliptic
    ) -> None:
        self._directory = directory
        self._organisation = organisation
        self._new_key = new_key
        self._key = new_key()
        self._name = self._subject(name)
        own = self._builder(self._name, self._key, dt.datetime.now(dt.UTC) + _LIFE)
        usage = _usage(signature=False, certificates=True)
        signed = (
            own.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._certificate = signed
        self.ca = _write(directory / name, name, signed, self._key).certificate

    def issue(
        self,
        file: str,
        name: str,
        usage: Sequence[x509.ObjectIdentifier],
        names: Sequence[str],
        *,
        expired: bool = False,
    ) -> Identity:
        """A certificate of `name`, in FILE.crt and FILE.key. `names` are addresses, host names, and mail addresses.

        It is valid for three days, or was until yesterday.
        """
        key = self._new_key()
        end = dt.datetime.now(dt.UTC) + (-_DAY if expired else _LIFE)
        builder = (
            self._builder(self._subject(name), key, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signature=True, certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        )
        if names:
            general_names = [_general_name(each) for each in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general_names), critical=False)
        return _write(self._directory / file, name, builder.sign(self._key, hashes.SHA256()), key)

    def bundle(self, identity: Identity, password: str) -> Bundle:
        """`identity` and this authority's certificate as FILE.p12, encrypted with `password`."""
        file = identity.certificate.with_suffix(".p12")
        password_file = identity.certificate.with_suffix(".p12-password")
        write_private(
            file,
            pkcs12.serialize_key_and_certificates(
                identity.name.encode(),
                _load_key(identity.key),
                x509.load_pem_x509_certificate(identity.certificate.read_bytes()),
                [self._certificate],
                BestAvailableEncryption(password.encode()),
            ),
        )
        write_private(password_file, password.encode())
        return Bundle(file=file, password=password, password_file=password_file)

    def _subject(self, name: str) -> x509.Name:
        organisation = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, self._organisation)] if self._organisation else []
        return x509.Name([*organisation, x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def _builder(self, subject: x509.Name, key: PrivateKey, end: dt.datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - _LIFE - _DAY)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _write(path: Path, name: str, certificate: x509.Certificate, key: PrivateKey) -> Identity:
    """Write `certificate` and `key` into files called like `path`, with endings of their own."""
    identity = Identity(
        name=name, certificate=path.with_name(f"{path.name}.crt"), key=path.with_name(f"{path.name}.key")
    )
    identity.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    write_private(identity.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return identity


def _usage(*, signature: bool, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signature,
        content_commitment=False,
        key_encipherment=signature,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    if "@" in name:
        return x509.RFC822Name(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_key(path: Path) -> PrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, PrivateKey)
    return key


def write_private(path: Path, data: bytes) -> Path:
    """Write a file that nobody else may read; its path."""
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path
