from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.failback import (
    LONGEST_HOLD,
    STABLE_SECONDS,
    Damping,
    fallen,
    forgiven,
    is_held,
    recovered,
    released,
)


def flapped(times: int, *, delay: float = 30.0, now: float = 0.0) -> tuple[Damping, float]:
    """The damping after so many falls, each at once repaired, and the moment of the last recovery."""
    damping = recovered(Damping(), delay, now)
    for _ in range(times):
        now += 1.0
        damping = recovered(fallen(damping, now), delay, now)
    return damping, now


def hold(damping: Damping, now: float) -> float:
    return 0.0 if damping.hold_until is None else damping.hold_until - now


@pytest.mark.parametrize(
    ("falls", "seconds"), [(0, 0), (1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (7, 600), (500, 600)]
)
def test_the_hold_doubles_with_each_flap_up_to_ten_minutes(falls: int, seconds: float):
    assert hold(*flapped(falls)) == seconds


def test_never_at_start():
    assert recovered(Damping(), 30.0, 0.0).hold_until is None


@pytest.mark.parametrize(
    ("falls", "stable", "seconds"),
    [
        (3, 299.9, 240.0),  # not stable for long enough: the fourth flap doubles
        (3, 300.0, 120.0),
        (3, 600.0, 60.0),
        (3, 900.0, 30.0),  # all is forgiven; the next flap is a first one
        (3, 90_000.0, 30.0),
        (500, 300.0, 600.0),  # halved, then doubled
        (500, 600.0, 480.0),
        (500, 1800.0, 30.0),  # half an hour of peace, whatever was before
    ],
)
def test_five_stable_minutes_halve_it(falls: int, stable: float, seconds: float):
    damping, now = flapped(falls)
    now += stable
    assert hold(recovered(fallen(damping, now), 30.0, now), now) == pytest.approx(seconds)


def test_time_spent_down_is_not_stable():
    damping, now = flapped(2)
    later = now + 5 + 10 * STABLE_SECONDS
    assert hold(recovered(fallen(damping, now + 5), 30.0, later), later) == 120.0


@pytest.mark.parametrize(("delay", "seconds"), [(0.0, 0.0), (1e-6, 1e-6), (600.0, 600.0), (3600.0, 3600.0)])
def test_the_delay_of_the_file_is_the_first_hold(delay: float, seconds: float):
    damping, now = flapped(1, delay=delay)
    assert hold(damping, now) == pytest.approx(seconds)
    assert (damping.hold_until is None) is (delay == 0.0)


def test_is_held_until_and_not_at_the_end():
    damping, now = flapped(1)
    assert is_held(damping, now + 29.999)
    assert not is_held(damping, now + 30.0)
    assert released(damping, now + 29.999) == damping
    assert released(damping, now + 30.0).hold_until is None
    assert released(damping, now + 30.0).falls == damping.falls


def test_new_sessions_are_free_to_come_from_the_end_of_the_hold():
    damping, now = flapped(1)
    assert damping.free_since == now + 30.0
    assert released(damping, now + 100.0).free_since == now + 30.0
    assert recovered(Damping(), 30.0, 5.0).free_since == 5.0


def test_what_the_operator_forgives_is_the_wait_not_the_fall():
    damping, now = flapped(3)
    after = forgiven(damping, now + 7.0)
    assert (after.hold_until, after.free_since, after.falls) == (None, now + 7.0, 3)
    assert forgiven(released(damping, now + 500.0), now + 500.0).free_since == damping.free_since


def test_a_fall_ends_the_hold():
    damping, now = flapped(1)
    assert fallen(damping, now + 1).hold_until is None


@given(
    delay=st.just(0.0) | st.floats(1e-6, 7200),  # a duration in the file is whole microseconds
    steps=st.lists(st.tuples(st.floats(0, 2000), st.floats(0, 2000)), max_size=30),
)
def test_no_history_holds_longer_than_the_longest(delay: float, steps: list[tuple[float, float]]):
    damping, now = recovered(Damping(), delay, 0.0), 0.0
    for up, down in steps:
        now += up
        damping = fallen(damping, now)
        now += down
        damping = recovered(damping, delay, now)
        assert hold(damping, now) <= max(LONGEST_HOLD, delay) + 1e-6
        assert hold(damping, now) >= min(delay, 1.0) * 0.999 - 1e-9
