from __future__ import annotations

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import networks


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.168.1.1", "192.168.1.1/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
    ],
)
def test_network(text, network):
    assert networks.parse_network(text) == ip_network(network)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_bits_beyond_the_prefix_are_refused_with_the_network_that_is_meant(address, prefix):
    meant = ip_network(f"{address}/{prefix}", strict=False)
    if address == meant.network_address:
        assert networks.parse_network(f"{address}/{prefix}") == meant
    else:
        with pytest.raises(ValueError, match=f'write "{meant}"'):
            networks.parse_network(f"{address}/{prefix}")


@pytest.mark.parametrize("name", ["lo", "tun0", "tun-a", "eth0.100", "wg_site", "a" * 15])
def test_device(name):
    assert networks.parse_device(name) == name


@pytest.mark.parametrize("name", ["", "a" * 16, "a b", "a/b", "a:b", ".", "..", "tun\n", "tün", 0, None])
def test_no_device(name):
    with pytest.raises(ValueError, match="must be an interface name"):
        networks.parse_device(name)
