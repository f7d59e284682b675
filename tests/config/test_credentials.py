from __future__ import annotations

import base64
import datetime as dt

import pytest

from gateway.config import credentials
from gateway.config.credentials import Credentials, Finding
from gateway.model import (
    Expiry,
    IpsecAuth,
    IpsecSpec,
    OpenVpnSpec,
    Secret,
    TunnelKind,
    TunnelSpec,
    VpnSpec,
    WireguardSpec,
)
from tests.config.pki import BORN, GONE, LATE, STATIC_KEY, Identity, identity

CLIENT, OTHER, CA, OLD = identity("client"), identity("other"), identity("ca"), identity("old", until=GONE)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def packed(whose: Identity, password: str | None, *authorities: Identity) -> Secret:
    return Secret(base64.b64encode(whose.pkcs12(password, *authorities)).decode())


def found(**held: object) -> list[Finding]:
    return list(credentials.findings(Credentials(**held), NOW))  # type: ignore[arg-type]


def test_nothing_is_said_of_what_is_right():
    assert found() == []
    assert found(ca=CA.pem, certificate=CLIENT.pem, key=Secret(CLIENT.key)) == []
    assert found(tls_auth=Secret(STATIC_KEY), tls_crypt=Secret(STATIC_KEY)) == []
    assert found(pkcs12=packed(CLIENT, None, CA), needs_authority=True) == []
    assert found(ca=CA.pem, pkcs12=packed(CLIENT, "x"), pkcs12_password=Secret("x"), needs_authority=True) == []


def test_the_first_certificate_is_the_clients_and_the_others_lead_to_its_authority():
    assert found(certificate=CLIENT.pem + OTHER.pem, key=Secret(CLIENT.key)) == []
    assert [one.key for one in found(certificate=OTHER.pem + CLIENT.pem, key=Secret(CLIENT.key))] == ["key"]


@pytest.mark.parametrize(
    ("held", "key", "text"),
    [
        ({"ca": "hunter2"}, "ca", "holds no certificate in PEM"),
        ({"certificate": "hunter2"}, "certificate", "holds no certificate in PEM"),
        ({"key": Secret("hunter2")}, "key", "holds no private key in PEM"),
        (
            {"certificate": OTHER.pem, "key": Secret(CLIENT.key)},
            "key",
            "is not the key of the certificate CN=other",
        ),
        ({"pkcs12": Secret("hunter2!")}, "pkcs12", "is no PKCS#12 file in base64"),
        ({"pkcs12": Secret("aHVudGVyMg==")}, "pkcs12", "is no PKCS#12 file that can be read"),
        (
            {"pkcs12": packed(CLIENT, "hunter2"), "pkcs12_password": Secret("hunter3")},
            "pkcs12",
            "the password is not the one of this file",
        ),
        (
            {"pkcs12": packed(CLIENT, None), "needs_authority": True},
            "ca",
            "this key is needed: pkcs12 holds no certificate of an authority",
        ),
        ({"tls_auth": Secret(CLIENT.key)}, "tls_auth", "is no static key of OpenVPN"),
        (
            {"tls_crypt": Secret("-----BEGIN OpenVPN tls-crypt-v2 client key-----")},
            "tls_crypt",
            "is a key of tls-crypt-v2: it can only stand in a profile",
        ),
    ],
)
def test_what_cannot_be_used(held, key, text):
    (finding,) = found(**held)
    assert finding.key == key
    assert finding.text.startswith(text)
    assert finding.fatal
    assert "hunter" not in finding.text


def test_what_has_expired_can_be_tried_and_is_said():
    assert found(ca=CA.pem + OLD.pem) == [Finding("ca", "CN=old expired on 2021-01-01", fatal=False)]
    (own,) = found(certificate=OLD.pem, key=Secret(OLD.key))
    assert (own.key, own.fatal) == ("certificate", False)
    both = found(pkcs12=packed(OLD, None, OLD))
    assert {(one.key, one.text, one.fatal) for one in both} == {("pkcs12", "CN=old expired on 2021-01-01", False)}


