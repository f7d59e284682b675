from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import AdminState, Cause, Doubt, Endpoint, KernelSnapshot, ProbeOutcome, ProbeSpec
from gateway.policy.aims import label_of
from gateway.policy.evidence import (
    Connected,
    Counted,
    Doubted,
    Drained,
    Drilled,
    Evidence,
    Heard,
    Intent,
    KernelSeen,
    LargeLost,
    NamesSeen,
    NothingToShed,
    Probed,
    ReturnNow,
    TimePassed,
    Verdict,
)
from gateway.policy.failback import Damping
from gateway.policy.state import State, TunnelState, initial
from gateway.policy.weighing import weigh
from tests.policy.scenes import GOOD, REMADE, Other, Target, forward, http, icmp, probed_tunnel

WEB, LARGE = http(Target), icmp("10.0.0.1", size=1400)


def begun(*probes: ProbeSpec) -> State:
    return initial((forward(), forward("other", target=Other)), (probed_tunnel("a", *probes), probed_tunnel("b")))


def weighed(*evidence: Evidence, state: State | None = None, now: float = 10.0) -> State:
    state = state or begun()
    for it in evidence:
        state = weigh(state, it, now)
    return state


def a(*evidence: Evidence, state: State | None = None, now: float = 10.0) -> TunnelState:
    return weighed(*evidence, state=state, now=now).tunnels["a"]


def probed(outcome: ProbeOutcome, *, sent: float, label: str = label_of(Target), rtt: float | None = 0.02) -> Probed:
    at = sent + (rtt or 0.8)
    return Probed(tunnel="a", label=label, target=Target, outcome=outcome, sent_at=sent, at=at, rtt=rtt)


# ---------------------------------------------------------------- the kernel, and names


def test_what_the_kernel_says_is_kept_and_the_first_look_starts_the_clock():
    state = weighed(KernelSeen(snapshot=KernelSnapshot(links={"tun-a": GOOD})))
    assert state.opening_from == 10.0
    assert (state.tunnels["a"].facts, state.tunnels["a"].fact_cause) == (GOOD, None)
    assert (state.tunnels["b"].facts, state.tunnels["b"].fact_cause) == (None, Cause.DEVICE_GONE)
    later = weigh(state, KernelSeen(snapshot=KernelSnapshot(links={"tun-a": GOOD, "tun-b": GOOD})), 11.0)
    assert later.opening_from == 10.0
    assert later.lost is state.lost, "no route has changed"


@pytest.mark.parametrize(("heard", "clamp"), [(None, None), (7.9, None), (8.0, 1200), (10.0, 1200)])
def test_large_segments_vanish_only_in_a_tunnel_that_lives(heard: float | None, clamp: int | None):
    """In a dead one everything does."""
    signs = () if heard is None else (Heard(tunnel="a", target=None, at=heard),)
    state = weighed(
        KernelSeen(snapshot=KernelSnapshot(links={"tun-a": GOOD})), *signs, LargeLost(tunnel="a", at=10.0, mss=1460)
    )
    assert state.tunnels["a"].clamp == clamp


def test_another_device_is_another_path():
    state = weighed(
        KernelSeen(snapshot=KernelSnapshot(links={"tun-a": GOOD})),
        Heard(tunnel="a", target=None, at=9.0),
        LargeLost(tunnel="a", at=10.0, mss=1460),
        Counted(at=10.0, packets={"a": (5, 5)}),
    )
    assert state.tunnels["a"].clamp == 1200
    same = a(KernelSeen(snapshot=KernelSnapshot(links={"tun-a": replace(GOOD, mtu=1300)})), state=state)
    assert same.clamp == 1200
    assert same.counters is not None
    other = a(KernelSeen(snapshot=KernelSnapshot(links={"tun-a": REMADE})), state=state)
    assert (other.clamp, other.counters) == (None, None)


