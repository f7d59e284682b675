from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import AdminState, Cause, Failback, ForwardPolicy, HealthSettings
from gateway.policy.evidence import TimePassed
from tests.policy.scenes import (
    GOOD,
    LINK_DOWN,
    Other,
    Scene,
    Target,
    forward,
    probed_scene,
    probed_tunnel,
    tunnel,
)


def serving(*forwards, tunnels=(), **links) -> Scene:
    scene = Scene(*forwards, tunnels=tunnels)
    scene.sees(**({"a": GOOD, "b": GOOD} | links))
    return scene


def evidence_at(scene: Scene) -> list[float]:
    return [it.evidence_at for made in scene.decisions for it in made.failovers]


# ---------------------------------------------------------------- leaving


def test_evidence_of_a_fact_is_the_fact():
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    assert evidence_at(scene) == [10.0]


def test_evidence_of_an_outage_is_what_began_it():
    scene = serving(b=LINK_DOWN)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=10.0)
    scene.sees(a=LINK_DOWN, b=GOOD, at=20.0)
    scene.waits(21.0)
    assert scene.failovers() == [("hello", "a", "b", Cause.LINK_DOWN)]
    assert evidence_at(scene) == [10.0]


def test_an_outage_that_ends_with_the_first_one_in_its_hold_down_is_a_failover():
    """b has never been UP, so that it is not held: new sessions go there, although a is back, too."""
    scene = serving(b=LINK_DOWN)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.chosen() == ("b", "a")
    assert scene.failovers() == [("hello", "a", "b", Cause.LINK_DOWN)]
    scene.waits(42.0)
    assert scene.returned() == [("hello", "b", "a")]


def test_two_last_resorts_in_a_row_are_failovers_for_what_the_first_fell_of():
    scene = serving(tunnels=(tunnel("a"), tunnel("b")))
    scene.hears("a", Cause.PROBES, at=1.0)
    scene.hears("b", Cause.STALL, at=2.0)
    assert scene.chosen() == ("a",)
    assert scene.choice().last_resort
    scene.sees(a=LINK_DOWN, b=GOOD, at=3.0)
    assert scene.chosen() == ("b",)
    assert scene.failovers() == [
        ("hello", "a", "b", Cause.PROBES),
        ("hello", "b", "a", Cause.STALL),
        ("hello", "a", "b", Cause.LINK_DOWN),
    ]


def test_what_came_back_is_no_reason_to_leave():
    """a, a last resort, and b come back at once; a balanced forward gives a, which is held, no share."""
    scene = serving(forward(policy=ForwardPolicy.BALANCE), b=LINK_DOWN)
    scene.hears("a", Cause.PROBES, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.hears("a", None, at=11.0)
    scene.takes(TimePassed(), at=12.0)
    assert scene.chosen() == ("b",)
    assert scene.failovers() == [], "recovery is not what failed it"


@pytest.mark.parametrize("admin", [AdminState.DISABLED, AdminState.DRAINING])
def test_the_operators_wish_is_no_failover_and_coming_back_is_a_return(admin: AdminState):
    scene = serving()
    scene.wants("a", admin, at=1.0)
    scene.wants("a", AdminState.ENABLED, at=2.0)
    assert scene.failovers() == []
    assert scene.returned() == [("hello", "b", "a")]


def test_a_balanced_forward_neither_returns_nor_fails_over_while_its_tunnel_is_offered():
    scene = serving(forward(policy=ForwardPolicy.BALANCE))
    scene.sees(a=GOOD, b=LINK_DOWN, at=1.0)
    scene.sees(a=GOOD, b=GOOD, at=2.0)
    scene.waits(60.0)
    assert scene.failovers() == []
    scene.sees(a=LINK_DOWN, b=GOOD, at=61.0)
    scene.sees(a=GOOD, b=GOOD, at=62.0)
    scene.waits(200.0)
    assert scene.failovers() == [("hello", "a", "b", Cause.LINK_DOWN)]
    assert scene.returned() == []


# ---------------------------------------------------------------- returning


def held(*forwards) -> Scene:
    """At 12.0 a is UP again, and held until 42.0."""
    scene = serving(*forwards)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.chosen(scene.state.forwards[0].name)[0] == "b"
    return scene


def test_a_return_is_no_failover():
    scene = held()
    scene.waits(42.0)
    assert scene.returned() == [("hello", "b", "a")]
    assert len(scene.failovers()) == 1


def test_return_now_ends_the_hold_down_of_a_tunnel():
    scene = held(forward("x"), forward("y"))
    scene.returns(tunnels="a", at=13.0)
    assert scene.returned() == [("x", "b", "a"), ("y", "b", "a")]
    scene.sees(a=LINK_DOWN, b=GOOD, at=14.0)
    scene.sees(a=GOOD, b=GOOD, at=15.0)
    scene.waits(75.999)
    assert scene.chosen("x") == ("b", "a"), "what it fell counts on: the hold has doubled"
    scene.waits(76.0)
    assert scene.chosen("x") == ("a", "b")


def test_return_now_of_one_forward_leaves_the_others_waiting():
    scene = held(forward("x"), forward("y"))
    scene.returns(forwards=("x",), at=13.0)
    assert (scene.chosen("x"), scene.chosen("y")) == (("a", "b"), ("b", "a"))
    assert scene.returned() == [("x", "b", "a")]
    scene.sees(a=LINK_DOWN, b=GOOD, at=14.0)
    scene.sees(a=GOOD, b=GOOD, at=15.0)
    scene.waits(16.0)
    assert scene.chosen("x") == ("b", "a"), "the next hold-down is waited for again"


def test_impatience_ends_with_what_it_was_about():
    scene = held(forward("x", policy=ForwardPolicy.BALANCE))
    scene.returns(forwards=("x",), at=13.0)
    assert scene.chosen("x") == ("a", "b")
    scene.waits(42.0)
    assert scene.state.eager == frozenset()
    scene.sees(a=GOOD, b=LINK_DOWN, at=50.0)
    scene.sees(a=GOOD, b=GOOD, at=51.0)
    scene.waits(52.0)
    assert scene.chosen("x") == ("a",), "the hold-down of b is waited for"


def test_a_forward_that_waits_for_nothing_is_not_impatient():
    scene = serving()
    scene.returns(forwards=("hello",), at=1.0)
    assert scene.state.eager == frozenset()


# ---------------------------------------------------------------- by hand

MANUAL = forward(failback=Failback.MANUAL)


def test_manual_failback_stays_where_it_is_well():
    scene = held(MANUAL)
    scene.waits(1000.0)
    assert scene.chosen() == ("b", "a")
    assert scene.returned() == []


def test_it_returns_when_the_operator_says_so_and_once():
    scene = held(MANUAL)
    scene.returns(forwards=("hello",), at=13.0)
    assert scene.returned() == [("hello", "b", "a")]
    assert scene.chosen() == ("a", "b"), "nor does it wait for the hold-down"
    scene.sees(a=LINK_DOWN, b=GOOD, at=100.0)
    scene.sees(a=GOOD, b=GOOD, at=101.0)
    scene.waits(1000.0)
    assert scene.chosen() == ("b", "a")
    assert len(scene.returned()) == 1


def test_a_word_said_while_there_is_nothing_to_return_to_is_not_kept():
    scene = serving(MANUAL, tunnels=(tunnel("a", delay=0.0), tunnel("b")))
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.returns(forwards=("hello",), at=11.0)
    scene.sees(a=GOOD, b=GOOD, at=12.0)
    scene.waits(100.0)
    assert scene.chosen() == ("b", "a")


def test_the_end_of_a_hold_down_alone_moves_nobody_by_hand():
    scene = held(MANUAL)
    scene.returns(tunnels="a", at=13.0)
    assert scene.chosen() == ("b", "a")


def test_it_stays_through_an_outage():
    scene = held(MANUAL)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=50.0)
    scene.sees(a=GOOD, b=GOOD, at=51.0)
    scene.waits(500.0)
    assert scene.chosen() == ("b", "a")


