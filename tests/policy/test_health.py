from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cause, Health, HealthSettings
from gateway.policy.health import TRANSITIONS, Signal, TunnelHealth, due, fail, look, patience, stumble

SETTINGS = HealthSettings(rise=3, interval=2.0)
FRESH = TunnelHealth()
UP = look(FRESH, SETTINGS, 1.0)
DOWN = fail(UP, Cause.LINK_DOWN, 5.0)

DIAGRAM = {
    (Health.UNKNOWN, Signal.GOOD): Health.UP,
    (Health.UNKNOWN, Signal.RISEN): Health.UP,
    (Health.UNKNOWN, Signal.FAILED): Health.DOWN,
    (Health.UP, Signal.GOOD): Health.UP,
    (Health.UP, Signal.RISEN): Health.UP,
    (Health.UP, Signal.FAILED): Health.DOWN,
    (Health.DOWN, Signal.GOOD): Health.DOWN,
    (Health.DOWN, Signal.RISEN): Health.UP,
    (Health.DOWN, Signal.FAILED): Health.DOWN,
}


def test_the_table_is_the_diagram_and_answers_every_signal():
    assert TRANSITIONS == DIAGRAM
    assert set(TRANSITIONS) == set(product(Health, Signal))


@pytest.mark.parametrize(
    ("state", "health", "cause", "since"),
    [
        (FRESH, Health.UNKNOWN, None, 0.0),
        (UP, Health.UP, Cause.FIRST_GOOD, 1.0),
        (look(UP, SETTINGS, 2.0), Health.UP, Cause.FIRST_GOOD, 1.0),
        (DOWN, Health.DOWN, Cause.LINK_DOWN, 5.0),
        (fail(FRESH, Cause.DEVICE_GONE, 3.0), Health.DOWN, Cause.DEVICE_GONE, 3.0),
        (fail(DOWN, Cause.DEVICE_GONE, 6.0), Health.DOWN, Cause.DEVICE_GONE, 5.0),
        (fail(DOWN, Cause.PROBES, 6.0), Health.DOWN, Cause.PROBES, 5.0),
        (look(DOWN, SETTINGS, 6.0), Health.DOWN, Cause.LINK_DOWN, 5.0),
    ],
)
def test_health_cause_and_since(state: TunnelHealth, health: Health, cause: Cause | None, since: float):
    assert (state.health, state.cause, state.since) == (health, cause, since)


def test_the_first_up_needs_one_good_look_and_later_ones_rise():
    assert look(FRESH, SETTINGS, 1.0).health is Health.UP
    first = look(DOWN, SETTINGS, 10.0)
    assert due(first, SETTINGS) == 14.0, "three looks are two intervals apart"
    assert look(first, SETTINGS, 13.999).health is Health.DOWN
    risen = look(first, SETTINGS, 14.0)
    assert (risen.health, risen.cause, risen.since) == (Health.UP, Cause.RECOVERED, 14.0)
    assert due(risen, SETTINGS) is None


def test_a_failure_while_rising_begins_anew():
    rising = look(DOWN, SETTINGS, 10.0)
    failed = fail(rising, Cause.LINK_DOWN, 12.0)
    assert due(failed, SETTINGS) is None
    again = look(failed, SETTINGS, 13.0)
    assert due(again, SETTINGS) == 17.0


def test_a_rise_of_one_needs_one_look():
    assert look(DOWN, HealthSettings(rise=1), 6.0).health is Health.UP


@pytest.mark.parametrize("rise", [1, 3])
def test_a_stumble_is_a_fall_that_is_already_being_recovered_from(rise: int):
    settings = HealthSettings(rise=rise, interval=2.0)
    fallen = stumble(UP, Cause.DEVICE_REPLACED, 5.0)
    assert (fallen.health, fallen.cause, fallen.since) == (Health.DOWN, Cause.DEVICE_REPLACED, 5.0)
    assert due(fallen, settings) == 5.0 + patience(settings)


signals = st.lists(st.sampled_from(["good", *Cause]), max_size=20)


@given(events=signals, gaps=st.lists(st.floats(0, 10), min_size=20, max_size=20), rise=st.integers(1, 4))
def test_moves_are_in_the_table_and_good_looks_at_due_always_lead_up(events: list[str], gaps: list[float], rise: int):
    settings = HealthSettings(rise=rise, interval=1.0)
    state, now = FRESH, 0.0
    for event, gap in zip(events, gaps, strict=False):
        now += gap
        new = look(state, settings, now) if event == "good" else fail(state, Cause(event), now)
        assert new.health in {TRANSITIONS[state.health, signal] for signal in Signal}
        assert (new.since == now) or (new.health is state.health)
        state = new
    state = look(state, settings, now)
    state = look(state, settings, due(state, settings) or now)
    assert state.health is Health.UP
