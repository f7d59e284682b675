from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.model import (
    Endpoint,
    ForwardSpec,
    HealthSettings,
    LinkFacts,
    ListenAddress,
    PortMap,
    ProbeKind,
    ProbeSpec,
    TunnelKind,
    TunnelSpec,
)
from gateway.policy.names import Questions, TunnelNames, Way, questions, tunnel_names

SERVERS = (Endpoint("10.20.0.53", 53), Endpoint("fd20::53", 53))


def forward(*tunnels: str, hosts: tuple[str, ...] = ("db",)) -> ForwardSpec:
    ports = tuple(PortMap(listen=ListenAddress(None, 33000), target=Endpoint(host, 5432)) for host in hosts)
    return ForwardSpec(name="hello", ports=ports, tunnels=tunnels)


def tunnel(name: str, *, dns: bool = False, probes: tuple[str, ...] | None = None) -> TunnelSpec:
    specs = None if probes is None else tuple(ProbeSpec(label=it, kind=ProbeKind.TCP, host=it) for it in probes)
    return TunnelSpec(
        name=name,
        kind=TunnelKind.INTERFACE,
        interface=f"tun-{name}",
        dns=SERVERS if dns else (),
        health=HealthSettings(probes=specs),
    )


def asked(*system: str, **through: set[str]) -> Questions:
    return Questions(system=frozenset(system), through={name: frozenset(hosts) for name, hosts in through.items()})


PLAIN, OWN, OTHER = tunnel("plain"), tunnel("own", dns=True), tunnel("other", dns=True)

CASES = {
    "nothing": ([], [PLAIN, OWN], asked()),
    "addresses are no names": ([forward("plain", "own", hosts=("10.0.0.5", "fd00::5"))], [PLAIN, OWN], asked()),
    "of the system": ([forward("plain")], [PLAIN, OWN], asked("db")),
    "of a tunnel's servers, and never of the system": ([forward("own")], [PLAIN, OWN], asked(own={"db"})),
    "of each tunnel that has servers": ([forward("own", "other")], [OWN, OTHER], asked(own={"db"}, other={"db"})),
    "of both": ([forward("own", "plain")], [PLAIN, OWN], asked("db", own={"db"})),
    "of whatever some forward's tunnels ask": (
        [forward("own", hosts=("db", "ldap")), forward("plain", hosts=("ldap",))],
        [PLAIN, OWN],
        asked("ldap", own={"db", "ldap"}),
    ),
    "each host of a range": ([forward("own", hosts=("db", "10.0.0.5", "ldap"))], [OWN], asked(own={"db", "ldap"})),
    "probes in their tunnel's way": (
        [],
        [tunnel("plain", probes=("www", "10.0.0.1")), tunnel("own", dns=True, probes=("ldap", "fd00::1"))],
        asked("www", own={"ldap"}),
    ),
}


@pytest.mark.parametrize(("forwards", "tunnels", "expected"), CASES.values(), ids=CASES.keys())
def test_who_is_asked_for_what(forwards: list[ForwardSpec], tunnels: list[TunnelSpec], expected: Questions):
    assert questions(forwards, tunnels) == expected


GOOD = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2",))
WAY = Way(servers=SERVERS, interface="tun-own", ifindex=7)

LINKS = {
    "there": (GOOD, WAY),
    "made again": (replace(GOOD, index=8), replace(WAY, ifindex=8)),
    "down": (replace(GOOD, up=False), replace(WAY, ifindex=None)),
    "no carrier": (replace(GOOD, carrier=False), replace(WAY, ifindex=None)),
    "with an IPv6 address": (replace(GOOD, addresses=("10.20.0.2", "fd20::2")), replace(WAY, leading=6)),
}


@pytest.mark.parametrize(("link", "way"), LINKS.values(), ids=LINKS.keys())
def test_the_way_is_as_the_device_is(link: LinkFacts, way: Way):
    made = tunnel_names(asked("www", own={"db"}), [PLAIN, OWN], {"tun-own": link})
    assert made == {"own": TunnelNames(hosts=frozenset({"db"}), way=way)}
    assert way.usable is (way.ifindex is not None)


def test_without_a_device_there_is_no_way():
    links: Mapping[str, LinkFacts] = {"tun-plain": GOOD}
    assert tunnel_names(asked(own={"db"}), [PLAIN, OWN], links)["own"].way == replace(WAY, ifindex=None)


@pytest.mark.parametrize(("source", "usable"), [("10.20.0.2", True), ("10.20.0.9", False)])
def test_a_source_address_has_to_be_on_the_device(source: str, usable: bool):
    spec = replace(OWN, source_address=ip_address(source))
    way = tunnel_names(asked(own={"db"}), [spec], {"tun-own": GOOD})["own"].way
    assert way.source_address == ip_address(source)
    assert way.usable is usable
