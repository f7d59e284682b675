"""Evidence → health, of tunnels and of the targets behind them; what follows for forwards, where it is the point."""

from __future__ import annotations

from dataclasses import replace
from heapq import merge
from random import Random

import pytest

from gateway.model import (
    AdminState,
    Cause,
    CloseReason,
    Doubt,
    HealthSettings,
    LinkFacts,
    ProbeOutcome,
    TunnelDownAction,
    WhenDown,
)
from gateway.policy.evidence import Counted, LargeLost, NamesSeen
from gateway.policy.reconcile import Decision, next_due
from tests.policy.probing import conversation
from tests.policy.scenes import (
    BARE,
    GONE,
    GOOD,
    HEALTH,
    LINK_DOWN,
    NO_CARRIER,
    REMADE,
    Other,
    Scene,
    Target,
    forward,
    http,
    icmp,
    probed_scene,
    probed_tunnel,
    tunnel,
)

HELLO = frozenset({"hello"})
ANSWERED, FAILED, LOCAL = ProbeOutcome.ANSWERED, ProbeOutcome.FAILED, ProbeOutcome.LOCAL


# ---------------------------------------------------------------- the first connection


def awaited(*, probes: bool = True) -> Scene:
    """Tunnel a, whose VPN client makes its first attempt, beside tunnel b, which is up."""
    a = probed_tunnel("a") if probes else tunnel("a")
    scene = Scene(forward("hello"), tunnels=(a, tunnel("b")))
    scene.hears("a", Cause.DRIVER, detail="it connects", first=True)
    scene.sees(a=GONE, b=GOOD, at=0.1)
    return scene


def test_a_first_attempt_is_no_news_however_long_it_takes():
    scene = awaited()
    assert scene.health("a") == "unknown"
    assert next_due(scene.state, 2.0) == pytest.approx(2.6), "what is waited for is the opening"
    scene.waits(60.0)
    assert scene.health("a") == "unknown"
    assert scene.chosen("hello") == ("b",)


@pytest.mark.parametrize("probes", [True, False])
def test_connected_for_the_first_time_it_needs_one_success(probes: bool):
    scene = awaited(probes=probes)
    scene.hears("a", None, at=5.0)
    assert scene.health("a") == "unknown", "the kernel has not been read since"
    scene.sees(a=GOOD, b=GOOD, at=5.02)
    if probes:
        assert scene.health("a") == "unknown"
        scene.answers("a", at=5.05)
    assert scene.transitions()[-1] == ("a", "unknown", "up", Cause.FIRST_GOOD)


def test_what_was_asked_in_vain_during_the_first_attempt_counts_for_nothing():
    scene = awaited()
    scene.sees(a=GOOD, b=GOOD, at=1.0)
    for sent in (1.0, 2.0, 3.0, 4.0):
        scene.fails("a", sent=sent, at=sent + 0.8)
    scene.hears("a", None, at=10.0)
    assert scene.health("a") == "unknown"
    scene.answers("a", at=10.1)
    assert scene.health("a") == "up"


def test_a_first_attempt_that_fails_is_a_fact():
    scene = awaited()
    scene.hears("a", Cause.DRIVER, detail="wrong_password", at=3.0)
    (transition,) = scene.last.transitions
    assert (transition.new, transition.cause, transition.evidence) == ("down", Cause.DRIVER, "wrong_password")
    scene.hears("a", Cause.DRIVER, first=True, at=4.0)
    assert scene.health("a") == "down", "there is no second first"


def test_a_device_that_does_not_come_with_the_connection_is_missed_after_a_second():
    scene = awaited()
    scene.hears("a", None, at=5.0)
    scene.waits(5.9)
    assert scene.health("a") == "unknown"
    scene.waits(6.1)
    assert scene.transitions()[-1] == ("a", "unknown", "down", Cause.DEVICE_GONE)


def test_the_drivers_word_explains_why_the_device_is_gone():
    scene = awaited()
    scene.hears("a", None, at=1.0)
    scene.sees(a=GOOD, b=GOOD, at=1.0)
    scene.answers("a", at=1.1)
    scene.sees(a=GONE, b=GOOD, at=9.0)
    assert scene.state.tunnels["a"].health.cause is Cause.DEVICE_GONE
    scene.hears("a", Cause.DRIVER, detail="client_died", at=9.1)
    assert scene.state.tunnels["a"].health.cause is Cause.DRIVER


# ---------------------------------------------------------------- up


def test_a_probed_tunnel_is_up_at_the_first_answer_and_not_by_looks():
    scene = probed_scene(up=False)
    scene.sees(a=GOOD, b=GOOD, at=0.5)
    assert scene.health("a") == "unknown"
    scene.answers("a", at=0.6)
    assert scene.transitions() == [("a", "unknown", "up", Cause.FIRST_GOOD)]


