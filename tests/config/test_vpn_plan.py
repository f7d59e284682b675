"""Managed tunnels as `gateway check` shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.plan import plan
from gateway.config.vpn_plan import VpnRow, vpn_row
from gateway.model import (
    Config,
    Endpoint,
    IpsecAuth,
    IpsecSpec,
    OpenVpnSpec,
    Secret,
    TunnelKind,
    TunnelSpec,
    VpnSpec,
    WireguardSpec,
)
from tests.config.pki import identity
from tests.config.surroundings import PRIVATE, settle

EXAMPLES = Path(__file__).parent.parent.parent / "config/examples"


@pytest.fixture
def example(tmp_path, monkeypatch):
    def read(name: str) -> Config:
        return load(settle(EXAMPLES / name, tmp_path, monkeypatch), icmp_possible=lambda: True)

    return read


def row(vpn: VpnSpec, **more: object) -> VpnRow:
    found = vpn_row(TunnelSpec(name="a", kind=TunnelKind.OPENVPN, interface="a", vpn=vpn, **more))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_three_kinds_in_one_table(example):
    authority = "signed by CN=ca, until 2120-01-01"
    connects = "at start; anew when DOWN for 10s"
    assert plan(example("mixed-redundancy.toml")).vpns == (
        VpnRow(
            name="zone-a",
            servers="vpn-a1.example.com:1194, vpn-a2.example.com:1194",
            how="udp, compression asym",
            login="myuser, by password",
            trust=authority,
            connects=connects,
        ),
        VpnRow(
            name="zone-b",
            servers="vpn-b1.example.com:500, vpn-b2.example.com:500",
            how="mschapv2, esp auto, all networks that the server grants",
            login="myuser, by password",
            trust=authority,
            connects=connects,
        ),
        VpnRow(
            name="zone-c",
            servers="vpn-c1.example.com:51820, vpn-c2.example.com:51820",
            how="as 10.10.30.2/32, keepalive 25s, to 192.168.100.0/24, 10.0.0.53/32",
            login="a private key",
            trust="public key HO/c3Lve...",
            connects=connects,
        ),
    )


def test_who_is_asked_for_the_names_of_servers(example):
    said = plan(example("ipsec.toml")).notes
    assert (
        "the system's resolver is asked for the VPN servers vpn.example.com, vpn-old.example.com, whatever dns says"
        in said
    )
    assert not any("VPN servers" in note for note in plan(load(EXAMPLES / "two-tunnels.toml")).notes)


@pytest.mark.parametrize("name", ["openvpn.toml", "ipsec.toml", "wireguard.toml", "mixed-redundancy.toml"])
def test_no_secret_is_in_it(example, name):
    shown = repr(plan(example(name)))
    for secret in ("hunter2", PRIVATE, "BEGIN"):
        assert secret not in shown


def test_certificates_and_the_names_that_servers_must_have(example):
    with_account, with_certificate, by_profile = plan(example("openvpn.toml")).vpns
    assert with_account.trust == "signed by CN=ca, until 2120-01-01"
    assert with_certificate.login == "certificate CN=client, until 2120-01-01"
    assert with_certificate.trust == "signed by CN=ca, until 2120-01-01, as vpn-2.example.com"
    assert by_profile.how == "udp, compression asym, by a profile"
    _, bundle, pem = plan(example("ipsec.toml")).vpns
    assert bundle.login == "certificate CN=client, until 2120-01-01"
    assert bundle.trust == "signed by CN=ca, until 2120-01-01"
    assert pem.trust.endswith("as vpn.example.com")


def test_what_is_unusual_is_told():
    assert row(OpenVpnSpec(options=("mssfix 1300",), mtu=1400)).how == "udp, compression asym, mssfix 1300, MTU 1400"
    assert row(OpenVpnSpec(), autoconnect=False).connects == "by gateway connect; anew when DOWN for 10s"
    shared = WireguardSpec(preshared_key=Secret("x"), servers=(Endpoint("h", 1),), addresses=("10.0.0.2/32",))
    assert row(shared).login == "a private key, and one that is shared"
    assert "no keepalive" in row(shared).how


def test_an_account_that_is_not_used_is_not_shown():
    spec = IpsecSpec(auth=IpsecAuth.TLS, username="nobody", certificate=identity("client").pem)
    assert row(spec).login == "certificate CN=client, until 2120-01-01"
    assert row(IpsecSpec(username="somebody")).login == "somebody, by password"


def test_who_makes_no_client_has_no_row():
    assert vpn_row(TunnelSpec(name="a", kind=TunnelKind.INTERFACE, interface="a")) is None
