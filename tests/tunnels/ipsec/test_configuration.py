"""The exact orders. What charon makes of them is in test_client.py; those for kernel ESP are tested here alone."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.model import Endpoint, IpsecAuth, IpsecSpec, Secret
from gateway.tunnels.ipsec.configuration import Order, initiation, orders
from gateway.tunnels.ipsec.credentials import Credentials

_SERVER = Endpoint("vpn.example.com", 500)
_ACCOUNT = {"username": "gw-user", "password": Secret("planted")}
_BELIEVED = Credentials(authorities=(b"ca",))
_OWN = Credentials(authorities=(b"ca",), certificate=b"own", chain=(b"between",), key=Secret("key"))
_CHILD = {
    "mode": "tunnel",
    "remote_ts": ["0.0.0.0/0"],
    "start_action": "none",
    "dpd_action": "clear",
    "close_action": "none",
}
_CONNECTION = {
    "version": 2,
    "remote_addrs": ["vpn.example.com"],
    "remote_port": 500,
    "vips": ["0.0.0.0"],
    "encap": "yes",
    "fragmentation": "yes",
    "unique": "never",
    "mobike": "no",
    "dpd_delay": "2s",
    "keyingtries": 1,
    "send_cert": "always",
    "local": {"auth": "eap-mschapv2", "id": "gw-user", "eap_id": "gw-user"},
    "remote": {"auth": "pubkey", "id": "vpn.example.com", "cacerts": [b"ca"]},
    "children": {"networks": _CHILD},
}


def _orders(credentials=_BELIEVED, if_id=None, **spec):
    return list(orders(IpsecSpec(**spec), _SERVER, credentials, if_id=if_id))


def _connection(credentials=_BELIEVED, if_id=None, **spec):
    *_, (command, message) = _orders(credentials, if_id, **spec)
    assert command == "load-conn"
    return message["gateway"]


def test_with_an_account():
    assert _orders(**_ACCOUNT) == [
        Order("load-cert", {"type": "X509", "flag": "CA", "data": b"ca"}),
        Order("load-shared", {"id": "account", "type": "EAP", "data": "planted"}),
        Order("load-conn", {"gateway": _CONNECTION}),
    ]


@pytest.mark.parametrize(("auth", "word"), [(IpsecAuth.TLS, "eap-tls"), (IpsecAuth.PUBKEY, "pubkey")])
def test_with_a_certificate(auth, word):
    assert _orders(_OWN, auth=auth) == [
        Order("load-cert", {"type": "X509", "flag": "CA", "data": b"ca"}),
        Order("load-cert", {"type": "X509", "flag": "NONE", "data": b"between"}),
        Order("load-key", {"type": "any", "data": "key"}),
        Order("load-conn", {"gateway": {**_CONNECTION, "local": {"auth": word, "certs": [b"own"]}}}),
    ]


def test_the_kernel_s_esp_is_bound_to_the_xfrm_interface():
    assert _connection(if_id=42, **_ACCOUNT)["children"] == {"networks": {**_CHILD, "if_id_in": 42, "if_id_out": 42}}


@pytest.mark.parametrize(
    ("auth", "spec", "local"),
    [
        (IpsecAuth.MSCHAPV2, {"eap_identity": "CORP\\me"}, {"id": "CORP\\me", "eap_id": "CORP\\me"}),
        (IpsecAuth.MSCHAPV2, {"local_id": "gw.example.com"}, {"id": "gw.example.com", "eap_id": "gw-user"}),
        (IpsecAuth.TLS, {"local_id": "gw.example.com", "eap_identity": "me"}, {"id": "gw.example.com", "eap_id": "me"}),
        (IpsecAuth.PUBKEY, {"local_id": "gw.example.com", "eap_identity": "me"}, {"id": "gw.example.com"}),
    ],
)
def test_identities_are_those_that_are_configured(auth, spec, local):
    found = dict(_connection(auth=auth, **_ACCOUNT, **spec)["local"])
    del found["auth"]
    assert found == local


def test_the_server_s_identity_may_be_another_than_its_host():
    assert _connection(remote_id="C=US, CN=vpn", **_ACCOUNT)["remote"]["id"] == "C=US, CN=vpn"


def test_networks_are_asked_for_and_ipv6_brings_an_address_of_its_own():
    found = _connection(remote_networks=(ip_network("192.168.100.0/24"), ip_network("fd00::/8")), **_ACCOUNT)
    assert found["vips"] == ["0.0.0.0", "::"]
    assert found["children"]["networks"]["remote_ts"] == ["192.168.100.0/24", "fd00::/8"]


@pytest.mark.parametrize(
    ("proposals", "esp"),
    [
        (("aes256-sha256-modp2048", "aes256-sha256-ecp256"), ["aes256-sha256", "default"]),
        (("aes256gcm16-prfsha384-ecp384",), ["aes256gcm16", "default"]),
        (("3des-sha1-modp1024",), ["3des-sha1", "default"]),
        (("default",), ["default"]),
    ],
)
def test_proposals_for_ike_are_offered_for_esp_too_without_their_key_exchange(proposals, esp):
    found = _connection(proposals=proposals, **_ACCOUNT)
    assert found["proposals"] == list(proposals)
    assert found["children"]["networks"]["esp_proposals"] == esp


def test_connecting_is_given_a_time_in_milliseconds():
    assert initiation(15.0) == {"ike": "gateway", "child": "networks", "timeout": 15000, "loglevel": 0}