PROFILE = (
    f"<ca>\n{CA.pem}</ca>\n<cert>\n{CLIENT.pem}</cert>\n<key>\n{CLIENT.key}</key>\n"
    f"key-direction 1\n<tls-auth>\n{STATIC_KEY}</tls-auth>\n<tls-crypt>\n{STATIC_KEY}</tls-crypt>\n"
)


@pytest.mark.parametrize(
    ("spec", "held"),
    [
        (
            OpenVpnSpec(profile=Secret(PROFILE)),
            Credentials(
                ca=CA.pem,
                certificate=CLIENT.pem,
                key=Secret(CLIENT.key),
                tls_auth=Secret(STATIC_KEY),
                tls_crypt=Secret(STATIC_KEY),
            ),
        ),
        (
            OpenVpnSpec(ca="a", certificate="b", key=Secret("c"), tls_auth=Secret("d"), tls_crypt=Secret("e")),
            Credentials(ca="a", certificate="b", key=Secret("c"), tls_auth=Secret("d"), tls_crypt=Secret("e")),
        ),
        (
            IpsecSpec(auth=IpsecAuth.TLS, pkcs12=Secret("a"), pkcs12_password=Secret("b")),
            Credentials(pkcs12=Secret("a"), pkcs12_password=Secret("b"), needs_authority=True),
        ),
        (WireguardSpec(private_key=Secret("a")), Credentials()),
    ],
)
def test_where_the_credentials_of_a_tunnel_are(spec, held):
    assert credentials.held(spec) == held


def tunnel(vpn: VpnSpec | None) -> TunnelSpec:
    return TunnelSpec(name="a", kind=TunnelKind.OPENVPN, interface="a", vpn=vpn)


def expiry(certificate: str, subject: str, at: dt.datetime) -> Expiry:
    return Expiry(tunnel="a", certificate=certificate, subject=subject, expires_at_unix=at.timestamp())


def test_when_certificates_end():
    ca, client = expiry("ca", "CN=ca", LATE), expiry("client", "CN=client", LATE)
    assert credentials.expiries(tunnel(OpenVpnSpec(profile=Secret(PROFILE)))) == (ca, client)
    assert credentials.expiries(tunnel(IpsecSpec(pkcs12=packed(CLIENT, None, CA)))) == (ca, client)
    assert credentials.expiries(tunnel(IpsecSpec(ca=CA.pem))) == (ca,)
    assert credentials.expiries(tunnel(WireguardSpec())) == credentials.expiries(tunnel(None)) == ()


def test_of_several_authorities_the_one_that_ends_first():
    soon = identity("soon", until=BORN + dt.timedelta(days=400))
    (ca,) = credentials.expiries(tunnel(IpsecSpec(ca=CA.pem + soon.pem)))
    assert ca.subject == "CN=soon"


LEAF, ROOT = identity("leaf", authority=False, signed_by="root"), identity("root", authority=True)
ALONE = identity("alone", authority=False)


@pytest.mark.parametrize(
    ("ca", "strict", "text"),
    [
        (ROOT.pem, True, None),
        (CA.pem, True, None),  # it says nothing of it
        (LEAF.pem + ROOT.pem, True, None),
        (LEAF.pem, False, "CN=leaf is no certificate of an authority: that of CN=root, which signed it, is needed"),
        (identity("old leaf", signed_by="root").pem, True, "CN=old leaf is no certificate of an authority"),
        (ALONE.pem, False, None),  # OpenVPN believes a server by its own certificate
        (ALONE.pem, True, "CN=alone signed itself, and says that it is no authority's (CA:FALSE)"),
    ],
)
def test_an_authority_must_be_one(ca, strict, text):
    findings = found(ca=ca, needs_authority=strict)
    assert [(one.key, one.fatal) for one in findings] == ([] if text is None else [("ca", True)])
    assert all(one.text.startswith(text) for one in findings)
