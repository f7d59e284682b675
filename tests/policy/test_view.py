from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from gateway.model import (
    AdminState,
    Cause,
    ControlView,
    Doubt,
    Endpoint,
    Failback,
    ForwardPolicy,
    ForwardView,
    Health,
    ProbeOutcome,
    TunnelView,
)
from gateway.policy.aims import label_of
from gateway.policy.evidence import LargeLost
from gateway.policy.view import Viewer
from tests.policy.scenes import GOOD, LINK_DOWN, Other, Scene, Target, forward, probed_scene, probed_tunnel

NAMED = Endpoint("db.example", 5432)


def seen(scene: Scene) -> ControlView:
    return Viewer().view(scene.state, scene.now, transitions={}, failovers={}, failbacks={}, failover_seconds=None)


def only(scene: Scene) -> ForwardView:
    (made,) = seen(scene).forwards
    return made


def of(scene: Scene, name: str) -> TunnelView:
    return next(it for it in seen(scene).tunnels if it.name == name)


def as_seen(active: str | None, *offered: str, why: dict[str, str], last_resort: bool = False) -> ForwardView:
    """The forward of the scene, which is always called the same."""
    return ForwardView(
        name="hello",
        active=active,
        servable=active is not None,
        why=why,
        listens=("*:33000",),
        target=str(Target),
        offered=offered,
        last_resort=last_resort,
    )


def serving(*forwards) -> Scene:
    scene = Scene(*forwards)
    scene.sees(a=GOOD, b=GOOD)
    return scene


def test_before_anything_is_known():
    made = only(Scene())
    unknown = "nothing is known of it yet"
    assert made == as_seen(None, why={"a": unknown, "b": unknown, "": "no tunnel can be used"})


def test_all_well():
    assert only(serving()) == as_seen("a", "a", "b", why={"b": "up, standby"})


