from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from gateway.model import IpsecAuth, IpsecSpec, Secret
from gateway.tunnels.ipsec.credentials import read
from tests.lab.authority import CLIENT, Authority

_PASSWORD = "planted-bundle-password"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ca", organisation=None)


@pytest.fixture(scope="module")
def identity(authority):
    return authority.issue("client", "client", CLIENT, [])


@pytest.fixture(scope="module")
def bundle(authority, identity):
    return authority.bundle(identity, _PASSWORD)


def _der(path):
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


def _packed(bundle, **further):
    content = Secret(base64.encodebytes(bundle.file.read_bytes()).decode())
    given = {"auth": IpsecAuth.TLS, "pkcs12": content, "pkcs12_password": Secret(bundle.password)}
    return IpsecSpec(**(given | further))


def test_an_account_needs_an_authority_and_nothing_else(authority):
    credentials = read(IpsecSpec(ca=authority.ca.read_text()))
    assert credentials.authorities == (_der(authority.ca),)
    assert (credentials.certificate, credentials.chain, credentials.key) == (None, (), None)


def test_several_authorities_may_be_believed(authority, tmp_path):
    other = Authority(tmp_path, "other", organisation=None)
    credentials = read(IpsecSpec(ca=other.ca.read_text() + authority.ca.read_text()))
    assert credentials.authorities == (_der(other.ca), _der(authority.ca))


@pytest.mark.parametrize("auth", [IpsecAuth.TLS, IpsecAuth.PUBKEY])
def test_certificate_chain_and_key_from_pem(authority, identity, auth):
    spec = IpsecSpec(
        auth=auth,
        ca=authority.ca.read_text(),
        certificate=identity.certificate.read_text() + authority.ca.read_text(),
        key=Secret(identity.key.read_text()),
    )
    credentials = read(spec)
    assert credentials.certificate == _der(identity.certificate)
    assert credentials.chain == (_der(authority.ca),)
    assert _is_key_of(credentials.key, identity)


def test_all_of_it_from_pkcs12(authority, identity, bundle):
    credentials = read(_packed(bundle))
    assert credentials.authorities == credentials.chain == (_der(authority.ca),)
    assert credentials.certificate == _der(identity.certificate)
    assert _is_key_of(credentials.key, identity)


def test_beside_ca_the_authorities_of_a_bundle_are_not_believed(bundle, tmp_path):
    other = Authority(tmp_path, "other", organisation=None)
    assert read(_packed(bundle, ca=other.ca.read_text())).authorities == (_der(other.ca),)


@pytest.mark.parametrize(
    ("further", "complaint"),
    [
        ({"pkcs12_password": Secret("wrong-planted")}, "password is not the one"),
        ({"pkcs12_password": None}, "protected by a password"),
        ({"pkcs12": Secret("not base64 at all!")}, "no PKCS#12 file in base64"),
        ({"pkcs12": Secret(base64.b64encode(b"planted").decode())}, "no PKCS#12 file"),
        ({"pkcs12": None}, "certificate and key are needed"),
        ({"pkcs12": None, "auth": IpsecAuth.MSCHAPV2}, "no authority"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_it(bundle, further, complaint):
    with pytest.raises(ValueError, match=complaint) as raised:
        read(_packed(bundle, **further))
    assert "planted" not in str(raised.value)


def _is_key_of(key, identity):
    own = load_pem_private_key(key.reveal().encode(), None).public_key()
    return own == x509.load_pem_x509_certificate(identity.certificate.read_bytes()).public_key()