def test_names_that_say_nothing_new_change_nothing():
    seen = NamesSeen(addresses={"db": ("10.0.0.5",)}, through={("a", "db"): ("10.9.0.5",)})
    state = weighed(seen)
    assert state.addresses["db"] == ("10.0.0.5",)
    assert state.through["a", "db"] == ("10.9.0.5",)
    assert weigh(state, seen, 11.0) is state
    assert weigh(state, NamesSeen(addresses={}), 11.0) is state
    assert weigh(state, NamesSeen(addresses={"db": ("10.0.0.6",)}), 11.0).addresses["db"] == ("10.0.0.6",)


# ---------------------------------------------------------------- probes


@pytest.mark.parametrize(
    ("outcome", "run", "lost", "probes"),
    [
        (ProbeOutcome.PASSED, 1, 0, 1),
        (ProbeOutcome.ANSWERED, 1, 0, 1),
        (ProbeOutcome.FAILED, -1, 1, 1),
        (ProbeOutcome.LOCAL, 0, 0, 0),
    ],
)
def test_what_a_probe_says_of_its_tunnel(outcome: ProbeOutcome, run: int, lost: int, probes: int):
    tunnel = a(probed(outcome, sent=5.0))
    assert tunnel.pulse.run == run
    assert (tunnel.quality.lost, tunnel.quality.probes) == (lost, probes)
    check = tunnel.checks.get(label_of(Target))
    assert check is not None
    assert (check.target, check.last_outcome, check.spec) == (Target, outcome, None)


def test_a_configured_probe_knows_its_spec():
    check = a(probed(ProbeOutcome.ANSWERED, sent=5.0, label=WEB.label), state=begun(WEB)).checks.get(WEB.label)
    assert check is not None
    assert (check.spec, check.pulse.run) == (WEB, -1)


def test_a_large_probe_speaks_of_life_but_neither_of_death_nor_of_round_trips():
    answered = a(probed(ProbeOutcome.PASSED, sent=5.0, label=LARGE.label), state=begun(LARGE))
    assert (answered.pulse.run, answered.quality.rtt) == (1, None)
    failed = a(probed(ProbeOutcome.FAILED, sent=5.0, label=LARGE.label), state=begun(LARGE))
    assert (failed.pulse.run, failed.quality.probes) == (0, 0)


# ---------------------------------------------------------------- traffic


def test_life_of_a_target_is_life_of_its_tunnel():
    tunnel = a(Heard(tunnel="a", target=Target, at=5.0))
    check = tunnel.checks.get(label_of(Target))
    assert check is not None
    assert (tunnel.pulse.run, tunnel.heard_at, check.pulse.run, check.last_outcome) == (1, 5.0, 1, None)


@pytest.mark.parametrize("target", [None, Endpoint("10.99.99.99", 1)])
def test_life_of_nobody_in_particular_is_the_tunnels_alone(target: Endpoint | None):
    tunnel = a(Heard(tunnel="a", target=target, at=5.0))
    assert tunnel.pulse.run == 1
    assert list(tunnel.checks) == []


def test_traffic_speaks_for_the_configured_probe_of_its_target():
    tunnel = a(Heard(tunnel="a", target=Target, at=5.0), state=begun(WEB))
    assert [(it.label, it.spec) for it in tunnel.checks] == [(WEB.label, WEB)]


def test_heard_at_never_goes_back():
    assert a(Heard(tunnel="a", target=None, at=5.0), Heard(tunnel="a", target=None, at=4.0)).heard_at == 5.0


# ---------------------------------------------------------------- doubts


def doubted(doubt: Doubt, since: float) -> Doubted:
    return Doubted(tunnel="a", doubt=doubt, since=since)


ALIVE = Heard(tunnel="a", target=None, at=5.0)


