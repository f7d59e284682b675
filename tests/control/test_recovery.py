from __future__ import annotations

import pytest

from gateway.control.recovery import Recovery
from gateway.model import Cause, Failover


def failover(to: str, evidence_at: float) -> Failover:
    return Failover(forward="hello", from_tunnel="a", to_tunnel=to, cause=Cause.PROBES, evidence_at=evidence_at)


@pytest.fixture
def awaited() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def recovery(awaited) -> Recovery:
    return Recovery(lambda forward, tunnel: awaited.append((forward, tunnel)))


def test_from_the_first_evidence_to_the_first_connect(recovery, awaited):
    recovery.failed_over([failover("b", evidence_at=10.0)], now=11.4)
    assert awaited == [("hello", "b")]
    assert recovery.connected("hello", "b", 11.5) == pytest.approx(1.5)
    seen = recovery.durations()
    assert seen is not None
    assert dict(zip(seen.bounds, seen.counts, strict=False))[1.5] == 1
    assert seen.total == pytest.approx(1.5)


def test_nothing_is_said_before_there_is_something_to_say(recovery):
    assert recovery.durations() is None


def test_a_connect_through_another_tunnel_or_of_another_forward_is_none(recovery):
    recovery.failed_over([failover("b", evidence_at=10.0)], now=11.0)
    assert recovery.connected("hello", "a", 11.1) is None
    assert recovery.connected("other", "b", 11.1) is None
    assert recovery.connected("hello", "b", 11.2) is not None
    assert recovery.connected("hello", "b", 11.3) is None, "only the first"


def test_two_failovers_without_a_connect_between_them_are_one_recovery(recovery):
    recovery.failed_over([failover("b", evidence_at=10.0)], now=11.0)
    recovery.failed_over([failover("c", evidence_at=12.0)], now=13.0)
    assert recovery.connected("hello", "b", 13.1) is None
    assert recovery.connected("hello", "c", 13.5) == pytest.approx(3.5)


def test_a_forward_that_nobody_waited_for_is_left_out(recovery):
    recovery.failed_over([failover("b", evidence_at=10.0)], now=11.0)
    assert recovery.connected("hello", "b", 3600.0) is None
    assert recovery.durations() is None


def test_clocks_that_disagree_make_no_negative_time(recovery):
    recovery.failed_over([failover("b", evidence_at=10.0)], now=10.0)
    assert recovery.connected("hello", "b", 9.999) == 0.0