@pytest.mark.parametrize(("outcome", "health"), [(ANSWERED, "up"), (LOCAL, "unknown"), (FAILED, "unknown")])
def test_refused_is_life_and_trouble_of_our_own_is_nothing(outcome: ProbeOutcome, health: str):
    scene = probed_scene(up=False)
    scene.answers("a", at=0.6, outcome=outcome)
    assert scene.health("a") == health


def test_traffic_makes_it_up_too():
    scene = probed_scene(up=False)
    scene.traffic("a", Target, at=0.3)
    assert scene.health("a") == "up"


def test_a_tunnel_without_forwards_is_not_probed_and_judged_by_looks():
    scene = probed_scene(forward("hello", "b"), up=False)
    assert scene.health("a") == "up"
    assert scene.health("b") == "unknown"


# ---------------------------------------------------------------- silent death


def test_silence_is_found_1_4_s_after_the_first_failed_probe_was_sent():
    scene = probed_scene()
    scene.answers("a", at=1.02)
    scene.silence("a", since=2.0, until=3.35)
    assert scene.state.tunnels["a"].pulse.run <= -HEALTH.fall
    assert next_due(scene.state, scene.now) == 3.4, "time alone makes it certain"
    scene.waits(3.399)
    assert scene.health("a") == "up"
    scene.waits(3.4)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.PROBES)
    assert scene.failovers() == [("hello", "a", "b", Cause.PROBES)]
    assert scene.aborts() == [("a", HELLO)]
    made = next(made for made in scene.decisions if made.failovers)
    assert [(it.at, it.evidence_at) for it in made.transitions] == [(3.4, 2.0)]
    assert made.failovers[0].evidence_at == 2.0


def test_two_failures_are_not_enough_however_old():
    scene = probed_scene()
    scene.fails("a", sent=2.0)
    scene.fails("a", sent=3.0)
    scene.waits(60.0)
    assert scene.health("a") == "up"
    scene.fails("a", sent=59.9)
    assert scene.health("a") == "down"


def test_failures_that_come_at_once_wait_for_down_after():
    """A router that answers "unreachable" is no faster than silence."""
    scene = probed_scene()
    for number in range(20):
        scene.fails("a", sent=2.0 + number / 20, at=2.001 + number / 20)
    assert scene.health("a") == "up"
    scene.waits(3.4)
    assert scene.health("a") == "down"


@pytest.mark.parametrize("outcome", [ProbeOutcome.PASSED, ANSWERED])
def test_one_answer_in_between_begins_it_anew(outcome: ProbeOutcome):
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.3)
    scene.answers("a", at=3.35, outcome=outcome)
    scene.waits(3.4)
    assert scene.health("a") == "up"
    scene.silence("a", since=3.5, until=4.85)
    scene.waits(4.899)
    assert scene.health("a") == "up"
    scene.waits(4.9)
    assert scene.health("a") == "down"


@pytest.mark.parametrize("sign", ["another target", "traffic", "traffic to another target"])
def test_another_sign_of_life_in_between_makes_it_the_targets_silence(sign: str):
    """It is no evidence against the tunnel any more, until nothing else has been heard for an interval."""
    scene = probed_scene(forward(), forward("other", target=Other))
    scene.silence("a", since=2.0, until=3.3)
    match sign:
        case "another target":
            scene.answers("a", Other, at=3.35)
        case "traffic":
            scene.traffic("a", at=3.35)
        case _:
            scene.traffic("a", Other, at=3.35)
    scene.silence("a", since=2.5, until=5.7)
    assert scene.dead("a") == {Target}
    assert scene.health("a") == "up"
    scene.waits(3.35 + HEALTH.interval + HEALTH.down_after + HEALTH.fast_interval)
    assert scene.health("a") == "down"


def test_what_was_sent_before_the_last_sign_of_life_counts_nothing():
    scene = probed_scene()
    scene.answers("a", at=2.5)
    for sent in (1.8, 1.9, 2.0, 2.1, 2.49):
        scene.fails("a", sent=sent)
    assert scene.state.tunnels["a"].pulse.silent_since is None
    scene.waits(60.0)
    assert scene.health("a") == "up"


def test_a_sign_of_life_is_worth_what_it_was_when_it_came():
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.3)
    scene.traffic("a", at=1.99, seen=3.35)
    scene.waits(3.4)
    assert scene.health("a") == "down"


def test_traffic_that_goes_on_vetoes_silent_probes_for_ever():
    scene = probed_scene()
    for second in range(2, 60):
        scene.traffic("a", Target, at=second - 0.5)
        scene.fails("a", Other, sent=second - 0.9)
        scene.fails("a", Other, sent=second - 0.4)
    assert scene.health("a") == "up"
    assert scene.aborts() == []


@pytest.mark.parametrize("outcome", [ANSWERED, LOCAL])
def test_neither_refusals_nor_trouble_of_our_own_make_it_fall(outcome: ProbeOutcome):
    scene = probed_scene()
    for second in range(2, 30):
        scene.fails("a", sent=float(second), outcome=outcome)
    assert scene.health("a") == "up"
    assert scene.chosen() == ("a", "b")


