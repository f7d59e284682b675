"""When a VPN client tries again: the waits by table, and what holds whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import FailureReason
from gateway.policy.backoff import (
    FIRST_WAIT,
    LASTING,
    LONGEST_REFUSED_WAIT,
    LONGEST_WAIT,
    Backoff,
    failed,
    refuses,
    wait,
)

LOST = FailureReason.TIMED_OUT
REFUSED = FailureReason.WRONG_PASSWORD


def after(*reasons: FailureReason, servers: int = 1, lasted: float | None = None) -> Backoff:
    backoff = Backoff()
    for reason in reasons:
        backoff = failed(backoff, reason, servers=servers, lasted=lasted)
    return backoff


def waits(reason: FailureReason, count: int, *, servers: int = 1) -> list[float]:
    return [wait(after(*[reason] * n, servers=servers), servers=servers, chance=0.0) for n in range(1, count + 1)]


def test_nothing_failed_nothing_to_wait_for():
    assert wait(Backoff(), servers=1, chance=0.5) == 0.0


def test_waits_double_up_to_a_minute():
    assert waits(LOST, 9) == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_refused_account_is_tried_slowly_up_to_half_an_hour():
    assert waits(REFUSED, 7) == [60, 120, 240, 480, 960, 1800, 1800]


def test_a_round_through_all_servers_counts_once():
    assert waits(LOST, 7, servers=3) == [1, 1, 1, 2, 2, 2, 4]


def test_a_refused_account_is_slow_with_every_server():
    assert waits(REFUSED, 3, servers=3) == [60, 120, 240]


def test_servers_are_tried_in_order_round_and_round():
    assert [after(*[LOST] * n, servers=3).server for n in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_connection_that_lasted_wipes_out_what_was_before():
    backoff = after(*[LOST] * 5, servers=2)
    ended = failed(backoff, LOST, servers=2, lasted=LASTING)
    assert (ended.failures, ended.server) == (1, 0)
    assert wait(ended, servers=2, chance=0.0) == FIRST_WAIT


@pytest.mark.parametrize("lasted", [None, 0.0, LASTING - 0.001])
def test_one_that_did_not_last_wipes_out_nothing(lasted):
    assert failed(after(LOST, LOST), LOST, servers=1, lasted=lasted).failures == 3


def test_another_failure_ends_a_row_of_refusals():
    assert after(REFUSED, REFUSED, LOST).refusals == 0
    assert after(LOST, REFUSED).failures == 1


@pytest.mark.parametrize("reason", list(FailureReason))
def test_only_a_wrong_password_is_a_refusal(reason):
    assert refuses(reason) is (reason is REFUSED)


@given(
    reasons=st.lists(st.sampled_from(FailureReason), min_size=1, max_size=200),
    servers=st.integers(1, 9),
    lasted=st.none() | st.floats(0, 1e6),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_history_makes_it_spin_or_sleep_for_ever(reasons, servers, lasted, chance):
    backoff = after(*reasons, servers=servers, lasted=lasted)
    seconds = wait(backoff, servers=servers, chance=chance)
    assert FIRST_WAIT / 2 <= seconds <= (LONGEST_REFUSED_WAIT if refuses(reasons[-1]) else LONGEST_WAIT)
    assert 0 <= backoff.server < servers


@given(chances=st.tuples(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True)))
def test_chance_shortens_a_wait_by_half_at_most(chances):
    backoff = after(LOST, LOST, LOST)
    low, high = sorted(wait(backoff, servers=1, chance=chance) for chance in chances)
    assert 2.0 <= low <= high <= 4.0
