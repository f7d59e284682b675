from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.model import Aim, Endpoint, HealthSettings, ProbeKind, ProbePlan, ProbeSpec
from gateway.policy.aims import is_probed, label_of, probe_plans
from gateway.policy.evidence import NamesSeen
from gateway.policy.table import paths_of
from tests.policy.scenes import (
    GOOD,
    LINK_DOWN,
    REMADE,
    Other,
    Scene,
    Target,
    forward,
    http,
    icmp,
    probed_scene,
    probed_tunnel,
)

NAMED = Endpoint("db.example", 5432)
V6 = Endpoint("fd00::30", 80)


def aims(scene: Scene, tunnel: str = "a") -> dict[str, tuple[str, ...]]:
    return {aim.spec.label: aim.addresses for aim in scene.state.plans[tunnel].aims}


def targets(scene: Scene, tunnel: str = "a") -> list[str]:
    return [aim.spec.label for aim in scene.state.plans[tunnel].targets]


def seen(*forwards, tunnels=()) -> Scene:
    return probed_scene(*forwards, tunnels=tunnels, up=False)


def test_a_target_is_named_as_a_tcp_probe_of_it_would_be():
    assert label_of(Target) == "tcp://192.168.100.30:8080"
    assert label_of(V6) == "tcp://[fd00::30]:80"


def test_nothing_is_planned_before_the_first_look():
    assert Scene(tunnels=(probed_tunnel("a"), probed_tunnel("b"))).state.plans == {}


def test_by_default_the_targets_of_the_forwards_that_use_the_tunnel():
    scene = seen(forward(), forward("twin"), forward("other", "a", target=Other))
    assert aims(scene) == {label_of(Target): (Target.host,), label_of(Other): (Other.host,)}
    assert aims(scene, "b") == {label_of(Target): (Target.host,)}
    assert targets(scene) == []
    (aim, _) = scene.state.plans["a"].aims
    assert aim.spec == ProbeSpec(label=label_of(Target), kind=ProbeKind.TCP, host=Target.host, port=Target.port)
    assert scene.decisions[0].plans is scene.state.plans


def test_configured_probes_and_the_targets_that_are_looked_at_only_when_suspect():
    echo, web = icmp("10.20.0.1"), http(Target)
    scene = seen(forward(), forward("other", target=Other), tunnels=(probed_tunnel("a", echo, web), probed_tunnel("b")))
    assert aims(scene) == {echo.label: ("10.20.0.1",), web.label: (Target.host,)}
    assert targets(scene) == [label_of(Other)], "a target that is an aim anyway is none"


def test_no_probes_at_all_leaves_the_targets():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    assert aims(scene) == {}
    assert targets(scene) == [label_of(Target)]


def test_a_name_is_an_aim_once_it_has_an_address_where_the_tunnel_asks():
    scene = seen(forward(target=NAMED))
    assert aims(scene) == {}
    made = scene.resolves(at=1.0, **{NAMED.host: ("10.0.0.5", "10.0.0.6")})
    assert made.plans is not None
    assert aims(scene) == {label_of(NAMED): ("10.0.0.5", "10.0.0.6")}
    scene.takes(NamesSeen(addresses={}, through={("a", NAMED.host): ("10.9.0.5",)}), at=2.0)
    assert aims(scene) == {label_of(NAMED): ("10.9.0.5",)}, "its own name servers say otherwise"
    assert aims(scene, "b") == {label_of(NAMED): ("10.0.0.5", "10.0.0.6")}
    assert scene.resolves(at=3.0, **{NAMED.host: ("10.0.0.5", "10.0.0.6")}).plans is None, "that is no news"


def test_a_target_without_a_route_is_no_aim():
    scene = seen(forward(), forward("other", target=Other))
    made = scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", Target.host)}), at=1.0)
    assert made.plans is not None
    assert list(aims(scene)) == [label_of(Other)]
    assert list(aims(scene, "b")) == [label_of(Target), label_of(Other)]
    scene.sees(a=GOOD, b=GOOD, at=2.0)
    assert list(aims(scene)) == [label_of(Target), label_of(Other)]


def test_only_addresses_of_the_family_of_a_fixed_source():
    spec = replace(probed_tunnel("a"), source_address=ip_address("10.20.0.2"))
    scene = seen(forward(target=NAMED), tunnels=(spec, probed_tunnel("b")))
    scene.resolves(**{NAMED.host: ("fd00::5", "10.0.0.5")})
    assert aims(scene) == {label_of(NAMED): ("10.0.0.5",)}
    assert aims(scene, "b") == {label_of(NAMED): ("fd00::5", "10.0.0.5")}


def test_a_device_that_cannot_be_used_has_a_plan_without_a_path():
    scene = seen()
    path = scene.state.plans["a"].path
    assert path is not None
    assert path.ifindex == GOOD.index
    made = scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    assert made.plans is not None
    assert made.plans["a"].path is None
    assert aims(scene) == {label_of(Target): (Target.host,)}
    scene.sees(a=REMADE, b=GOOD, at=2.0)
    path = scene.state.plans["a"].path
    assert path is not None
    assert path.ifindex == REMADE.index


def test_a_plan_in_which_nothing_differs_is_the_same_one():
    scene = seen()
    before = scene.state.plans
    assert scene.sees(a=GOOD, b=GOOD, at=1.0).plans is None
    assert scene.answers("a", at=1.5).plans is None
    state = replace(scene.state, lost=dict(scene.state.lost))  # worked out anew, to the same
    assert probe_plans(scene.state, state, paths_of(state)) is before


@pytest.mark.parametrize(
    ("probes", "aimed", "has_targets", "probed"),
    [
        (None, (), True, True),  # nobody could use the tunnel either
        (None, (), False, False),
        ((), (), True, False),
        ((http(Target),), (http(Target),), True, True),
        ((http(Target),), (), True, False),  # its name has no address: looks must do
        ((icmp("10.0.0.1", size=1400),), (icmp("10.0.0.1", size=1400),), True, False),
        ((icmp("10.0.0.1"),), (icmp("10.0.0.1"),), False, True),
    ],
)
def test_whether_answers_show_life_or_looks(probes, aimed, has_targets: bool, probed: bool):
    plan = ProbePlan(
        path=None,
        settings=HealthSettings(probes=probes),
        aims=tuple(Aim(spec=spec, addresses=("10.0.0.1",)) for spec in aimed),
    )
    assert is_probed(plan, has_targets=has_targets) is probed
