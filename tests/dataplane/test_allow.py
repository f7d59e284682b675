"""The allow list, as a table; that the listener asks it is in `test_listener`."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from gateway.dataplane import allow
from gateway.dataplane.allow import AllowList, plain_address


@pytest.mark.parametrize(
    ("networks", "client", "answer"),
    [
        ([], "203.0.113.9", True),
        ([], "2001:db8::9", True),
        (["10.0.0.0/8"], "10.255.0.1", True),
        (["10.0.0.0/8"], "11.0.0.1", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "::ffff:11.1.2.3", False),
        (["10.0.0.0/8"], "2001:db8::1", False),
        (["10.0.0.0/8"], "::10.1.2.3", False),  # IPv4-compatible is not v4-mapped
        (["2001:db8::/32"], "2001:db8:1::1", True),
        (["2001:db8::/32"], "2001:db9::1", False),
        (["2001:db8::/32"], "10.0.0.1", False),
        (["::/0"], "10.0.0.1", False),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["192.0.2.1/32", "2001:db8::1/128"], "192.0.2.1", True),
        (["192.0.2.1/32", "2001:db8::1/128"], "2001:db8::1", True),
        (["192.0.2.1/32", "2001:db8::1/128"], "192.0.2.2", False),
    ],
)
def test_who_may_come_in(networks: list[str], client: str, answer: bool) -> None:
    allowed = AllowList(tuple(ip_network(network) for network in networks))
    assert allowed(client) is answer
    assert allowed(client) is answer  # remembered


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allow, "_REMEMBERED", 8)
    allowed = AllowList((ip_network("10.0.0.0/24"),))
    for host in range(256):
        assert allowed(f"10.0.0.{host}")
        assert not allowed(f"10.0.1.{host}")
        assert len(allowed._answers) <= 8


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%lo", "fe80::1"),
        ("::ffff:0:1", "::ffff:0:1"),
    ],
)
def test_the_address_as_people_write_it(written: str, plain: str) -> None:
    assert plain_address(written) == plain
