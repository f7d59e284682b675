from __future__ import annotations

import datetime as dt

import pytest

from gateway.config import certificates
from tests.config.pki import BORN, GONE, identity

CLIENT, CA = identity("client"), identity("ca")


def test_all_certificates_of_a_text_in_their_order_whatever_stands_around_them():
    found = certificates.certificates(f"Certificate:\n  Data\n{CLIENT.pem}\n{CA.pem}")
    assert [certificates.subject(one) for one in found] == ["CN=client", "CN=ca"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "holds no certificate in PEM"),
        (CLIENT.key, "holds no certificate in PEM"),
        (CLIENT.pem[:200], "damaged, or cut off"),
        (CLIENT.pem.replace("M", "N"), "damaged, or cut off"),
    ],
)
def test_no_certificate(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        certificates.certificates(text)
    assert caught.value.__cause__ is None


def test_a_key_belongs_to_its_certificate_alone():
    key = certificates.private_key(CLIENT.key)
    assert certificates.belong(key, CLIENT.certificate)
    assert not certificates.belong(key, CA.certificate)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CLIENT.encrypted_key("hunter2"), "the key is encrypted, and nobody is there to be asked"),
        (CLIENT.pem, "holds no private key in PEM"),
        ("", "holds no private key in PEM"),
        (CLIENT.key[:100], "holds no private key in PEM"),
    ],
    ids=["encrypted", "a certificate", "empty", "cut off"],
)
def test_no_key_that_can_be_used(text, why):
    with pytest.raises(ValueError, match=why) as caught:
        certificates.private_key(text)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("password", ["hunter2", None])
def test_a_bundle(password):
    found = certificates.bundle(CLIENT.pkcs12(password, CA), password)
    assert certificates.belong(found.key, found.certificate)
    assert [certificates.subject(one) for one in found.authorities] == ["CN=ca"]


@pytest.mark.parametrize(
    ("content", "password", "why"),
    [
        (CLIENT.pkcs12("hunter2"), "hunter3", "the password is not the one of this file"),
        (CLIENT.pkcs12("hunter2"), None, "is protected by a password"),
        (b"hunter2", "hunter2", "is no PKCS#12 file"),
        (CLIENT.pem.encode(), None, "is no PKCS#12 file"),
    ],
)
def test_no_bundle(content, password, why):
    with pytest.raises(ValueError, match=why) as caught:
        certificates.bundle(content, password)
    assert "hunter" not in str(caught.value)


def test_valid_from_one_moment_to_another():
    certificate = identity("old", until=GONE).certificate
    second = dt.timedelta(seconds=1)
    assert certificates.untimely(certificate, BORN - second) == "CN=old is not valid before 2020-01-01"
    assert certificates.untimely(certificate, BORN) is None
    assert certificates.untimely(certificate, GONE) is None
    assert certificates.untimely(certificate, GONE + second) == "CN=old expired on 2021-01-01"


def test_whose_it_is_can_be_printed():
    name = 'a"b' + "\x1b[0m" + "x" * 30
    shown = certificates.subject(identity(name).certificate)
    assert shown.isprintable()
    assert shown.startswith("CN=a")
