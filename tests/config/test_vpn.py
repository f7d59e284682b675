"""The specs of files as a whole are in test_clients; here is what wins over what."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import IPv4Network, IPv6Network

from gateway.config import vpn
from gateway.config.profiles.openvpn import OpenVpnProfile
from gateway.config.profiles.wg_quick import WireguardProfile
from gateway.config.tunnel_tables import IpsecTunnel, OpenVpnTunnel, WireguardTunnel
from gateway.model import Compression, Endpoint, IpsecSpec, OpenVpnSpec, Secret, Transport, WireguardSpec

OVPN = OpenVpnProfile(
    text=Secret("text"),
    servers=(Endpoint("a", 1),),
    transport=Transport.TCP,
    login=True,
    username="of-profile",
    password=Secret("of-profile"),
    allow_compression=Compression.NO,
    dns=(),
    blocks={},
    secret_files=(),
    secret=False,
)
WG = WireguardProfile(
    private_key=Secret("of-profile"),
    mtu=1300,
    addresses=("10.0.0.2/32",),
    peer_public_key="of-profile",
    preshared_key=Secret("of-profile"),
    servers=(Endpoint("a", 1),),
    allowed_ips=(IPv4Network("10.0.0.0/8"),),
    keepalive=25,
)


def openvpn(
    profile: OpenVpnProfile | None = OVPN, fetched: str = "", *, own: bool = True, **keys: object
) -> OpenVpnSpec:
    entry = OpenVpnTunnel.model_validate({"name": "a", "kind": "openvpn", **keys})
    written = keys.keys() if own else {"name", "kind"}
    return vpn.openvpn(entry, written, {key: Secret(key) for key in fetched.split()}, profile)


def wireguard(
    profile: WireguardProfile | None = WG, fetched: str = "", *, own: bool = True, **keys: object
) -> WireguardSpec:
    entry = WireguardTunnel.model_validate({"name": "a", "kind": "wireguard", **keys})
    written = keys.keys() if own else {"name", "kind"}
    return vpn.wireguard(entry, written, {key: Secret(key) for key in fetched.split()}, profile)


def test_an_empty_entry_is_the_defaults_of_the_model():
    assert openvpn(None) == OpenVpnSpec()
    entry = IpsecTunnel.model_validate({"name": "a", "kind": "ipsec", "servers": ["b"]})
    assert vpn.ipsec(entry, {}) == IpsecSpec(servers=(Endpoint("b", 500),))
    everything = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    assert wireguard(None) == WireguardSpec(allowed_ips=everything)


def test_a_profile_is_what_it_says():
    assert openvpn() == OpenVpnSpec(
        servers=OVPN.servers,
        transport=Transport.TCP,
        username="of-profile",
        password=Secret("of-profile"),
        allow_compression=Compression.NO,
        profile=Secret("text"),
    )
    of_profile = {field.name: getattr(WG, field.name) for field in fields(WireguardSpec)}
    assert wireguard() == WireguardSpec(**of_profile)


def test_an_entry_wins_over_its_profile():
    password = {"password": {"env": "X"}}
    spec = openvpn(OVPN, "password", username="own", servers=["b"], allow_compression="yes", mtu=1400, **password)
    assert spec == replace(
        openvpn(),
        servers=(Endpoint("b", 1194),),
        username="own",
        password=Secret("password"),
        allow_compression=Compression.YES,
        mtu=1400,
    )
    keys = {"private_key": {"env": "X"}, "preshared_key": {"env": "Y"}}
    assert wireguard(WG, "private_key preshared_key", servers=["b:2"], mtu=1400, **keys) == replace(
        wireguard(),
        servers=(Endpoint("b", 2),),
        private_key=Secret("private_key"),
        preshared_key=Secret("preshared_key"),
        mtu=1400,
    )


def test_a_profile_wins_over_the_defaults():
    password = {"password": {"env": "X"}}
    assert openvpn(OVPN, "password", own=False, username="own", allow_compression="yes", **password) == openvpn()
    assert wireguard(WG, "private_key", own=False, mtu=1400, keepalive="10s", private_key={"env": "X"}) == wireguard()


def test_what_a_profile_leaves_out_the_defaults_may_say():
    silent = replace(OVPN, username=None, password=None, allow_compression=None)
    spec = openvpn(silent, "password", own=False, username="own", allow_compression="yes", password={"env": "X"})
    assert (spec.username, spec.password, spec.allow_compression) == ("own", Secret("password"), Compression.YES)
    assert openvpn(silent).allow_compression is Compression.ASYM
    quiet = replace(WG, keepalive=None, mtu=None)
    assert wireguard(quiet, own=False, mtu=1400, keepalive="10s") == replace(wireguard(), mtu=1400, keepalive=10)
