from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import HealthSettings
from gateway.policy.pulse import Pulse, alive, is_risen, is_silent, restarted, silent_at, unanswered
from tests.policy.probing import conversation

SETTINGS = HealthSettings()

# "+t": a sign of life at t; "-t": a probe that was sent at t has failed
CASES: dict[str, tuple[str, Pulse]] = {
    "nothing": ("", Pulse()),
    "an answer": ("+1.0", Pulse(run=1, alive_at=1.0, counted_at=1.0, awake_since=1.0)),
    "answers an interval apart": ("+1.0 +2.0 +3.0", Pulse(run=3, alive_at=3.0, counted_at=3.0, awake_since=1.0)),
    "nearly an interval apart": ("+1.0 +1.95", Pulse(run=2, alive_at=1.95, counted_at=1.95, awake_since=1.0)),
    "two targets of one round": ("+1.0 +1.5", Pulse(run=1, alive_at=1.5, counted_at=1.0, awake_since=1.0)),
    "a burst counts once": ("+1.0 +1.1 +1.49", Pulse(run=1, alive_at=1.49, counted_at=1.0, awake_since=1.0)),
    "what is told late is no news": ("+1.0 +0.5", Pulse(run=1, alive_at=1.0, counted_at=1.0, awake_since=1.0)),
    "told twice": ("+1.0 +2.0 +2.0", Pulse(run=2, alive_at=2.0, counted_at=2.0, awake_since=1.0)),
    "failures": ("-1.0 -1.3", Pulse(run=-2, silent_since=1.0)),
    "failures, the later one told first": ("-1.3 -1.0", Pulse(run=-2, silent_since=1.0)),
    "a failure after an answer": (
        "+1.0 -2.0",
        Pulse(run=-1, alive_at=1.0, counted_at=1.0, awake_since=1.0, silent_since=2.0),
    ),
    "what was lost before a sign of life": ("+1.0 -0.9", Pulse(run=1, alive_at=1.0, counted_at=1.0, awake_since=1.0)),
    "sent at that very moment": ("+1.0 -1.0", Pulse(run=1, alive_at=1.0, counted_at=1.0, awake_since=1.0)),
    "one answer in between resets": (
        "+1.0 -2.0 -2.3 +2.4",
        Pulse(run=1, alive_at=2.4, counted_at=2.4, awake_since=1.0),
    ),
    "and the silence begins anew": (
        "+1.0 -2.0 +2.4 -2.5",
        Pulse(run=-1, alive_at=2.4, counted_at=2.4, awake_since=1.0, silent_since=2.5),
    ),
    "a sign that is older than the silence": (
        "+1.0 -2.0 +1.9",
        Pulse(run=-1, alive_at=1.9, counted_at=1.0, awake_since=1.0, silent_since=2.0),
    ),
    "a silence too short for a verdict was none": (
        "+1.0 -2.0 -2.3 -2.35 +3.3",
        Pulse(run=1, alive_at=3.3, counted_at=3.3, awake_since=1.0),
    ),
    "a silence long enough": (
        "+1.0 -2.0 -2.3 -2.35 +3.4",
        Pulse(run=1, alive_at=3.4, counted_at=3.4, awake_since=3.4),
    ),
    "long, but of too few probes": ("+1.0 -2.0 -3.0 +3.9", Pulse(run=1, alive_at=3.9, counted_at=3.9, awake_since=1.0)),
}


def told(script: str) -> Pulse:
    pulse = Pulse()
    for word in script.split():
        moment = float(word[1:])
        pulse = alive(pulse, moment, SETTINGS) if word[0] == "+" else unanswered(pulse, moment)
    return pulse


@pytest.mark.parametrize(("script", "pulse"), CASES.values(), ids=CASES.keys())
def test_what_is_told_of_a_path(script: str, pulse: Pulse):
    assert told(script) == pulse


@pytest.mark.parametrize(
    ("script", "moment"),
    [
        ("+1.0", None),
        ("-2.0 -2.3", None),
        ("-2.0 -2.3 -2.35", 3.4),
        ("-2.0 -2.3 -2.35 -2.4", 3.4),
        ("-2.0 -2.3 -2.35 +2.5", None),
        ("-2.0 -2.3 -2.35 +1.9", 3.4),
    ],
)
def test_silent_after_fall_probes_and_down_after(script: str, moment: float | None):
    pulse = told(script)
    assert silent_at(pulse, SETTINGS) == moment
    if moment is not None:
        assert not is_silent(pulse, SETTINGS, moment - 0.001)
        assert is_silent(pulse, SETTINGS, moment)
    else:
        assert not is_silent(pulse, SETTINGS, 1000.0)