@pytest.mark.parametrize("phase", [0.0, 0.31, 0.5, 0.77, 0.99])
def test_a_black_hole_is_found_within_2_45_s(phase: float):
    scene = probed_scene()
    for ended in conversation(lambda sent: sent >= 5.0, HEALTH, until=9.0, phase=phase):
        scene.waits(ended.at)
        if ended.is_answered:
            scene.answers("a", at=ended.at)
        else:
            scene.fails("a", sent=ended.sent_at)
    fall = next(it for made in scene.decisions for it in made.transitions if it.cause is Cause.PROBES)
    assert HEALTH.down_after <= fall.at - 5.0 <= 2.45


def test_losing_a_third_each_way_moves_nobody():
    random = Random(7)  # noqa: S311 - a simulation, the same each time
    talks = [
        [(ended, target) for ended in conversation(lambda _: random.random() < 0.51, HEALTH, until=900.0, phase=phase)]
        for target, phase in ((Target, 0.1), (Other, 0.6))
    ]
    scene = probed_scene(forward(), forward("other", target=Other))
    settled = len(scene.decisions)
    for ended, target in merge(*talks, key=lambda it: it[0].at):
        if ended.is_answered:
            scene.answers("a", target, at=ended.at)
        else:
            scene.fails("a", target, sent=ended.sent_at)
    assert all(made == Decision() for made in scene.decisions[settled:])


# ---------------------------------------------------------------- coming back


def fallen() -> Scene:
    """a is DOWN for its silence since 2.0, at 3.4."""
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.35)
    scene.waits(3.4)
    assert scene.health("a") == "down"
    return scene


def test_it_is_back_after_rise_answers_an_interval_apart():
    scene = fallen()
    for moment in (10.0, 10.05, 10.1, 10.4):
        scene.answers("a", at=moment)
    assert scene.health("a") == "down", "fast answers do not count twice"
    scene.answers("a", at=11.0)
    assert scene.transitions()[-1] == ("a", "down", "up", Cause.RECOVERED)
    assert scene.chosen() == ("b", "a"), "in its hold-down"


def test_a_failure_between_the_answers_begins_anew():
    scene = fallen()
    scene.answers("a", at=10.0)
    scene.fails("a", sent=10.1, at=10.9)
    scene.answers("a", at=11.0)
    assert scene.health("a") == "down"
    scene.answers("a", at=12.0)
    assert scene.health("a") == "up"


def test_looks_do_not_raise_what_is_probed():
    scene = fallen()
    for moment in (5.0, 10.0, 60.0):
        scene.sees(a=GOOD, b=GOOD, at=moment)
    assert scene.health("a") == "down"


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (LINK_DOWN, Cause.LINK_DOWN),
        (NO_CARRIER, Cause.CARRIER_LOST),
        (GONE, Cause.DEVICE_GONE),
        (BARE, Cause.ADDRESS_GONE),
        (REMADE, Cause.DEVICE_REPLACED),
    ],
)
def test_facts_count_at_once_whatever_the_probes_say_and_answers_raise(facts: LinkFacts | None, cause: Cause):
    scene = probed_scene()
    scene.answers("a", at=9.99)
    scene.sees(a=facts, b=GOOD, at=10.0)
    assert scene.transitions()[-1] == ("a", "up", "down", cause)
    assert scene.aborts() == [("a", HELLO)]
    scene.sees(a=REMADE if facts is REMADE else GOOD, b=GOOD, at=10.5)
    scene.answers("a", at=10.6)
    assert scene.health("a") == "down", "answers from before the interruption do not count"
    scene.answers("a", at=11.6)
    assert scene.transitions()[-1] == ("a", "down", "up", Cause.RECOVERED)


def test_an_answer_while_a_fact_lasts_counts_nothing():
    scene = probed_scene()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.answers("a", at=10.0)
    scene.answers("a", at=11.0)
    scene.sees(a=GOOD, b=GOOD, at=11.5)
    assert scene.health("a") == "down"


def test_the_drivers_word_is_a_fact():
    scene = probed_scene()
    scene.hears("a", Cause.DRIVER, at=5.0)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.DRIVER)
    scene.hears("a", None, at=6.0)
    scene.answers("a", at=6.1)
    scene.answers("a", at=7.1)
    assert scene.health("a") == "up"


def test_a_fact_takes_back_what_traffic_made_us_doubt():
    scene = probed_scene()
    scene.doubts("a", Doubt.UNACKNOWLEDGED, since=9.0, at=9.5)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    assert scene.state.tunnels["a"].doubts == {}


