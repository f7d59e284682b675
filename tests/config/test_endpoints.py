from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import endpoints
from gateway.config.endpoints import Listen, Server, Target
from gateway.model import Endpoint, ListenAddress, PortMap

PORTS = st.integers(1, 65_535)
RANGES = st.tuples(PORTS, PORTS).map(sorted)
ADDRESSES = st.ip_addresses().map(str)


def usable(text: str) -> bool:
    address = ip_address(canonical(text))
    return not (address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255")


def canonical(text: str) -> str:
    mapped = getattr(ip_address(text), "ipv4_mapped", None)
    return text if mapped is None else str(mapped)


@pytest.mark.parametrize(
    ("value", "listen"),
    [
        (33000, Listen(None, 33000, 33000)),
        ("33000", Listen(None, 33000, 33000)),
        ("33000-33009", Listen(None, 33000, 33009)),
        ("0.0.0.0:33000", Listen("0.0.0.0", 33000, 33000)),
        ("[::]:33000", Listen("::", 33000, 33000)),
        ("[2001:DB8:0::1]:1-65535", Listen("2001:db8::1", 1, 65535)),
        ("[::ffff:10.0.0.1]:80", Listen("10.0.0.1", 80, 80)),
    ],
)
def test_listen(value, listen):
    assert endpoints.parse_listen(value) == listen


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("192.168.100.30:8080", Target("192.168.100.30", 8080, 8080)),
        ("[2001:DB8::0:1]:80-89", Target("2001:db8::1", 80, 89)),
        ("[::ffff:10.0.0.1]:80", Target("10.0.0.1", 80, 80)),
        ("DB.Example.com:5432", Target("db.example.com", 5432, 5432)),
        ("db.example.com.:5432", Target("db.example.com.", 5432, 5432)),
        ("7-eleven:1", Target("7-eleven", 1, 1)),
        (f"{'a' * 63}:1", Target("a" * 63, 1, 1)),
    ],
)
def test_target(value, target):
    assert endpoints.parse_target(value) == target


@pytest.mark.parametrize(
    "value",
    [
        "a_b:1",
        "a..b:1",
        ".:1",
        "-a:1",
        "a-:1",
        f"{'a' * 64}:1",
        f"{'a.' * 127}a:1",
        "1.2.3:1",
        "10.0.0.256:1",
        "ä.de:1",
        "224.0.0.1:1",
        "[::]:1",
        "[ff02::1]:1",
        "255.255.255.255:1",
        "a:+1",
        "a:1-",
        "a:-1",
        "a:1-2-3",
        "a:1 ",
        "[]:1",
    ],
)
def test_no_target(value):
    with pytest.raises(ValueError, match=r"."):
        endpoints.parse_target(value)


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("198.51.100.7", Server("198.51.100.7", None)),
        ("198.51.100.7:1194", Server("198.51.100.7", 1194)),
        ("[2001:db8::1]", Server("2001:db8::1", None)),
        ("[2001:db8::1]:500", Server("2001:db8::1", 500)),
        ("VPN.example.com:443", Server("vpn.example.com", 443)),
    ],
)
def test_server(value, server):
    assert endpoints.parse_server(value) == server


@pytest.mark.parametrize(
    ("value", "server"),
    [
        ("10.0.0.53", Endpoint("10.0.0.53", 53)),
        ("10.0.0.53:5353", Endpoint("10.0.0.53", 5353)),
        ("[2001:DB8::53]", Endpoint("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", Endpoint("2001:db8::53", 5353)),
        ("[::ffff:10.0.0.53]", Endpoint("10.0.0.53", 53)),
    ],
)
def test_name_server(value, server):
    assert endpoints.parse_name_server(value) == server


@pytest.mark.parametrize("value", ["ns.example.com", "ns.example.com:53", "2001:db8::53", "10.0.0.53:", "", "::", 53])
def test_no_name_server(value):
    with pytest.raises(ValueError, match=r"10\.0\.0\.53|host name"):
        endpoints.parse_name_server(value)


@given(st.none() | ADDRESSES, RANGES)
def test_a_listen_address_is_read_as_it_is_shown(host, ports):
    shown = str(Listen(host, *ports)).removeprefix("*:")
    assert endpoints.parse_listen(shown) == Listen(None if host is None else canonical(host), *ports)


@given(
    ADDRESSES.filter(usable) | st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
    RANGES,
)
def test_a_target_is_read_as_it_is_shown(host, ports):
    expected = canonical(host) if host[0].isdigit() or ":" in host else host
    assert endpoints.parse_target(str(Target(host, *ports))) == Target(expected, *ports)


@given(PORTS, PORTS, st.integers(1, 50))
def test_ranges_of_one_length_pair_in_order(listen, target, length):
    first = Listen(None, min(listen, 65_536 - length), min(listen, 65_536 - length) + length - 1)
    goal = Target("10.0.0.1", min(target, 65_536 - length), min(target, 65_536 - length) + length - 1)
    assert endpoints.pair(first, goal) == tuple(
        PortMap(listen=ListenAddress(None, first.first + i), target=Endpoint("10.0.0.1", goal.first + i))
        for i in range(length)
    )


@given(RANGES, RANGES)
def test_ranges_of_two_lengths_do_not_pair(ports, targets):
    if ports[1] - ports[0] != targets[1] - targets[0]:
        with pytest.raises(ValueError, match="as many are needed"):
            endpoints.pair(Listen(None, *ports), Target("10.0.0.1", *targets))


def test_a_name_must_be_resolved_and_an_address_not():
    assert endpoints.is_name("db.example.com")
    assert not endpoints.is_name("10.0.0.1")
    assert not endpoints.is_name("2001:db8::1")
