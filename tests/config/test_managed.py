from __future__ import annotations

import pytest

from gateway.config import managed
from gateway.config.tunnel_tables import TUNNEL_MODELS, InterfaceTunnel
from gateway.model import Secret, TunnelKind

OPENVPN = {"name": "a", "kind": "openvpn", "servers": ["198.51.100.7"], "ca": {"file": "ca.crt"}}
IPSEC = {"name": "a", "kind": "ipsec", "servers": ["198.51.100.7"], "ca": {"file": "ca.crt"}}
WIREGUARD = {"name": "a", "kind": "wireguard", "servers": ["198.51.100.7:51820"]}
PRIVATE, PUBLIC = "GJw/Ou0Yxn53xHwG6VIaE0q3y4DnM5KhXBj3g9pRDV4=", "HO/c3LvexLA4fGXETfvc/4q38MHUgdCsG9Bwa/5Pj3g="
LOGIN = {"username": "myuser", "password": {"env": "X"}}
CERTIFICATE = {"certificate": {"file": "c.pem"}, "key": {"file": "k.pem"}}
KEYS: dict[str, object] = {"private_key": {"env": "X"}, "peer_public_key": PUBLIC, "addresses": ["10.10.30.2/32"]}


def wrong(raw: dict[str, object], **defaults: object) -> list[str]:
    entry = TUNNEL_MODELS[TunnelKind(str(raw["kind"]))].model_validate({**defaults, **raw})
    assert not isinstance(entry, InterfaceTunnel)
    return [trouble.key for trouble in managed.needs(entry, raw)]


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        (OPENVPN | LOGIN, []),
        (OPENVPN | CERTIFICATE, []),
        (OPENVPN | CERTIFICATE | LOGIN, []),
        (OPENVPN, ["username"]),
        (OPENVPN | {"username": "myuser"}, ["password"]),
        (OPENVPN | {"key": {"file": "k.pem"}}, ["certificate"]),
        ({"name": "a", "kind": "openvpn", "profile": "client.ovpn"}, []),
        (IPSEC | LOGIN, []),
        (IPSEC | {"username": "myuser"}, ["password"]),
        (IPSEC | CERTIFICATE | {"auth": "tls"}, []),
        (IPSEC | CERTIFICATE | {"auth": "pubkey"}, []),
        (IPSEC | {"auth": "tls", "pkcs12": {"file": "c.p12"}}, []),
        (IPSEC | {"auth": "tls"}, ["certificate"]),
        (IPSEC | {"auth": "pubkey", "certificate": {"file": "c.pem"}}, ["key"]),
        (IPSEC | CERTIFICATE | {"auth": "tls", "pkcs12": {"file": "c.p12"}}, ["certificate"]),
        (WIREGUARD | KEYS, []),
        (WIREGUARD, ["private_key", "peer_public_key", "addresses"]),
        ({"name": "a", "kind": "wireguard", "profile": "wg0.conf"}, []),
        ({"name": "a", "kind": "wireguard", "profile": "wg0.conf", "private_key": {"env": "X"}}, []),
        ({"name": "a", "kind": "wireguard", "profile": "wg0.conf"} | KEYS, ["peer_public_key", "addresses"]),
        ({"name": "a", "kind": "openvpn", "profile": "client.ovpn", "servers": ["198.51.100.7"]} | LOGIN, []),
        ({"name": "a", "kind": "openvpn", "profile": "client.ovpn"} | CERTIFICATE, ["certificate", "key"]),
        (OPENVPN | LOGIN | {"servers": ["198.51.100.7", "198.51.100.7:1194"]}, ["servers"]),
        (IPSEC | LOGIN | {"servers": ["198.51.100.7:500", "198.51.100.7"]}, ["servers"]),
        (WIREGUARD | KEYS | {"servers": ["198.51.100.7:51820", "198.51.100.7"]}, ["servers"]),
        (OPENVPN | LOGIN | {"name": "longer-than-15-b"}, ["name"]),
        (OPENVPN | LOGIN | {"name": "longer-than-15-b", "interface": "tun-b"}, []),
        (OPENVPN | LOGIN | {"name": "eth0"}, ["name"]),
        (OPENVPN | LOGIN | {"interface": "lo"}, ["interface"]),
        (OPENVPN | LOGIN | {"interface": "enp3s0"}, ["interface"]),
        (OPENVPN | LOGIN | {"interface": "ens"}, []),
        (OPENVPN | LOGIN | {"tls_auth": {"file": "t"}, "tls_crypt": {"file": "t"}}, ["tls_crypt"]),
        (IPSEC | LOGIN | {"proposals": ["aes256-sha256-modp2048", "aes256-modp2048"]}, ["proposals"]),
        ({"name": "a", "kind": "ipsec", "servers": ["a"]} | LOGIN, ["ca"]),
    ],
)
def test_keys_that_must_come_together(raw, keys):
    assert wrong(raw) == keys