@pytest.mark.parametrize("dead_first", [True, False])
def test_a_dead_target_does_not_keep_its_tunnel_down(dead_first: bool):
    """Its probes fail a moment after each answer of the other target, for ever."""
    scene = probed_scene(forward(), forward("other", target=Other))
    if dead_first:
        for number in range(40):
            scene.answers("a", at=1.0 + number / 10)
            scene.fails("a", Other, sent=1.05 + number / 10, at=1.06 + number / 10)
        assert scene.dead("a") == {Other}
    scene.silence("a", Target, Other, since=6.0, until=8.0)
    assert scene.health("a") == "down"
    for second in range(10, 16):
        scene.answers("a", at=float(second))
        for number in range(1, 4):
            scene.fails("a", Other, sent=second + number / 20, at=second + number / 20 + HEALTH.timeout)
    assert scene.health("a") == "up"
    assert scene.dead("a") == {Other}


# ---------------------------------------------------------------- one target


def answering_but_for_one(scene: Scene, since: float, until: float) -> None:
    """Behind a, `Target` does not answer any more; `Other` does, once a second."""
    moments = [since + number / 20 for number in range(int((until - since) * 20))]
    failed = [(sent + HEALTH.timeout, sent) for sent in moments if sent + HEALTH.timeout <= until]
    answered = [(since + second + 0.01, None) for second in range(int(until - since) + 1)]
    for at, sent in sorted([*failed, *answered]):
        if sent is None:
            scene.answers("a", Other, at=at)
        else:
            scene.fails("a", sent=sent)


def test_a_target_that_is_dead_behind_one_tunnel_moves_its_forward_alone():
    scene = probed_scene(forward(), forward("other", target=Other))
    scene.answers("a", Other, at=1.0)
    answering_but_for_one(scene, since=2.0, until=3.4)
    assert scene.chosen() == ("a", "b")
    answering_but_for_one(scene, since=3.0, until=4.0)
    assert scene.target_transitions() == [("a", Target, "up", "down", Cause.TARGET_SILENT)]
    assert scene.chosen() == ("b",)
    assert scene.chosen("other", Other) == ("a", "b")
    assert scene.health("a") == "up"
    assert scene.failovers() == [("hello", "a", "b", Cause.TARGET_SILENT)]
    assert scene.aborts() == [], "new sessions move, nobody is reset"
    failover = next(it for made in scene.decisions for it in made.failovers)
    assert failover.evidence_at == 2.0


def test_it_is_back_after_rise_answers():
    scene = probed_scene(forward(), forward("other", target=Other))
    answering_but_for_one(scene, since=2.0, until=4.0)
    assert scene.dead("a") == {Target}
    scene.answers("a", at=10.0)
    assert scene.dead("a") == {Target}
    scene.answers("a", at=11.0)
    assert scene.dead("a") == set()
    assert scene.target_transitions()[-1] == ("a", Target, "down", "up", Cause.RECOVERED)
    assert scene.returned() == [("hello", "b", "a")]


def test_sessions_that_progress_keep_their_target_alive():
    scene = probed_scene(forward(), forward("other", target=Other))
    for number in range(20):
        scene.traffic("a", Target, at=2.0 + number)
        scene.answers("a", Other, at=2.3 + number)
        scene.fails("a", sent=2.1 + number, at=2.9 + number)
    assert scene.dead("a") == set()


def test_a_target_that_is_dead_everywhere_is_dialled_in_the_normal_order():
    scene = probed_scene(forward(), forward("other", target=Other))
    answering_but_for_one(scene, since=2.0, until=4.0)
    assert scene.chosen() == ("b",)
    for number in range(40):
        scene.answers("b", Other, at=5.0 + number / 10)
        scene.fails("b", sent=5.05 + number / 10, at=5.06 + number / 10)
    assert scene.dead("b") == {Target}
    choice = scene.choice()
    assert (choice.tunnels, choice.last_resort) == (("a", "b"), True)
    assert scene.health("a") == scene.health("b") == "up"


def test_after_a_black_hole_its_silence_is_held_against_no_target():
    """Those that are asked later than the first to answer are not dead because they have not been asked yet."""
    scene = probed_scene(forward(), forward("other", target=Other))
    scene.answers("a", Other, at=1.0)
    scene.silence("a", Target, Other, since=2.0, until=10.0)
    scene.answers("a", Other, at=10.5)
    scene.answers("a", Other, at=11.5)
    assert scene.health("a") == "up"
    assert scene.dead("a") == set()
    scene.fails("a", sent=9.9, at=11.6)
    assert scene.dead("a") == set(), "nor is what was sent into it"
    assert scene.target_transitions() == []


def test_a_target_that_is_still_dead_after_a_black_hole_is_found_again():
    scene = probed_scene(forward(), forward("other", target=Other))
    scene.silence("a", Target, Other, since=2.0, until=10.0)
    answering_but_for_one(scene, since=10.5, until=13.0)
    assert scene.dead("a") == {Target}
    assert scene.health("a") == "up"


