from __future__ import annotations

import pytest

from gateway.config import managed
from gateway.config.tunnel_tables import TUNNEL_MODELS, InterfaceTunnel
from gateway.model import TunnelKind

OPENVPN = {"name": "a", "kind": "openvpn", "servers": ["198.51.100.7"], "ca": {"file": "ca.crt"}}
IPSEC = {"name": "a", "kind": "ipsec", "servers": ["198.51.100.7"], "ca": {"file": "ca.crt"}}
WIREGUARD = {"name": "a", "kind": "wireguard", "servers": ["198.51.100.7:51820"]}
LOGIN = {"username": "myuser", "password": {"env": "X"}}
CERTIFICATE = {"certificate": {"file": "c.pem"}, "key": {"file": "k.pem"}}
KEYS = {"private_key": {"env": "X"}, "peer_public_key": "A" * 43 + "=", "addresses": ["10.10.30.2/32"]}


def wrong(raw: dict[str, object]) -> list[str]:
    entry = TUNNEL_MODELS[TunnelKind(str(raw["kind"]))].model_validate(raw)
    assert not isinstance(entry, InterfaceTunnel)
    return [trouble.key for trouble in managed.needs(entry)]


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
        (OPENVPN | LOGIN | {"name": "longer-than-15-b"}, ["name"]),
    ],
)
def test_keys_that_must_come_together(raw, keys):
    assert wrong(raw) == keys