def test_the_defaults_contradict_no_profile():
    profile = {"name": "a", "kind": "openvpn", "profile": "client.ovpn"}
    assert wrong(profile, ca={"file": "ca.crt"}, transport="tcp", ciphers=["AES-256-CBC"]) == []
    profile = {"name": "a", "kind": "wireguard", "profile": "wg0.conf"}
    assert wrong(profile, keepalive="25s", allowed_ips=["10.0.0.0/8"]) == []


@pytest.mark.parametrize(
    ("raw", "keys"),
    [
        (IPSEC | LOGIN, []),
        (IPSEC | LOGIN | CERTIFICATE, ["certificate", "key"]),
        (IPSEC | CERTIFICATE | LOGIN | {"auth": "tls", "eap_identity": "me"}, ["username", "password"]),
        (IPSEC | CERTIFICATE | {"auth": "pubkey", "eap_identity": "me"}, ["eap_identity"]),
        (IPSEC | CERTIFICATE | {"auth": "tls", "pkcs12_password": {"env": "X"}}, ["pkcs12_password"]),
        (IPSEC | LOGIN | {"pkcs12_password": {"env": "X"}}, ["pkcs12_password"]),
        (IPSEC | {"auth": "tls", "pkcs12": {"file": "c.p12"}, "pkcs12_password": {"env": "X"}}, []),
        (OPENVPN | LOGIN, []),
    ],
)
def test_keys_that_come_to_nothing(raw, keys):
    entry = TUNNEL_MODELS[TunnelKind(str(raw["kind"]))].model_validate(raw)
    assert [trouble.key for trouble in managed.vain(entry, raw)] == keys
    assert list(managed.vain(entry, ())) == []


@pytest.mark.parametrize(
    ("raw", "defaults", "cleared"),
    [
        (IPSEC | {"auth": "tls", "pkcs12": {"file": "c.p12"}}, CERTIFICATE, {"certificate", "key"}),
        (IPSEC | CERTIFICATE | {"auth": "tls"}, {"pkcs12": {"file": "c.p12"}}, {"pkcs12", "pkcs12_password"}),
        (OPENVPN | LOGIN | {"tls_auth": {"file": "t"}}, {"tls_crypt": {"file": "t"}}, {"tls_crypt"}),
        (OPENVPN | LOGIN, {"tls_crypt": {"file": "t"}} | CERTIFICATE, set()),
    ],
)
def test_what_an_entry_proves_itself_with_replaces_the_defaults(raw, defaults, cleared):
    entry = TUNNEL_MODELS[TunnelKind(str(raw["kind"]))].model_validate({**defaults, **raw})
    own = managed.own_proof(entry, raw)
    assert {key for key in {**defaults, **raw} if getattr(own, key) is None} == cleared & defaults.keys()
    assert list(managed.needs(own, raw)) == []


@pytest.mark.parametrize(
    ("wrong_keys", "left"),
    [
        (set(), ["certificate", "ca"]),
        ({"ca"}, ["certificate"]),
        ({"certifcate"}, ["ca"]),
        ({"pkcs12"}, ["ca"]),
        ({"auth"}, []),
        ({"nothing_of_the_kind"}, ["certificate", "ca"]),
    ],
)
def test_what_was_written_wrongly_is_not_missed(wrong_keys, left):
    model = TUNNEL_MODELS[TunnelKind.IPSEC]
    entry = model.model_validate({"name": "a", "kind": "ipsec", "servers": ["a"], "auth": "tls"})
    found = managed.without_echoes(managed.needs(entry, ()), model, wrong_keys)
    assert [trouble.key for trouble in found] == left


@pytest.mark.parametrize(
    ("fetched", "public", "keys"),
    [
        ({}, None, []),
        ({"password": "correct horse é"}, None, []),
        ({"password": "hunter2\nhunter3"}, None, ["password"]),
        ({"private_key": PRIVATE, "preshared_key": PRIVATE}, None, []),
        ({"private_key": "hunter2", "preshared_key": "hunter3"}, PUBLIC, ["private_key", "preshared_key"]),
        ({"private_key": PRIVATE}, PUBLIC, ["peer_public_key"]),
        ({"private_key": PRIVATE}, PRIVATE, []),
    ],
)
def test_what_was_fetched_is_what_its_key_is_for(fetched, public, keys):
    found = list(managed.fits({key: Secret(text) for key, text in fetched.items()}, public))
    assert [one.key for one in found] == keys
    assert "hunter" not in str(found)
