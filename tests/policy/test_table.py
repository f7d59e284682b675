from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.model import Endpoint, Failback, ForwardPolicy, HealthSettings
from gateway.policy.evidence import NamesSeen
from gateway.policy.table import lost_tunnels
from tests.policy.scenes import (
    GOOD,
    LINK_DOWN,
    NO_CARRIER,
    Other,
    Scene,
    Target,
    forward,
    probed_scene,
    probed_tunnel,
    tunnel,
)

NAMED = Endpoint("db.example", 5432)
BALANCED = forward(policy=ForwardPolicy.BALANCE)


def serving(*forwards, tunnels=()) -> Scene:
    scene = Scene(*forwards, tunnels=tunnels)
    scene.sees(a=GOOD, b=GOOD)
    return scene


# ---------------------------------------------------------------- paths


def test_a_path_is_the_device_as_it_is():
    spec = replace(tunnel("a", source="10.20.0.2"), mss=1300, weight=3)
    path = serving(tunnels=(spec, tunnel("b"))).state.table.paths["a"]
    assert (path.interface, path.ifindex, path.source_address) == ("tun-a", GOOD.index, ip_address("10.20.0.2"))
    assert (path.mss, path.weight, path.slow_start, path.ramp_from) == (1300, 3, 0.0, None)


def test_a_device_that_cannot_carry_has_no_path_and_a_soft_fall_keeps_it():
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.5)
    assert set(scene.state.table.paths) == {"a", "b"}
    scene.sees(a=NO_CARRIER, b=GOOD, at=4.0)
    assert set(scene.state.table.paths) == {"b"}


def slow_starting(delay: float = 30.0) -> Scene:
    spec = replace(tunnel("a", delay=delay), slow_start=20.0, weight=2)
    return serving(BALANCED, tunnels=(spec, tunnel("b")))


def test_the_share_of_a_tunnel_that_came_back_grows_when_it_is_given_one():
    scene = slow_starting()
    assert scene.state.table.paths["a"].ramp_from is None, "not at start"
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.state.table.paths["a"].ramp_from == 42.0, "its hold-down comes first"
    scene.waits(60.0)
    path = scene.state.table.paths["a"]
    assert (path.ramp_from, path.slow_start, path.weight) == (42.0, 20.0, 2)
    assert scene.state.table.paths["b"].ramp_from is None


def test_without_a_hold_down_it_grows_at_once():
    scene = slow_starting(delay=0.0)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.state.table.paths["a"].ramp_from == 12.0


def test_the_operator_who_ends_the_hold_down_starts_the_growth():
    scene = slow_starting()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    scene.returns(tunnels="a", at=15.0)
    assert scene.state.table.paths["a"].ramp_from == 15.0


# ---------------------------------------------------------------- choices


def test_a_dead_target_is_looked_for_elsewhere_by_all_who_lead_there():
    scene = probed_scene(forward("x"), forward("y"), forward("z", target=Other), forward("w", "a"))
    for number in range(40):
        scene.answers("a", Other, at=1.0 + number / 10)
        scene.fails("a", sent=1.05 + number / 10, at=1.06 + number / 10)
    assert scene.chosen("x") == scene.chosen("y") == ("b",)
    assert scene.chosen("z", Other) == ("a", "b")
    assert (scene.chosen("w"), scene.choice("w").last_resort) == (("a",), True)


def test_one_dead_port_of_a_host_is_not_the_host():
    port = Endpoint(Target.host, 9999)
    scene = probed_scene(forward("x"), forward("y", target=port))
    for number in range(40):
        scene.answers("a", at=1.0 + number / 10)
        scene.fails("a", port, sent=1.05 + number / 10, at=1.06 + number / 10)
    assert scene.chosen("x") == ("a", "b")
    assert scene.chosen("y", port) == ("b",)


def test_eager_forwards_do_not_wait_and_dead_targets_bind_them_too():
    scene = probed_scene(forward("x"), forward("y", target=Other))
    scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    scene.sees(a=GOOD, b=GOOD, at=2.0)
    for number in range(30):
        scene.answers("a", Other, at=2.1 + number / 10)
        scene.fails("a", sent=2.15 + number / 10, at=2.16 + number / 10)
    assert scene.dead("a") == {Target}
    assert scene.chosen("y", Other) == ("b", "a")
    scene.returns(forwards=("x", "y"), at=6.0)
    assert scene.chosen("y", Other) == ("a", "b")
    assert scene.chosen("x") == ("b",)