def test_it_leaves_what_fell():
    scene = held(MANUAL)
    scene.sees(a=GOOD, b=LINK_DOWN, at=50.0)
    assert scene.chosen() == ("a",)
    scene.sees(a=GOOD, b=GOOD, at=51.0)
    scene.waits(500.0)
    assert scene.chosen() == ("a", "b")


def test_it_leaves_what_has_become_poor_and_stays_there():
    health = HealthSettings(failure_latency=0.2)
    scene = probed_scene(MANUAL, tunnels=(probed_tunnel("a", health=health), probed_tunnel("b", health=health)))
    for second in range(1, 20):
        scene.answers("a", at=float(second), rtt=0.5)
    assert scene.failovers() == [("hello", "a", "b", Cause.QUALITY)]
    for second in range(20, 60):
        scene.answers("a", at=float(second))
    assert scene.chosen() == ("b", "a")
    for second in range(60, 80):
        scene.answers("b", at=float(second), rtt=0.5)
    assert scene.failovers()[1:] == [("hello", "b", "a", Cause.QUALITY)]


# ---------------------------------------------------------------- flaps


def test_flapping_once_a_second_for_two_minutes_is_a_handful_of_failovers():
    scene = serving()
    for second in range(10, 130):
        scene.waits(second - 0.5)
        scene.sees(a=LINK_DOWN, b=GOOD, at=float(second))
        scene.sees(a=GOOD, b=GOOD, at=second + 0.2)
        scene.waits(second + 0.4)
    assert len(scene.failovers()) == 1, "it was never good for long enough"
    scene = serving(tunnels=(tunnel("a", rise=1), tunnel("b")))
    for second in range(10, 130):
        scene.sees(a=LINK_DOWN, b=GOOD, at=float(second))
        scene.sees(a=GOOD, b=GOOD, at=second + 0.5)
        scene.waits(second + 0.9)
    assert len(scene.failovers()) == 1
    assert scene.state.tunnels["a"].damping.hold_until == pytest.approx(129.5 + 600)


def test_a_range_moves_with_its_first_port():
    ports = tuple(replace(MANUAL.ports[0], target=target) for target in (Target, Other))
    scene = probed_scene(replace(forward(), ports=ports))
    for number in range(40):
        scene.answers("a", Target, at=1.0 + number / 10)
        scene.fails("a", Other, sent=1.05 + number / 10, at=1.06 + number / 10)
    assert scene.chosen(target=Other) == ("b",)
    assert scene.chosen(target=Target) == ("a", "b")
    assert scene.failovers() == []