@pytest.mark.parametrize(
    ("script", "risen"),
    [("+1.0", False), ("+1.0 +1.4", False), ("+1.0 +2.0", True), ("+1.0 +2.0 -3.0", False), ("-1.0 +1.5 +2.5", True)],
)
def test_risen_after_rise_answers_apart(script: str, risen: bool):
    assert is_risen(told(script), SETTINGS) is risen


def test_what_was_before_an_interruption_is_history():
    pulse = restarted(told("+1.0 +2.0 +3.0"))
    assert pulse == Pulse(alive_at=3.0)
    assert alive(pulse, 3.0, SETTINGS) == pulse, "the last sign of life from before does not wake it"
    assert alive(pulse, 4.0, SETTINGS).awake_since == 4.0


# ---------------------------------------------------------------- whatever happens

moments = st.floats(0, 100).map(lambda moment: round(moment, 3))


@given(events=st.lists(st.tuples(st.booleans(), moments), max_size=40), fall=st.integers(1, 5))
def test_no_order_of_events_confuses_it(events: list[tuple[bool, float]], fall: int):
    settings = HealthSettings(fall=fall)
    pulse = Pulse()
    for is_life, moment in events:
        before = pulse
        pulse = alive(pulse, moment, settings) if is_life else unanswered(pulse, moment)
        assert (pulse.silent_since is not None) is (pulse.run < 0)
        assert abs(pulse.run) <= abs(before.run) + 1
        if pulse.silent_since is not None and pulse.alive_at is not None:
            assert pulse.silent_since >= pulse.alive_at, "there was no sign of life since"
        if is_life:
            assert pulse.alive_at == max(moment, before.alive_at or 0.0)
            again = alive(pulse, moment, settings)
            assert again == pulse, "told twice is told once"
        moment_of_verdict = silent_at(pulse, settings)
        if moment_of_verdict is not None:
            assert pulse.run <= -fall
            assert moment_of_verdict >= (pulse.alive_at or 0.0) + settings.down_after


@given(
    lives=st.lists(st.floats(0.01, SETTINGS.down_after - 0.01), min_size=1, max_size=50),
    failures=st.lists(moments, max_size=50),
)
def test_traffic_that_goes_on_vetoes_any_number_of_failed_probes(lives: list[float], failures: list[float]):
    pulse, now = alive(Pulse(), 0.0, SETTINGS), 0.0
    waiting = sorted(failures, reverse=True)
    for gap in lives:
        while waiting and waiting[-1] < now + gap:
            pulse = unanswered(pulse, waiting.pop())
            assert not is_silent(pulse, SETTINGS, now + gap)
        now += gap
        pulse = alive(pulse, now, SETTINGS)


# ---------------------------------------------------------------- detection, and false alarms


@pytest.mark.parametrize("phase", [number / 20 for number in range(20)])
@pytest.mark.parametrize("rtt", [0.001, 0.02, 0.25])
def test_a_real_silence_is_found_within_2_45_s_of_its_start(phase: float, rtt: float):
    start = 10.0
    pulse = Pulse()
    for ended in conversation(lambda sent: sent + rtt >= start, SETTINGS, until=20.0, phase=phase, rtt=rtt):
        if is_silent(pulse, SETTINGS, ended.at):
            found = silent_at(pulse, SETTINGS)
            break
        pulse = alive(pulse, ended.at, SETTINGS) if ended.is_answered else unanswered(pulse, ended.sent_at)
    else:
        pytest.fail("it was not found at all")
    assert found is not None
    assert SETTINGS.down_after - rtt <= found - start <= 2.45


def test_losing_a_third_each_way_for_2000_minutes_is_no_silence():
    """A silence of 1.4 s needs 21 losses in a row: 7e-7 an episode, so one such run of 25 has a false alarm."""
    random = Random(20)  # noqa: S311 - a simulation, the same each time
    pulse, lost, longest = Pulse(), 0, 0.0
    for ended in conversation(lambda _: random.random() < 1 - 0.7 * 0.7, SETTINGS, until=2000 * 60.0):
        assert not is_silent(pulse, SETTINGS, ended.at)
        if ended.is_answered:
            pulse = alive(pulse, ended.at, SETTINGS)
            continue
        lost += 1
        pulse = unanswered(pulse, ended.sent_at)
        longest = max(longest, ended.at - (pulse.silent_since or ended.at))
    assert lost > 100_000, "there was something to be wrong about"
    assert SETTINGS.timeout < longest < SETTINGS.down_after
