from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from time import process_time

from gateway.model import Endpoint, HealthSettings, ProbeKind, ProbeSpec, RoutesMode
from gateway.policy.destinations import LINGER, destinations, kept, needs, networks
from tests.policy.scenes import forward, tunnel

MANAGED = replace(tunnel("a"), routes=RoutesMode.MANAGED)


def these(*addresses: str) -> frozenset[str]:
    return frozenset(addresses)


def test_targets_probes_and_name_servers_of_the_tunnels_whose_routes_are_ours():
    probes = (
        ProbeSpec(label="tcp://10.0.0.9:80", kind=ProbeKind.TCP, host="10.0.0.9", port=80),
        ProbeSpec(label="icmp://fd00::9", kind=ProbeKind.ICMP, host="fd00::9"),
    )
    own = replace(MANAGED, dns=(Endpoint("10.0.0.53", 53),), health=HealthSettings(probes=probes))
    wanted = needs(
        (
            forward("hello", "a", "b", target=Endpoint("10.0.0.1", 80)),
            forward("other", "b", target=Endpoint("10.0.0.2", 80)),
        ),
        (own, tunnel("b")),
    )
    assert destinations(wanted, {}, {}) == {"a": these("10.0.0.1", "10.0.0.9", "fd00::9", "10.0.0.53")}


def test_names_are_where_the_tunnel_looks_for_them():
    wanted = needs(
        (forward("db", "a", "b", target=Endpoint("db.example", 5432)),),
        (MANAGED, replace(MANAGED, name="b", dns=(Endpoint("10.0.0.53", 53),))),
    )
    system = {"db.example": ("10.0.0.1", "fd00::1"), "unasked.example": ("10.9.9.9",)}
    assert destinations(wanted, system, {}) == {"a": these("10.0.0.1", "fd00::1"), "b": these("10.0.0.53")}
    assert destinations(wanted, system, {("b", "db.example"): ("10.7.0.1",)}) == {
        "a": these("10.0.0.1", "fd00::1"),
        "b": these("10.0.0.53", "10.7.0.1"),
    }


def test_addresses_that_a_name_had_stay_for_a_while():
    old, new = these("10.0.0.1"), these("10.0.0.2")
    seen = kept(kept({}, old, 0.0), new, 100.0)
    assert seen.keys() == old | new
    assert kept(seen, new, LINGER - 1.0).keys() == old | new
    assert kept(seen, new, LINGER).keys() == new
    assert kept(kept(seen, old, 200.0), new, LINGER + 199.0).keys() == old | new


def test_ten_thousand_forwards_are_cheap():
    hosts = [f"10.{number >> 8}.{number & 255}.1" for number in range(10_000)]
    forwards = tuple(forward(f"f{host}", "a", target=Endpoint(f"{host}.example", 80)) for host in hosts)
    system = {f"{host}.example": (host,) for host in hosts}
    wanted = needs(forwards, (MANAGED,))
    seen = kept({}, destinations(wanted, system, {})["a"], 0.0)
    known = networks(frozenset(), (), seen)
    assert len(known) == 10_000
    begun = process_time()
    again = kept(seen, destinations(wanted, {**system, "10.0.0.1.example": ("10.99.0.1",)}, {})["a"], 1.0)
    assert len(networks(known, seen, again)) == 10_001
    assert process_time() - begun < 0.1, "0.01 s on a machine with nothing else to do"


def test_networks_are_those_of_the_addresses():
    old = networks(frozenset(), (), ("10.0.0.1", "fd00::1"))
    assert old == {ip_network("10.0.0.1/32"), ip_network("fd00::1/128")}
    assert networks(old, ("10.0.0.1", "fd00::1"), ("fd00::1", "10.0.0.2")) == {
        ip_network("fd00::1"),
        ip_network("10.0.0.2"),
    }
