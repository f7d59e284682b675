"""The ledger of VPN clients: counts that only grow, whatever drivers begin anew; and what is news."""

from dataclasses import replace

import pytest

from gateway.admin.drivers import DriverLedger, Tally
from gateway.model import DriverState, DriverStatus, Failure, FailureReason
from tests.admin.fakes import NOW_UNIX

STOPPED = DriverStatus(tunnel="zone-a", state=DriverState.STOPPED, since=1.0)
CONNECTING = replace(STOPPED, state=DriverState.CONNECTING, attempts=1)
CONNECTED = replace(CONNECTING, state=DriverState.CONNECTED)


def failed(attempts: int, reason: FailureReason = FailureReason.TIMED_OUT, **more: object) -> DriverStatus:
    failure = Failure(reason=reason, detail="")
    return replace(STOPPED, state=DriverState.RECONNECTING, attempts=attempts, failure=failure, **more)


@pytest.fixture
def recorded():
    return []


@pytest.fixture
def ledger(recorded):
    return DriverLedger(recorded.append, now_unix=lambda: NOW_UNIX)


def test_nothing_yet(ledger):
    assert (ledger.statuses(), ledger.tally()) == ({}, Tally())


def test_the_last_status_of_each(ledger):
    other = replace(CONNECTED, tunnel="zone-b")
    for status in (STOPPED, other, CONNECTING):
        ledger.heard(status)
    assert ledger.statuses() == {"zone-a": CONNECTING, "zone-b": other}


@pytest.mark.parametrize("attempts_when_connected", [0, 2])
def test_attempts_add_up_over_connections(ledger, attempts_when_connected):
    second = replace(CONNECTING, attempts=2, failure=Failure(reason=FailureReason.OTHER, detail=""))
    for _ in range(3):
        for status in (
            CONNECTING,
            failed(1),
            second,
            replace(CONNECTED, attempts=attempts_when_connected),
            failed(0),
        ):
            ledger.heard(status)
    assert ledger.tally().attempts == {"zone-a": 6}


def test_a_stop_in_between_counts_no_attempt_twice(ledger):
    for status in (CONNECTING, replace(STOPPED, attempts=1), replace(CONNECTING, attempts=2)):
        ledger.heard(status)
    assert ledger.tally().attempts == {"zone-a": 2}


def test_a_reconnection_at_once_is_an_attempt(ledger):
    for status in (CONNECTING, CONNECTED, replace(CONNECTING, state=DriverState.RECONNECTING)):
        ledger.heard(status)
    assert ledger.tally().attempts == {"zone-a": 2}


def test_bytes_add_up_over_connections(ledger):
    for status in (
        replace(CONNECTED, transmitted=10, received=100),
        replace(CONNECTED, transmitted=20, received=300),
        failed(0, transmitted=20, received=300),
        replace(CONNECTING, transmitted=0, received=0),
        replace(CONNECTED, transmitted=5, received=7),
    ):
        ledger.heard(status)
    assert (ledger.tally().transmitted, ledger.tally().received) == ({"zone-a": 25}, {"zone-a": 307})


def test_a_failure_counts_once_and_the_same_again_counts_twice(ledger):
    first = failed(1)
    for status in (CONNECTING, first, replace(first, state=DriverState.CONNECTING, attempts=2), failed(2)):
        ledger.heard(status)
    ledger.heard(failed(3, FailureReason.UNREACHABLE))
    assert ledger.tally().failures == {
        ("zone-a", FailureReason.TIMED_OUT): 2,
        ("zone-a", FailureReason.UNREACHABLE): 1,
    }


def test_what_a_tally_says_stays(ledger):
    ledger.heard(CONNECTING)
    before = ledger.tally()
    ledger.heard(failed(5))
    assert before.attempts == {"zone-a": 1}


def test_by_whom_until_it_is_reached(ledger, recorded):
    ledger.asked("zone-a", "uid 0, pid 1")
    for status in (CONNECTING, failed(1), CONNECTED):
        ledger.heard(status)
    ledger.heard(failed(0))
    ledger.heard(CONNECTED)
    ledger.asked("zone-a", "uid 0, pid 2")
    ledger.heard(replace(CONNECTED, received=9))  # that it is still connected is not what was asked for
    ledger.heard(STOPPED)
    assert [(each.kind, each.by) for each in recorded] == [
        ("attempt_failed", "uid 0, pid 1"),
        ("connected", "uid 0, pid 1"),
        ("disconnected", "gateway"),
        ("connected", "gateway"),
        ("disconnected", "uid 0, pid 2"),
    ]
    assert {each.at_unix for each in recorded} == {NOW_UNIX}