def test_a_probe_that_shows_neither_life_nor_death_leaves_a_black_hole_to_the_tunnel():
    """Target is asked just before the tunnel falls silent, Other just answers: that is no proof against Target."""
    scene = probed_scene(forward(), forward("other", target=Other))
    scene.answers("a", Other, at=2.01)
    scene.silence("a", Target, Other, since=2.0, until=5.0)
    assert scene.health("a") == "down"
    assert scene.target_transitions() == []


# ---------------------------------------------------------------- several probes

NEAR, FAR, WEB = icmp("10.0.0.1"), icmp("10.0.0.2"), http(Target)


def quorum_of_two() -> Scene:
    health = HealthSettings(reliability=2)
    scene = probed_scene(tunnels=(probed_tunnel("a", NEAR, FAR, WEB, health=health), probed_tunnel("b")))
    for spec in (NEAR, FAR, WEB):
        scene.answers("a", spec, at=1.0)
    return scene


def lose(scene: Scene, spec, *, since: float, until: float, outcome: ProbeOutcome = FAILED) -> None:
    """NEAR answers all the time, `spec` does not."""
    moment = since
    while moment + 0.1 < until:
        scene.answers("a", NEAR, at=moment + 0.05)
        scene.fails("a", spec, sent=moment, at=moment + 0.1, outcome=outcome)
        moment += 0.2


def test_two_of_three_must_pass():
    scene = quorum_of_two()
    lose(scene, FAR, since=2.0, until=6.0)
    assert scene.health("a") == "up"
    lose(scene, WEB, since=6.0, until=10.0)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.PROBES)
    assert scene.state.tunnels["a"].evidence_at == 2.0
    scene.answers("a", FAR, at=20.0)
    assert scene.health("a") == "down"
    scene.answers("a", FAR, at=21.0)
    assert scene.health("a") == "up", "rise was waited for by the probe itself"


def test_another_answer_than_was_asked_for_shows_life_and_does_not_pass():
    scene = quorum_of_two()
    lose(scene, WEB, since=2.0, until=6.0, outcome=ANSWERED)
    assert scene.health("a") == "up"
    assert scene.dead("a") == {Target}
    lose(scene, FAR, since=6.0, until=10.0)
    assert scene.health("a") == "down"


def test_traffic_to_the_port_does_not_make_up_for_another_status():
    scene = quorum_of_two()
    for number in range(30):
        scene.traffic("a", Target, at=2.0 + number / 5)
        scene.answers("a", WEB, at=2.1 + number / 5, outcome=ANSWERED)
    assert scene.dead("a") == {Target}


def test_no_quorum_takes_a_tunnel_that_is_used_and_it_falls_when_it_no_longer_is():
    scene = quorum_of_two()
    lose(scene, FAR, since=2.0, until=6.0)
    for number in range(20):
        scene.traffic("a", at=6.0 + number / 5)
        lose(scene, WEB, since=6.0 + number / 5, until=6.2 + number / 5)
    last = 6.0 + 19 / 5
    assert scene.state.dead.get(Target) == {"a"}
    assert scene.health("a") == "up"
    assert next_due(scene.state, scene.now) == pytest.approx(last + HEALTH.down_after)
    scene.waits(last + HEALTH.down_after)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.PROBES)
    scene.traffic("a", at=20.0)
    assert scene.health("a") == "down", "a last resort that works does not raise it"


def test_probes_that_cannot_be_asked_leave_it_to_looks():
    named = replace(http(Target), host="canary.example")
    scene = Scene(tunnels=(probed_tunnel("a", named), probed_tunnel("b")))
    scene.sees(a=GOOD, b=GOOD)
    assert scene.health("a") == "up"
    scene.takes(NamesSeen(addresses={"canary.example": ("10.0.0.9",)}), at=1.0)
    scene.silence("a", named, since=2.0, until=3.5)
    assert scene.health("a") == "down"
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", "10.0.0.9")}), at=5.0)
    scene.waits(6.0)
    assert scene.health("a") == "up", "a silence that nobody can end says nothing"


def test_a_target_without_a_route_leaves_its_tunnel_as_it_is():
    scene = probed_scene(up=False)
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", Target.host)}), at=1.0)
    scene.waits(20.0)
    assert scene.health("a") == "unknown"


# ---------------------------------------------------------------- segments

LARGE, NEAR_BY = icmp("10.0.0.1", size=1400), icmp("10.0.0.3")


def test_a_large_probe_that_fails_clamps_and_never_fells():
    scene = probed_scene(tunnels=(probed_tunnel("a", NEAR, LARGE), probed_tunnel("b")))
    lose(scene, LARGE, since=2.0, until=20.0)
    assert scene.health("a") == "up"
    assert scene.state.table.paths["a"].mss == 1200
    assert scene.state.tunnels["a"].quality.lost == 0, "nor is it a loss of the tunnel's"
    assert scene.target_transitions() == []
    scene.answers("a", LARGE, at=30.0)
    assert scene.state.table.paths["a"].mss == 1200
    scene.answers("a", LARGE, at=31.0)
    assert scene.state.table.paths["a"].mss is None


