from __future__ import annotations

import pytest
from cryptography import x509

from tests.lab.authority import CLIENT, SERVER, Authority, rsa_4096
from tests.lab.commands import run
from tests.lab.errors import CommandError


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ca", organisation="company")


def _verify(authority, identity, *words):
    return run(["openssl", "verify", "-x509_strict", *words, "-CAfile", str(authority.ca), str(identity.certificate)])


def test_what_it_issues_is_valid_for_its_purpose_and_names(authority):
    server = authority.issue("a", "a.example.com", SERVER, ["a.example.com", "10.0.0.1", "admin@example.com"])
    assert _verify(authority, server, "-purpose", "sslserver", "-verify_ip", "10.0.0.1").endswith("OK\n")
    assert _verify(authority, server, "-verify_hostname", "a.example.com").endswith("OK\n")
    with pytest.raises(CommandError, match="purpose"):
        _verify(authority, server, "-purpose", "sslclient")


def test_it_issues_what_has_expired(authority):
    with pytest.raises(CommandError, match="certificate has expired"):
        _verify(authority, authority.issue("a", "a", CLIENT, ["a"], expired=True))


def test_another_authority_of_the_same_name_is_another_one(authority, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "ca", organisation="company")
    with pytest.raises(CommandError, match=r"signature failure|unable to get local issuer"):
        _verify(authority, other.issue("a", "a", CLIENT, ["a"]))


def test_keys_are_nobody_s_business(authority):
    identity = authority.issue("a", "a", CLIENT, [])
    bundle = authority.bundle(identity, "secret")
    for path in (identity.key, bundle.file, bundle.password_file):
        assert path.stat().st_mode & 0o077 == 0


def test_a_bundle_holds_the_same_certificate_and_key(authority, tmp_path):
    identity = authority.issue("a", "client", CLIENT, [])
    bundle = authority.bundle(identity, "secret")
    (tmp_path / "opened").mkdir()
    opened = bundle.open(tmp_path / "opened")
    assert opened.name == identity.name == "client"
    assert opened.certificate.read_bytes() == identity.certificate.read_bytes()
    assert opened.key.read_bytes() == identity.key.read_bytes()
    assert bundle.password_file.read_text() == "secret"
    run(["openssl", "pkcs12", "-in", str(bundle.file), "-passin", f"file:{bundle.password_file}", "-nodes"])


def test_rsa_and_bare_names_are_to_be_had_too(tmp_path):
    authority = Authority(tmp_path, "ca", organisation=None, new_key=rsa_4096)
    certificate = x509.load_pem_x509_certificate(authority.ca.read_bytes())
    assert certificate.public_key().key_size == 4096
    assert certificate.subject.rfc4514_string() == "CN=ca"