def test_staying_is_for_what_is_offered():
    scene = serving(forward(failback=Failback.MANUAL), forward("auto"))
    scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    scene.sees(a=GOOD, b=GOOD, at=2.0)
    scene.waits(40.0)
    assert scene.chosen() == ("b", "a")
    assert scene.chosen("auto") == ("a", "b")
    scene.sees(a=GOOD, b=LINK_DOWN, at=41.0)
    assert scene.chosen() == ("a",)


def test_a_poor_tunnel_comes_after_a_good_one_and_has_no_share():
    health = HealthSettings(failure_latency=0.2)
    tunnels = (probed_tunnel("a", health=health), probed_tunnel("b"))
    scene = probed_scene(forward(), replace(BALANCED, name="shared"), tunnels=tunnels)
    for second in range(1, 20):
        scene.answers("a", at=float(second), rtt=0.5)
    assert scene.chosen() == ("b", "a")
    assert scene.chosen("shared") == ("b",)


# ---------------------------------------------------------------- generations


def test_each_thing_that_differs_makes_a_generation_and_keeps_the_rest_identically():
    scene = serving(forward(target=NAMED))
    first = scene.state.table
    scene.resolves(**{NAMED.host: ("10.0.0.5",)})
    second = scene.state.table
    assert second.generation == first.generation + 1
    assert (second.paths is first.paths, second.choices is first.choices) == (True, True)
    assert (second.addresses is first.addresses, second.tunnel_addresses is first.tunnel_addresses) == (False, True)
    scene.takes(NamesSeen(addresses={}, through={("a", NAMED.host): ("10.9.0.5",)}))
    third = scene.state.table
    assert third.generation == second.generation + 1
    assert third.addresses is second.addresses
    assert third.addresses_through("a", NAMED.host) == ("10.9.0.5",)
    assert third.addresses_through("b", NAMED.host) == ("10.0.0.5",)
    scene.sees(a=replace(GOOD, index=9), b=GOOD, at=5.0)
    assert scene.state.table.generation == third.generation + 1
    assert scene.state.table.tunnel_addresses is third.tunnel_addresses


# ---------------------------------------------------------------- routes


def lost(scene: Scene) -> dict[str, set[str]]:
    return {host: set(names) for host, names in lost_tunnels(scene.state).items()}


def test_a_tunnel_that_asks_for_names_itself_is_judged_by_what_it_was_told():
    own = replace(tunnel("a"), dns=(Endpoint("10.20.0.53", 53),))
    scene = serving(forward(target=NAMED), tunnels=(own, tunnel("b")))
    scene.takes(
        NamesSeen(addresses={NAMED.host: ("10.0.0.5",)}, through={("a", NAMED.host): ("10.9.0.5", "10.9.0.6")}), at=1.0
    )
    unrouted = {("tun-a", "10.0.0.5"), ("tun-b", "10.0.0.5")}
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset(unrouted), at=2.0)
    assert lost(scene) == {NAMED.host: {"b"}}
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", "10.9.0.5")}), at=3.0)
    assert lost(scene) == {}, "the other address leads there"
    both = frozenset({("tun-a", "10.9.0.5"), ("tun-a", "10.9.0.6")})
    scene.sees(a=GOOD, b=GOOD, unrouted=both, at=4.0)
    assert lost(scene) == {NAMED.host: {"a"}}
    assert scene.chosen(target=NAMED) == ("b",)


@pytest.mark.parametrize(("source", "expected"), [("10.20.0.2", {"fd00::30": {"a"}}), ("fd00::2", {"10.0.0.9": {"a"}})])
def test_a_source_of_one_family_leads_to_that_family(source: str, expected: dict[str, set[str]]):
    both = replace(GOOD, addresses=("10.20.0.2", "fd00::2"))
    scene = Scene(
        forward("x", target=Endpoint("fd00::30", 80)),
        forward("y", target=Endpoint("10.0.0.9", 80)),
        tunnels=(tunnel("a", source=source), tunnel("b")),
    )
    scene.sees(a=both, b=both)
    assert lost(scene) == expected