def test_a_large_probe_alone_cannot_say_that_a_tunnel_is_dead():
    scene = probed_scene(tunnels=(probed_tunnel("a", LARGE), probed_tunnel("b")), up=False)
    assert scene.health("a") == "up", "by its looks"
    for number in range(40):
        scene.fails("a", LARGE, sent=2.0 + number / 10)
    assert scene.health("a") == "up"
    assert scene.state.table.paths.get("a", None) is None or scene.state.table.paths["a"].mss is None


def test_segments_that_vanish_clamp_step_by_step():
    scene = probed_scene()
    for mss, clamp in ((1448, 1200), (1448, 1200), (1188, 536), (1448, 536)):
        scene.takes(LargeLost(tunnel="a", at=scene.now, mss=mss))
        assert scene.state.table.paths["a"].mss == clamp
    assert scene.state.table.paths["b"].mss is None
    scene.sees(a=REMADE, b=GOOD, at=5.0)
    assert scene.state.table.paths["a"].mss is None, "another device, another path"


def test_a_large_probe_that_has_passed_all_along_lifts_no_clamp():
    scene = probed_scene(tunnels=(probed_tunnel("a", NEAR, NEAR_BY, LARGE), probed_tunnel("b")))
    scene.answers("a", LARGE, at=1.0)
    scene.takes(LargeLost(tunnel="a", at=2.0, mss=1460))
    for second in range(3, 9):
        scene.answers("a", LARGE, at=float(second))
    lose(scene, NEAR_BY, since=9.0, until=13.0)
    assert scene.state.tunnels["a"].checks.down == {NEAR_BY.label}
    assert scene.state.table.paths["a"].mss == 1200, "nor does another that fails"


def test_the_mss_of_the_file_stands_where_it_is_smaller():
    spec = replace(probed_tunnel("a"), mss=1000)
    scene = probed_scene(tunnels=(spec, probed_tunnel("b")))
    scene.takes(LargeLost(tunnel="a", at=1.0, mss=1460))
    assert scene.state.table.paths["a"].mss == 1000


# ---------------------------------------------------------------- soft causes, and last resorts


def test_soft_falls_abort_only_where_another_serves():
    scene = probed_scene(forward("both"), forward("alone", "a"))
    scene.silence("a", since=2.0, until=3.5)
    assert scene.aborts() == [("a", frozenset({"both"}))]
    assert scene.choice("alone").last_resort


def test_when_all_fall_softly_the_first_is_a_last_resort():
    scene = fallen()
    scene.silence("b", since=4.0, until=5.5)
    assert (scene.chosen(), scene.choice().last_resort) == (("a",), True)
    assert scene.aborts() == [("a", HELLO)], "those on b have nowhere better to go"


@pytest.mark.parametrize("patient", [forward(hold=5.0), forward(when_down=WhenDown.REFUSE)])
def test_a_patient_forward_has_no_last_resort(patient):
    scene = probed_scene(patient)
    scene.silence("a", since=2.0, until=3.5)
    scene.silence("b", since=4.0, until=5.5)
    assert scene.chosen() == ()


# ---------------------------------------------------------------- stall, without probes


def count(scene: Scene, second: float, transmitted: int, received: int) -> None:
    scene.takes(Counted(at=second, packets={"a": (transmitted, received), "stranger": (1, 1)}), at=second)


def test_a_stall_fells_and_gets_another_chance_that_comes_later_each_time():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    start, sent = 10.0, 0
    for hold in (30.0, 60.0):
        for second in range(6):
            count(scene, start + second, sent + 10 * second, 5)
        sent += 50
        assert scene.transitions()[-1] == ("a", "up", "down", Cause.STALL)
        assert scene.aborts()[-1] == ("a", HELLO)
        assert scene.state.tunnels["a"].evidence_at == start
        count(scene, start + 6, sent, 5)
        scene.waits(start + 7)
        assert scene.health("a") == "up", "nothing is sent there any more, so nothing speaks against it"
        scene.waits(start + 7 + hold - 0.001)
        assert scene.chosen() == ("b", "a")
        scene.waits(start + 7 + hold)
        assert scene.chosen() == ("a", "b")
        start = scene.now + 1


def test_a_stall_is_doubted_first():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    count(scene, 10.0, 0, 0)
    count(scene, 11.0, 10, 0)
    assert scene.state.tunnels["a"].doubts == {Doubt.STALL: 11.0}
    count(scene, 12.0, 20, 1)
    assert scene.state.tunnels["a"].doubts == {}


def test_a_stall_that_traffic_denies_is_none():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    for second in range(20):
        scene.traffic("a", at=10.0 + second)
        count(scene, 10.0 + second, 10 * second, 5)
    assert scene.health("a") == "up"


