"""The cadence of probes, against simulated networks on a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import HealthSettings
from gateway.policy.cadence import AGAIN_AFTER, COMPANIONS, FAST_MOST, REGULAR_MOST, Cadence, Standing

SETTINGS = HealthSettings()
VERDICT_OUT = SETTINGS.down_after + SETTINGS.timeout
Network = Callable[[str, float], float | None]
"""How long an answer takes to what is asked (label, moment); None: none comes."""


def alive(_label: str, _at: float) -> float | None:
    return 0.01


def never(_label: str) -> float:
    return -inf


class Simulation:
    """A cadence, and a network that answers or does not. Time passes in `run`."""

    def __init__(
        self,
        aims: Sequence[str],
        targets: Sequence[str] = (),
        *,
        network: Network = alive,
        dialled: Callable[[str], float] = never,
        health: HealthSettings = SETTINGS,
        now: float = 100.0,
    ) -> None:
        self.cadence = Cadence(health)
        self.cadence.plan(aims, targets, now)
        self.now = now
        self.network = network
        self.dialled = dialled
        self.settings = health
        self.asked: list[tuple[float, str]] = []
        self.doubts: list[tuple[float, str, float]] = []  # now, label, since
        self.heard: list[tuple[str, float]] = []
        self.answers: list[float] = []
        self.failures: list[tuple[float, float]] = []  # now, sent
        self._events: list[tuple[float, int, str, bool, float]] = []

    def run(self, until: float) -> None:
        while (at := min(self.cadence.next_due(), self._events[0][0] if self._events else inf)) <= until:
            self.now = max(self.now, at)
            if self._events and self._events[0][0] <= self.now:
                _, number, label, good, sent_at = heappop(self._events)
                if good:
                    self.answers.append(self.now)
                    self.cadence.answered(label, number, sent_at, self.now)
                else:
                    self.failures.append((self.now, sent_at))
                    since = self.cadence.failed(label, number, self.now)
                    if since is not None:
                        self.doubts.append((self.now, label, since))
                continue
            turn = self.cadence.turn(self.now, self.dialled)
            self.doubts += [(self.now, label, since) for label, since in turn.doubted]
            self.heard += turn.heard
            for label, number in turn.ask:
                self.asked.append((self.now, label))
                takes = self.network(label, self.now)
                good = takes is not None and takes <= self.settings.timeout
                heappush(
                    self._events,
                    (self.now + (takes if good else self.settings.timeout), number, label, good, self.now),
                )
        self.now = until

    def times(self, label: str, since: float = 0.0) -> list[float]:
        return [at for at, asked in self.asked if asked == label and at >= since]


def labels(number: int) -> list[str]:
    return [f"tcp://10.0.0.1:{port}" for port in range(1, number + 1)]


def most_in_a_second(moments: list[float]) -> int:
    return max((sum(start <= at < start + 1.0 - 1e-9 for at in moments) for start in moments), default=0)


def gaps(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


# ---------------------------------------------------------------- the round


def test_all_are_asked_at_once_and_then_spread_over_the_interval():
    simulated = Simulation(labels(4))
    simulated.run(102.0)
    at = [round(moment - 100.0, 6) for moment, _ in simulated.asked]
    assert at == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
    for label in labels(4):
        assert max(gaps(simulated.times(label))) <= SETTINGS.interval + 1e-9


def test_a_start_with_many_is_bounded_and_goes_on_as_soon_as_it_may():
    simulated = Simulation(labels(120))
    simulated.run(102.0)
    first = {label: simulated.times(label)[0] for label in labels(120)}
    assert Counter(first.values()) == {100.0: REGULAR_MOST, 101.0: REGULAR_MOST, 102.0: 20}


@settings(deadline=None, max_examples=12)
@given(number=st.integers(1, 400), interval=st.sampled_from([0.2, 1.0, 5.0]))
def test_never_more_than_the_bound_in_a_second_and_nobody_is_forgotten(number: int, interval: float):
    simulated = Simulation(labels(number), health=HealthSettings(interval=interval))
    period = max(interval, number / REGULAR_MOST)
    simulated.run(100.0 + 4 * period)
    assert most_in_a_second([at for at, _ in simulated.asked]) <= REGULAR_MOST
    for label in labels(number):
        moments = [*simulated.times(label), simulated.now]
        assert max(gaps(moments)) <= 2 * period + 1.0
        assert max(gaps(moments[-3:])) <= period * 1.1 + 1e-9, "later on it is regular"
    assert simulated.doubts == []


def test_one_that_is_asked_late_keeps_its_place():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    ((label, number),) = cadence.turn(100.0, never).ask
    cadence.answered(label, number, 100.0, 100.01)
    assert cadence.next_due() == 101.0
    ((label, number),) = cadence.turn(103.4, never).ask
    cadence.answered(label, number, 103.4, 103.41)
    assert cadence.next_due() == pytest.approx(104.0)


def test_a_dial_that_worked_answers_instead():
    simulated = Simulation(labels(1))
    simulated.run(100.95)
    simulated.dialled = lambda _label: 100.9
    simulated.run(101.5)
    assert simulated.times("tcp://10.0.0.1:1") == [100.0]
    assert simulated.heard == [("tcp://10.0.0.1:1", 100.9)]
    simulated.run(103.0)
    asked = simulated.times("tcp://10.0.0.1:1")
    assert asked[:2] == [100.0, 101.9], "and the next question is due an interval after it"
    assert len(simulated.heard) == 1


# ---------------------------------------------------------------- doubt and haste


def dead_from(at: float, *dead: str) -> Network:
    return lambda label, now: None if now >= at and (not dead or label in dead) else 0.01


def test_what_is_not_answered_is_doubted_once_and_asked_fast_until_the_verdict_is_out():
    simulated = Simulation(labels(1), network=dead_from(100.5))
    simulated.run(110.0)
    assert simulated.doubts == [(pytest.approx(101.3), "tcp://10.0.0.1:1", pytest.approx(101.0))]
    fast = [at for at, _ in simulated.asked if 101.3 <= at <= 101.0 + VERDICT_OUT]
    assert gaps(fast) == pytest.approx([SETTINGS.fast_interval] * (len(fast) - 1))
    assert fast[0] == pytest.approx(101.3)
    assert fast[-1] > 101.0 + VERDICT_OUT - 2 * SETTINGS.fast_interval
    assert simulated.cadence.standing("tcp://10.0.0.1:1") is Standing.SPENT
    regular = [at for at, _ in simulated.asked if at > 101.0 + VERDICT_OUT]
    assert gaps(regular) == pytest.approx([SETTINGS.interval] * (len(regular) - 1))


def test_an_answer_ends_haste_and_the_next_silence_is_news():
    simulated = Simulation(labels(1), network=dead_from(100.5))
    simulated.run(105.0)
    simulated.network = alive
    simulated.run(107.0)
    assert simulated.cadence.standing("tcp://10.0.0.1:1") is Standing.CALM
    simulated.network = dead_from(0.0)
    simulated.run(110.0)
    assert len(simulated.doubts) == 2


def test_a_target_that_is_always_slow_is_not_doubted_for_it():
    patient = HealthSettings(timeout=2.0, down_after=2.5)
    simulated = Simulation(labels(1), network=lambda _label, _at: 0.29, health=patient)
    simulated.run(105.0)
    simulated.network = lambda _label, _at: 0.5
    simulated.run(115.0)
    assert simulated.doubts == []
    simulated.network = lambda _label, _at: None
    simulated.run(120.0)
    ((at, _, since),) = simulated.doubts
    assert at - since == pytest.approx(2 * 0.5, rel=0.3)


def test_a_failure_at_once_is_doubted_at_once():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    ((label, number),) = cadence.turn(100.0, never).ask
    assert cadence.failed(label, number, 100.02) == 100.0
    assert cadence.standing("a") is Standing.SUSPECT
    ((label, number),) = cadence.turn(100.02, never).ask
    assert cadence.failed(label, number, 100.03) is None, "that is no news"


def test_a_failure_of_what_was_sent_before_the_last_answer_is_no_reason():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    (lost,) = cadence.turn(100.0, never).ask
    (doubt,) = cadence.turn(100.3, never).doubted
    assert doubt == ("a", 100.0)
    assert cadence.unanswered("a") == 2
    cadence.answered("a", lost[1] + 1, 100.3, 100.36)
    assert cadence.standing("a") is Standing.CALM
    assert cadence.unanswered("a") == 0, "though one is under way"
    assert cadence.failed(*lost, 100.8) is None
    assert cadence.standing("a") is Standing.CALM


def test_others_are_asked_once_whether_it_is_the_tunnel():
    dead, *others = labels(8)
    simulated = Simulation([dead, *others], network=dead_from(100.01, dead))
    simulated.run(100.9)
    ((doubted_at, label, _),) = simulated.doubts
    assert label == dead
    extra = Counter(label for at, label in simulated.asked if doubted_at <= at < doubted_at + 0.03 and label != dead)
    assert len(extra) == COMPANIONS
    assert set(extra.values()) == {1}


@settings(deadline=None, max_examples=12)
@given(number=st.integers(1, 120))
def test_haste_is_bounded_whatever_dies_and_rotates(number: int):
    simulated = Simulation(labels(number), network=dead_from(100.2))
    simulated.run(106.0)
    assert most_in_a_second([at for at, _ in simulated.asked]) <= REGULAR_MOST + FAST_MOST + 1
    asked = Counter(label for at, label in simulated.asked if at >= 101.5)
    assert set(asked) == set(labels(number))


@settings(deadline=None, max_examples=30)
@given(
    died_at=st.floats(100.3, 101.9),
    number=st.integers(1, 30),
    latency=st.floats(0.0005, 0.1),
)
def test_silence_is_certain_in_time(died_at: float, number: int, latency: float):
    """`fall` failures without an answer since the first of them was sent, that being `down_after` ago."""
    simulated = Simulation(labels(number), network=lambda _, at: latency if at + latency < died_at else None)
    simulated.run(108.0)
    last = max(simulated.answers)
    failures = sorted((at, sent) for at, sent in simulated.failures if sent >= last)
    first_sent = min(sent for _, sent in failures)
    verdict = max(failures[SETTINGS.fall - 1][0], first_sent + SETTINGS.down_after)
    assert verdict - died_at <= SETTINGS.interval + SETTINGS.down_after + 0.01


@settings(deadline=None, max_examples=30)
@given(losses=st.lists(st.booleans(), min_size=50, max_size=50), number=st.integers(1, 5))
def test_every_answer_calms(losses: list[bool], number: int):
    turns = iter(losses * 100)
    simulated = Simulation(labels(number), network=lambda _, __: None if next(turns, False) else 0.02)
    simulated.run(110.0)
    simulated.network = alive
    simulated.run(113.0)
    assert {simulated.cadence.standing(label) for label in labels(number)} == {Standing.CALM}


def test_our_own_lateness_is_no_reason_for_doubt():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    (asked,) = cadence.turn(100.0, never).ask
    assert cadence.next_due() == pytest.approx(100.3)
    cadence.excuse(100.6, 0.3)
    assert not cadence.is_doubtful(100.6)
    assert cadence.turn(100.6, never).doubted == ()
    assert cadence.is_doubtful(100.9)
    cadence.answered(*asked, 100.0, 100.1)
    assert not cadence.is_doubtful(100.9)


def test_trouble_of_our_own_is_neither_doubt_nor_answer():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    (asked,) = cadence.turn(100.0, never).ask
    cadence.withdrawn(*asked)
    assert cadence.unanswered("a") == 0
    assert cadence.turn(100.5, never).doubted == ()
    assert cadence.next_due() == 101.0


# ---------------------------------------------------------------- what traffic says


def test_a_target_is_left_alone_until_traffic_suspects_it():
    simulated = Simulation(labels(1), ["tcp://db:5432"])
    simulated.run(105.0)
    assert simulated.times("tcp://db:5432") == []
    simulated.cadence.suspect("tcp://db:5432", simulated.now, simulated.now)
    simulated.run(110.0)
    asked = simulated.times("tcp://db:5432")
    assert asked[0] == 105.0, "at once"
    assert len(asked) == SETTINGS.rise, "it gives as many answers as a rise takes, and is left alone again"
    assert simulated.doubts == []


def test_a_dead_target_is_asked_until_it_has_risen():
    simulated = Simulation((), ["tcp://db:5432"], network=lambda *_: None)
    simulated.cadence.suspect("tcp://db:5432", 100.0, 100.0)
    simulated.run(110.0)
    assert [label for _, label, _ in simulated.doubts] == ["tcp://db:5432"]
    regular = simulated.times("tcp://db:5432", since=100.0 + VERDICT_OUT + 0.001)
    assert gaps(regular) == pytest.approx([SETTINGS.interval] * (len(regular) - 1))
    simulated.network = alive
    simulated.run(130.0)
    assert len(simulated.times("tcp://db:5432", since=110.001)) == SETTINGS.rise
    assert simulated.cadence.next_due() == inf


def test_traffic_cannot_have_a_dead_target_asked_fast_all_the_time():
    simulated = Simulation((), ["tcp://db:5432"], network=lambda *_: None)
    for second in range(100, 140):
        simulated.run(float(second))
        simulated.cadence.suspect("tcp://db:5432", simulated.now, simulated.now)
    bursts = sum(gap > 0.2 for gap in gaps(simulated.times("tcp://db:5432")))
    assert len(simulated.asked) < 40 / (AGAIN_AFTER + VERDICT_OUT) * 60 + bursts
    assert 1 < len(simulated.doubts) <= 4, "once each time"


def test_traffic_is_not_believed_where_an_answer_came_since_or_is_under_way():
    simulated = Simulation(["a"])
    simulated.run(100.9)
    simulated.cadence.suspect("a", 99.0, 100.9)
    assert simulated.cadence.standing("a") is Standing.CALM, "it has answered since"
    simulated.cadence.suspect("a", 100.9, 100.9)
    simulated.run(100.95)
    for _ in range(1000):
        simulated.cadence.suspect("a", 100.95, 100.95)
    simulated.run(100.99)
    assert len(simulated.times("a")) == 2, "it has just been asked"


def test_what_is_not_probed_cannot_be_suspected():
    cadence = Cadence(SETTINGS)
    cadence.suspect("tcp://db:5432", 100.0, 100.0)
    assert cadence.next_due() == inf
    assert cadence.standing("tcp://db:5432") is None


# ---------------------------------------------------------------- changes of the plan


def test_a_change_asks_only_what_is_new():
    simulated = Simulation(["a", "b"])
    simulated.run(100.2)
    simulated.cadence.plan(["b", "c"], (), 100.2)
    simulated.run(100.3)
    assert [label for at, label in simulated.asked if at > 100.1] == ["c"]
    simulated.run(103.0)
    assert simulated.times("a") == [100.0]
    for label in ("b", "c"):
        assert max(gaps(simulated.times(label))) <= SETTINGS.interval + 1e-9


def test_what_is_forgotten_has_no_answers_and_no_failures():
    cadence = Cadence(SETTINGS)
    cadence.plan(["a"], (), 100.0)
    (asked,) = cadence.turn(100.0, never).ask
    cadence.plan(["b"], ["a2"], 100.1)
    cadence.answered(*asked, 100.0, 100.2)
    cadence.withdrawn(*asked)
    assert cadence.failed(*asked, 100.8) is None
    assert cadence.turn(100.8, never).doubted == ()


def test_an_aim_may_become_a_target_and_return():
    simulated = Simulation(["a", "b"])
    simulated.run(101.0)
    simulated.cadence.plan(["b"], ["a"], 101.0)
    simulated.run(103.0)
    assert max(simulated.times("a")) <= 101.0
    simulated.cadence.plan(["b", "a"], (), 103.0)
    simulated.run(105.0)
    assert len(simulated.times("a", since=103.0)) >= 2


def test_nothing_to_probe_is_nothing_to_do():
    cadence = Cadence(SETTINGS)
    cadence.plan((), (), 100.0)
    assert cadence.next_due() == inf
    assert cadence.turn(200.0, never) == cadence.turn(201.0, never)