@pytest.mark.parametrize(
    ("evidence", "doubts"),
    [
        ([doubted(Doubt.UNANSWERED, 5.5)], {Doubt.UNANSWERED: 5.5}),
        ([doubted(Doubt.UNANSWERED, 5.5), doubted(Doubt.UNANSWERED, 5.7)], {Doubt.UNANSWERED: 5.5}),
        ([doubted(Doubt.UNANSWERED, 5.5), doubted(Doubt.UNANSWERED, 5.3)], {Doubt.UNANSWERED: 5.3}),
        (
            [doubted(Doubt.UNANSWERED, 5.5), doubted(Doubt.UNACKNOWLEDGED, 5.6)],
            {Doubt.UNANSWERED: 5.5, Doubt.UNACKNOWLEDGED: 5.6},
        ),
        ([doubted(Doubt.UNANSWERED, 5.5), ALIVE], {Doubt.UNANSWERED: 5.5}),  # older than the doubt
        ([doubted(Doubt.UNANSWERED, 4.5), ALIVE], {}),
        ([ALIVE, doubted(Doubt.UNANSWERED, 4.5)], {}),  # perhaps one target's
        ([ALIVE, doubted(Doubt.UNANSWERED, 5.0)], {Doubt.UNANSWERED: 5.0}),
        ([doubted(Doubt.LATENCY, 5.0), doubted(Doubt.STALL, 5.0)], {}),  # those are worked out, not handed in
    ],
)
def test_a_sign_of_life_takes_back_older_doubts(evidence: list[Evidence], doubts: dict[Doubt, float]):
    assert a(*evidence).doubts == doubts


# ---------------------------------------------------------------- the operator's, and the rest


def test_intent_drills_and_verdicts_are_kept_as_they_are_said():
    state = weighed(
        Intent(tunnel="a", admin=AdminState.DRAINING, until=30.0),
        Drilled(tunnel="a", until=20.0),
        Verdict(tunnel="a", cause=Cause.DRIVER),
    )
    it = state.tunnels["a"]
    assert (it.admin, it.drain_until, it.drill_until, it.verdict) == (AdminState.DRAINING, 30.0, 20.0, Cause.DRIVER)
    it = a(Intent(tunnel="a", admin=AdminState.ENABLED, until=30.0), Drilled(tunnel="a", until=None), state=state)
    assert (it.admin, it.drain_until, it.drill_until) == (AdminState.ENABLED, None, None)


def test_a_drain_that_is_over_counts_unless_somebody_wants_else_by_then():
    drained = Drained(tunnel="a", by="its drain")
    it = a(Intent(tunnel="a", admin=AdminState.DRAINING, until=30.0), drained)
    assert (it.admin, it.drain_until) == (AdminState.DISABLED, None)
    it = a(
        Intent(tunnel="a", admin=AdminState.DRAINING, until=30.0), Intent(tunnel="a", admin=AdminState.ENABLED), drained
    )
    assert it.admin is AdminState.ENABLED


def test_return_now_ends_hold_downs_and_wakes_forwards():
    state = begun()
    held = Damping(falls=2, stable_since=5.0, hold_until=65.0, free_since=65.0)
    tunnels = {name: replace(it, damping=held) for name, it in state.tunnels.items()}
    state = replace(state, tunnels=tunnels, sticky={"hello": "b", "other": "b"})
    after = weigh(state, ReturnNow(tunnels=frozenset({"a"}), forwards=frozenset({"hello", "unheard-of"})), 10.0)
    assert after.tunnels["a"].damping == replace(held, hold_until=None, free_since=10.0)
    assert after.tunnels["b"].damping == held
    assert after.eager == {"hello"}
    assert after.sticky == {"other": "b"}


def test_nothing_to_shed_ends_that_shed():
    state = replace(begun(), sheds={("hello", "b"): 5.0, ("other", "b"): 5.0})
    assert weigh(state, NothingToShed(forward="hello", tunnel="b"), 10.0).sheds == {("other", "b"): 5.0}


@pytest.mark.parametrize("evidence", [TimePassed(), Connected(forward="hello", tunnel="a", at=5.0)])
def test_what_says_nothing_of_tunnels_changes_nothing(evidence: Evidence):
    state = begun()
    assert weigh(state, evidence, 10.0) is state
