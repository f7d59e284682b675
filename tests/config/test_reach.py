"""Targets that a tunnel's own networks leave out."""

from ipaddress import ip_network

import pytest

from gateway.config.reach import unreached
from gateway.model import (
    Endpoint,
    ForwardSpec,
    HealthSettings,
    IpsecSpec,
    ListenAddress,
    OpenVpnSpec,
    PortMap,
    ProbeKind,
    ProbeSpec,
    TunnelKind,
    TunnelSpec,
    WireguardSpec,
)


def networks(*texts):
    return tuple(map(ip_network, texts))


def tunnel(vpn, **more):
    return TunnelSpec(name="a", kind=TunnelKind.WIREGUARD, interface="a", vpn=vpn, **more)


def forward(host, name="hello", tunnels=("a",)):
    return ForwardSpec(
        name=name, ports=(PortMap(listen=ListenAddress(None, 1), target=Endpoint(host, 80)),), tunnels=tunnels
    )


@pytest.mark.parametrize(
    ("vpn", "host", "key"),
    [
        (WireguardSpec(allowed_ips=networks("10.0.0.0/8")), "192.168.1.1", "allowed_ips"),
        (WireguardSpec(allowed_ips=networks("10.0.0.0/8", "192.168.0.0/16")), "192.168.1.1", None),
        (WireguardSpec(allowed_ips=networks("0.0.0.0/0", "::/0")), "192.168.1.1", None),
        (WireguardSpec(allowed_ips=networks("10.0.0.0/8", "::/0")), "192.168.1.1", "allowed_ips"),
        (WireguardSpec(allowed_ips=networks("10.0.0.0/8")), "2001:db8::1", "allowed_ips"),
        (WireguardSpec(allowed_ips=networks("10.0.0.0/8")), "db.example.com", None),
        (IpsecSpec(remote_networks=networks("10.0.0.0/8")), "192.168.1.1", "remote_networks"),
        (IpsecSpec(), "192.168.1.1", None),
        (OpenVpnSpec(), "192.168.1.1", None),
        (None, "192.168.1.1", None),
    ],
)
def test_targets(vpn, host, key):
    found = list(unreached([tunnel(vpn)], [forward(host)]))
    assert [each.key for each in found] == ([] if key is None else [key])
    assert all(f"{host} (forward hello)" in each.text for each in found)


def test_only_forwards_that_use_the_tunnel_count():
    vpn = WireguardSpec(allowed_ips=networks("10.0.0.0/8"))
    assert list(unreached([tunnel(vpn)], [forward("192.168.1.1", tunnels=("b",))])) == []


def test_probes_and_name_servers_are_to_be_reached_as_well():
    probe = ProbeSpec(label="icmp://192.168.2.2", kind=ProbeKind.ICMP, host="192.168.2.2")
    spec = tunnel(
        WireguardSpec(allowed_ips=networks("10.0.0.0/8")),
        dns=(Endpoint("192.168.1.53", 53),),
        health=HealthSettings(probes=(probe,)),
    )
    (found,) = unreached([spec], [forward("10.1.1.1")])
    assert "192.168.2.2 (probe icmp://192.168.2.2), 192.168.1.53 (dns)" in found.text


def test_of_many_the_first_are_named():
    vpn = WireguardSpec(allowed_ips=networks("10.0.0.0/8"))
    (found,) = unreached([tunnel(vpn)], [forward(f"192.168.1.{i}", name=f"f{i}") for i in range(1, 6)])
    assert "192.168.1.3 (forward f3) and 2 more" in found.text
    assert "192.168.1.4" not in found.text


def test_networks_of_one_family_leave_the_other_out():
    vpn = WireguardSpec(allowed_ips=networks("0.0.0.0/0"))
    (found,) = unreached([tunnel(vpn)], [forward("2001:db8::1"), forward("10.0.0.1")])
    assert found.text.startswith("there is no way to 2001:db8::1 (forward hello): ")