def test_where_probes_are_answered_before_a_stall_they_must_be_again():
    scene = probed_scene()
    scene.answers("a", at=1.0)
    scene.answers("a", at=2.0)
    for second in range(6):
        count(scene, 10.0 + second, 10 * second, 5)
    assert scene.cause("a") is Cause.STALL
    count(scene, 16.0, 50, 5)
    scene.waits(60.0)
    assert scene.health("a") == "down"
    scene.answers("a", at=61.0)
    scene.answers("a", at=62.0)
    assert scene.health("a") == "up"


# ---------------------------------------------------------------- quality

SLOW = HealthSettings(failure_latency=0.2, recovery_latency=0.1)
LOSSY = HealthSettings(failure_loss=0.3, recovery_loss=0.1)


def with_thresholds(health: HealthSettings, *forwards) -> Scene:
    return probed_scene(*forwards, tunnels=(probed_tunnel("a", health=health), probed_tunnel("b", health=health)))


def test_latency_moves_new_sessions_and_returns_them_with_hysteresis():
    scene = with_thresholds(SLOW)
    for second in range(1, 30):
        scene.answers("a", at=float(second), rtt=0.19)
    assert scene.chosen() == ("a", "b"), "high, but allowed"
    for second in range(30, 60):
        scene.answers("a", at=float(second), rtt=0.4)
    assert scene.chosen() == ("b", "a")
    assert scene.failovers() == [("hello", "a", "b", Cause.QUALITY)]
    for second in range(60, 90):
        scene.answers("a", at=float(second), rtt=0.15)
    assert scene.chosen() == ("b", "a"), "not until it is back below the other threshold"
    for second in range(90, 120):
        scene.answers("a", at=float(second), rtt=0.02)
    assert scene.chosen() == ("a", "b")
    assert scene.returned() == [("hello", "b", "a")]
    assert scene.transitions()[2:] == []
    assert scene.aborts() == []


def test_loss_moves_new_sessions():
    scene = with_thresholds(LOSSY)
    for number in range(40):
        scene.fails("a", sent=1.0 + number, at=1.9 + number)
        scene.answers("a", at=1.95 + number)
    assert scene.failovers() == [("hello", "a", "b", Cause.QUALITY)]
    assert scene.health("a") == "up"


def test_a_dead_target_is_no_loss_of_its_tunnel():
    scene = with_thresholds(LOSSY, forward(), forward("other", target=Other))
    for second in range(1, 8):
        scene.answers("a", Other, at=float(second))
        scene.answers("a", at=second + 0.1)
    answering_but_for_one(scene, since=10.0, until=20.0)
    assert scene.dead("a") == {Target}
    assert scene.chosen("other", Other) == ("a", "b")
    assert scene.state.tunnels["a"].doubts == {}


def test_without_thresholds_quality_is_nobodys_business():
    scene = probed_scene()
    for number in range(60):
        scene.fails("a", sent=1.0 + number, at=1.9 + number)
        scene.answers("a", at=1.95 + number, rtt=0.7)
    assert scene.chosen() == ("a", "b")
    assert scene.state.tunnels["a"].doubts == {}


# ---------------------------------------------------------------- the operator


def test_disabled_ends_its_sessions_at_once():
    scene = probed_scene()
    scene.wants("a", AdminState.DISABLED, at=5.0)
    assert scene.chosen() == ("b",)
    assert [(it.tunnel, it.forwards, it.reason) for it in scene.last.aborts] == [("a", HELLO, CloseReason.DRAIN)]
    assert scene.failovers() == [], "it was wished so"
    assert scene.health("a") == "up", "intent is not health"
    scene.wants("a", AdminState.DISABLED, at=6.0)
    assert scene.last.aborts == ()
    scene.wants("a", AdminState.ENABLED, at=7.0)
    assert scene.chosen() == ("a", "b")


def test_draining_lets_sessions_end_until_its_deadline():
    scene = probed_scene()
    scene.wants("a", AdminState.DRAINING, until=30.0, at=5.0)
    assert scene.chosen() == ("b",)
    assert scene.aborts() == []
    assert next_due(scene.state, scene.now) == 30.0
    scene.waits(29.999)
    assert scene.aborts() == []
    scene.waits(30.0)
    assert scene.aborts() == [("a", HELLO)]
    assert scene.state.tunnels["a"].admin is AdminState.DISABLED
    assert next_due(scene.state, scene.now) is None


@pytest.mark.parametrize("admin", [AdminState.ENABLED, AdminState.DISABLED])
def test_a_drain_that_is_taken_back_has_no_deadline(admin: AdminState):
    scene = probed_scene()
    scene.wants("a", AdminState.DRAINING, until=30.0, at=5.0)
    scene.wants("a", admin, until=40.0, at=6.0)
    assert next_due(scene.state, scene.now) is None
    scene.waits(60.0)
    assert scene.state.tunnels["a"].admin is admin


