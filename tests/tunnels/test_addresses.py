"""Which addresses a tunnel may have."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.tunnels.addresses import refusal, taken, target

VIP, VIP6 = ip_address("10.10.20.6"), ip_address("fd00::6")


@pytest.mark.parametrize("text", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "224.0.0.5", "ff02::1"])
def test_what_is_everybodys_is_no_tunnels(text):
    assert text in (refusal([VIP, ip_address(text)]) or "")


@pytest.mark.parametrize("text", ["10.10.20.6", "169.254.7.2", "100.64.0.9", "203.0.113.4", "fd00::6", "2001:db8::6"])
def test_others_may_be(text):
    assert refusal([ip_address(text)]) is None


def test_an_address_of_the_machine_is_its_own():
    why = taken([VIP, VIP6], [(ip_address("127.0.0.1"), "lo"), (VIP6, "eth0")])
    assert why == "the tunnel cannot have the address fd00::6: it is this machine's own, on eth0"
    assert taken([VIP, VIP6], [(ip_address("10.10.20.7"), "eth0")]) is None


def test_what_a_tunnel_leads_to_is_no_tunnels_own():
    targets = {ip_network("192.168.100.30/32"), ip_network("fd00::6/128"), ip_network("10.10.0.0/16")}
    assert target([VIP, VIP6], targets) == "the tunnel cannot have the address fd00::6: a tunnel leads to it"
    assert target([VIP], targets) is None, "a network that is led to has the tunnels' own addresses in it"