def test_down_and_held():
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    assert only(scene) == as_seen("b", "b", why={"a": "down: link_down"})
    assert (of(scene, "a").cause, of(scene, "a").since) == (Cause.LINK_DOWN, 10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert only(scene).why == {"a": "up again, in its hold-down"}
    assert of(scene, "a").hold_until == 42.0
    scene.waits(42.0)
    assert of(scene, "a").hold_until is None


def test_last_resort():
    scene = serving()
    scene.hears("a", Cause.PROBES)
    scene.hears("b", Cause.STALL)
    why = {"b": "down: stall", "": "no tunnel is up: the active one is a last resort"}
    assert only(scene) == as_seen("a", "a", why=why, last_resort=True)


def test_tunnels_that_are_up_and_lead_nowhere():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", Target.host), ("tun-b", Target.host)}))
    no_route = "no route to the target"
    assert only(scene) == as_seen(None, why={"a": no_route, "b": no_route, "": "no tunnel can be used"})


def test_a_name_without_an_address_cannot_be_served():
    scene = serving(forward(target=NAMED))
    assert not only(scene).servable
    assert only(scene).why[""] == "the target's name 'db.example' has not been resolved"
    scene.resolves(**{NAMED.host: ("10.0.0.5",)})
    assert only(scene).servable
    assert "" not in only(scene).why


def test_a_balanced_forward_has_no_standby():
    scene = serving(forward(policy=ForwardPolicy.BALANCE))
    assert only(scene).why == {}
    scene.sees(a=LINK_DOWN, b=GOOD)
    assert only(scene).why == {"a": "down: link_down"}


@pytest.mark.parametrize("admin", [AdminState.DISABLED, AdminState.DRAINING])
def test_what_the_operator_wants(admin: AdminState):
    scene = Scene()
    scene.state = replace(
        scene.state, tunnels={**scene.state.tunnels, "a": replace(scene.state.tunnels["a"], admin=admin)}
    )
    scene.sees(a=GOOD, b=GOOD)
    assert only(scene) == as_seen("b", "b", why={"a": f"{admin.value} by the operator"})
    assert of(scene, "a").admin is admin


def test_a_target_that_answers_behind_none():
    scene = probed_scene(forward(), forward("other", target=Other))
    for name in "ab":
        for _ in range(40):
            scene.answers(name, Other, at=scene.now + 0.1)
            scene.fails(name, sent=scene.now + 0.05, at=scene.now + 0.06)
    hello = seen(scene).forwards[0]
    assert (hello.active, hello.offered, hello.last_resort, hello.servable) == ("a", ("a", "b"), True, True)
    silent = "up, but the target does not answer behind it"
    assert hello.why == {
        "b": silent,
        "": "the target answers behind none that is up: the active one is a last resort",
    }
    assert seen(scene).forwards[1].why == {"b": "up, standby"}


def test_a_forward_that_waits_for_its_operator():
    scene = serving(forward(failback=Failback.MANUAL))
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert only(scene).why == {"a": "up again, in its hold-down"}
    scene.waits(100.0)
    assert only(scene).why == {"a": "up, waits for the operator's failback"}
    assert (only(scene).active, only(scene).failback) == ("b", Failback.MANUAL)
    scene.returns(forwards=("hello",), at=101.0)
    assert only(scene).why == {"b": "up, standby"}


def test_a_tunnel_with_all_that_is_known_of_it():
    scene = probed_scene(tunnels=(replace(probed_tunnel("a"), mss=1400), probed_tunnel("b")))
    for second in range(1, 6):
        scene.answers("a", at=float(second))
    scene.takes(LargeLost(tunnel="a", at=5.0, mss=1400))
    scene.doubts("a", Doubt.UNANSWERED, since=5.2, at=5.5)
    scene.fails("a", sent=5.2)
    it = of(scene, "a")
    assert (it.interface, it.addresses, it.health, it.cause) == ("tun-a", GOOD.addresses, Health.UP, Cause.FIRST_GOOD)
    assert (it.doubts, it.alive_at, it.rtt, it.mss) == ((Doubt.UNANSWERED,), 5.0, pytest.approx(0.02), 1200)
    assert it.loss == pytest.approx(1 / 7)
    assert it.evidence == "it has answered, though not 1 probe since"
    assert it.next.startswith("it is suspect")
    (probe,) = it.probes
    assert (probe.label, probe.target, probe.health, probe.run) == (label_of(Target), Target, Health.UP, -1)
    assert (probe.last_at, probe.last_outcome, probe.alive_at) == (6.0, ProbeOutcome.FAILED, 5.0)
    assert (probe.rtt, probe.loss) == (pytest.approx(0.02), pytest.approx(1 / 7))


def test_flaps_and_the_operators_deadlines():
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    scene.drills("a", until=90.0, at=13.0)
    scene.wants("b", AdminState.DRAINING, until=80.0, at=14.0)
    assert (of(scene, "a").flaps, of(scene, "a").drill_until, of(scene, "b").drain_until) == (1, 90.0, 80.0)
    scene.waits(400.0)
    assert of(scene, "a").flaps == 0, "five stable minutes forgive it"


def test_counts_are_a_copy():
    transitions = Counter({("a", Cause.PROBES): 1})
    made = Viewer().view(
        serving().state, 0.0, transitions=transitions, failovers={}, failbacks={}, failover_seconds=None
    )
    transitions["a", Cause.PROBES] += 1
    assert made.transitions == {("a", Cause.PROBES): 1}


def test_what_is_the_same_in_the_next_picture_is_kept():
    scene, viewer = serving(), Viewer()

    def seen_again() -> ControlView:
        return viewer.view(scene.state, scene.now, transitions={}, failovers={}, failbacks={}, failover_seconds=None)

    first = seen_again()
    assert seen_again().forwards is first.forwards
    scene.sees(a=LINK_DOWN, b=GOOD)
    second = seen_again()
    assert second.forwards is not first.forwards
    assert second.forwards == seen(scene).forwards, "what was kept is what would be made"
    assert second.forwards[0].active == "b"