def test_a_drain_without_a_deadline_waits_for_ever():
    scene = probed_scene()
    scene.wants("a", AdminState.DRAINING, at=5.0)
    scene.waits(10_000.0)
    assert scene.state.tunnels["a"].admin is AdminState.DRAINING


def test_a_tunnel_that_nobody_uses_evicts_nobody():
    scene = probed_scene(forward("hello", "b"))
    scene.wants("a", AdminState.DISABLED, at=5.0)
    assert scene.last.aborts == ()


# ---------------------------------------------------------------- drills


def test_a_drill_takes_a_tunnel_out_and_gives_it_back_when_its_time_is_over():
    scene = probed_scene()
    scene.drills("a", until=15.0, at=5.0)
    assert scene.failovers() == [("hello", "a", "b", Cause.DRILL)]
    assert scene.aborts() == [("a", HELLO)]
    assert scene.health("a") == "up"
    scene.waits(14.999)
    assert scene.chosen() == ("b",)
    scene.waits(15.0)
    assert scene.chosen() == ("a", "b"), "no hold-down"
    assert scene.returned() == [("hello", "b", "a")]
    assert scene.state.tunnels["a"].damping.falls == 0
    assert scene.transitions()[2:] == []


def test_a_drill_can_be_ended_before():
    scene = probed_scene()
    scene.drills("a", until=15.0, at=5.0)
    scene.drills("a", until=None, at=6.0)
    assert scene.chosen() == ("a", "b")
    assert next_due(scene.state, scene.now) is None


@pytest.mark.parametrize(
    ("spec", "until", "ended"),
    [
        (forward(down=TunnelDownAction.KEEP), 15.0, []),
        (forward(down=TunnelDownAction.GRACE, grace=3.0), 15.0, [8.0]),
        (forward(down=TunnelDownAction.GRACE, grace=10.0), 9.0, []),
    ],
)
def test_a_drill_treats_sessions_as_a_fall_would(spec, until: float, ended: list[float]):
    scene = probed_scene(spec)
    scene.drills("a", until=until, at=5.0)
    assert scene.aborts() == []
    scene.waits(7.999)
    assert scene.aborts() == []
    scene.waits(8.0)
    assert bool(scene.aborts()) is bool(ended)
    scene.waits(60.0)
    assert scene.aborts() == [("a", HELLO)] * len(ended)


def test_a_drill_does_not_hide_a_fall():
    scene = probed_scene()
    scene.drills("a", until=60.0, at=5.0)
    scene.sees(a=LINK_DOWN, b=GOOD, at=6.0)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.LINK_DOWN)
    scene.sees(a=GOOD, b=GOOD, at=7.0)
    scene.waits(60.0)
    assert scene.health("a") == "down", "nobody asked it meanwhile"


def test_a_tunnel_that_the_operator_disconnects_has_no_flap_and_returns_at_once():
    scene = Scene(forward("hello"), tunnels=(tunnel("a"), tunnel("b")))
    scene.sees(a=GOOD, b=GOOD)
    scene.wants("a", AdminState.DISABLED, at=10.0)
    scene.hears("a", Cause.DRIVER, at=10.1)
    assert (scene.health("a"), scene.chosen()) == ("down", ("b",))
    scene.wants("a", AdminState.ENABLED, at=20.0)
    scene.hears("a", None, at=20.5)
    scene.waits(23.0)
    assert (scene.health("a"), scene.chosen()[0]) == ("up", "a")
    scene.hears("a", Cause.DRIVER, at=30.0)  # by itself, this time
    scene.hears("a", None, at=31.0)
    scene.waits(35.0)
    assert (scene.health("a"), scene.chosen()[0]) == ("up", "b")


# ---------------------------------------------------------------- what belongs to nobody


def test_unconfigured_tunnels_and_evidence_before_the_first_look_change_nothing():
    scene = Scene()
    scene.answers("a", at=0.1)
    assert scene.health("a") == "unknown"
    scene.sees(a=GOOD, b=GOOD, at=0.2)
    before = scene.state
    scene.answers("zone-z", at=0.3)
    scene.traffic("zone-z", at=0.3)
    scene.doubts("zone-z", Doubt.UNANSWERED, since=0.3)
    scene.wants("zone-z", AdminState.DISABLED)
    scene.drills("zone-z", until=9.0)
    scene.returns(tunnels="z", forwards=("unheard-of",))
    scene.sheds_nothing("unheard-of", "zone-z")
    assert scene.state == before


def test_a_plain_tunnel_next_to_a_probed_one_goes_by_its_looks():
    scene = Scene(tunnels=(tunnel("a"), probed_tunnel("b")))
    scene.sees(a=GOOD, b=GOOD)
    assert (scene.health("a"), scene.health("b")) == ("up", "unknown")
