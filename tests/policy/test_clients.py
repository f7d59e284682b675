from __future__ import annotations

import pytest

from gateway.model import Cause, DriverState, DriverStatus, Endpoint, Failure, FailureReason
from gateway.policy.clients import in_words, verdict_of
from gateway.policy.evidence import Verdict

SERVER = Endpoint("198.51.100.7", 1194)
REFUSED = Failure(reason=FailureReason.WRONG_PASSWORD, detail="the account myuser was refused", server=SERVER)


def status(state: DriverState, failure: Failure | None = None) -> DriverStatus:
    return DriverStatus(tunnel="zone-a", state=state, since=1.0, server=SERVER, failure=failure)


def test_connected_takes_everything_back():
    assert verdict_of(status(DriverState.CONNECTED)) == Verdict(tunnel="zone-a", cause=None)


@pytest.mark.parametrize(
    ("state", "failure", "words"),
    [
        (DriverState.STOPPED, None, "its VPN client is stopped: `gateway connect zone-a` starts it"),
        (DriverState.CONNECTING, None, "its VPN client connects to 198.51.100.7:1194"),
        (
            DriverState.RECONNECTING,
            Failure(reason=FailureReason.TIMED_OUT, detail="no answer for 8 s"),
            "its VPN client is not connected: timed_out: no answer for 8 s",
        ),
        (
            DriverState.AUTH_FAILED,
            REFUSED,
            f"the account of its VPN client is refused: {in_words(REFUSED)}",
        ),
    ],
)
def test_all_else_is_against_the_tunnel_and_says_why(state: DriverState, failure: Failure | None, words: str):
    verdict = verdict_of(status(state, failure))
    assert (verdict.cause, verdict.detail) == (Cause.DRIVER, words)
    assert verdict.first is (state is DriverState.CONNECTING), "after a failure there is something to hold against it"


def test_a_failure_in_words():
    assert in_words(REFUSED) == "wrong_password (198.51.100.7:1194): the account myuser was refused"


def test_a_failure_without_more_to_say():
    assert in_words(Failure(reason=FailureReason.CANCELLED, detail="")) == "cancelled"
