"""VPN clients in words."""

import pytest

from gateway.model import DriverState, FailureReason
from gateway.verbs.clients import certificate_notes, driver_notes, reason, standing, why_not

FAILURE = {"reason": "wrong_password", "detail": "the server refused the account myuser", "server": "198.51.100.7:1194"}
TIMED_OUT = {"reason": "timed_out", "detail": ""}


def driver(state: str = "connected", **more: object) -> dict:
    return {
        "state": state,
        "since_seconds": 75.0,
        "server": "198.51.100.7:1194",
        "addresses": [],
        "attempts": 0,
        "retry_in_seconds": None,
        "failure": None,
        "transmitted": 0,
        "received": 0,
        **more,
    }


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            driver(addresses=["10.8.0.2", "2001:db8::2"], transmitted=1500, received=2_500_000),
            (
                "zone-a is connected to 198.51.100.7:1194 as 10.8.0.2 and 2001:db8::2 for 1m 15s; "
                "1.5 kB sent, 2.5 MB received"
            ),
        ),
        (
            driver(server=None, transmitted=0, received=999),
            "zone-a is connected for 1m 15s; 0 B sent, 999 B received",
        ),
        (driver("connecting", attempts=1), "zone-a is connecting to 198.51.100.7:1194, 1 attempt so far"),
        (driver("connecting", server=None), "zone-a is connecting"),
        (
            driver("reconnecting", attempts=3, failure=FAILURE | TIMED_OUT, retry_in_seconds=12.0),
            (
                "zone-a is reconnecting to 198.51.100.7:1194, 3 attempts so far; timed out at 198.51.100.7:1194; "
                "next attempt in 12s"
            ),
        ),
        (
            driver("auth_failed", attempts=2, failure=FAILURE, retry_in_seconds=300.0),
            (
                "zone-a is refused by the server, 2 attempts so far; wrong password at 198.51.100.7:1194: "
                "the server refused the account myuser; next attempt in 5m 0s"
            ),
        ),
        (driver("stopped", attempts=2), "zone-a is stopped"),
        (driver("some_new_state", server=None), "zone-a is some new state"),
    ],
)
def test_where_a_client_stands(document, sentence):
    assert standing("zone-a", document) == sentence
    assert list(driver_notes(document)) == [sentence.replace("zone-a is", "VPN client", 1)]


@pytest.mark.parametrize("state", DriverState)
def test_every_state_has_words(state):
    assert "_" not in standing("a", driver(state, server=None))


def test_every_reason_has_words_of_its_own():
    said = [reason({"reason": each, "detail": "", "server": None}) for each in FailureReason]
    assert len(set(said)) == len(FailureReason)
    assert not any("_" in words for words in said)


def test_a_reason_of_a_newer_gateway_is_shown_all_the_same():
    assert reason({"reason": "new_moon", "detail": "wait", "server": None}) == "new moon: wait"


def test_what_a_server_says_of_a_failure_does_nothing_to_a_terminal():
    failure = {"reason": "other", "detail": "\x1b[2Jgone", "server": None}
    assert reason(failure) == "failed: \\x1b[2Jgone"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (driver("auth_failed", failure=FAILURE), reason(FAILURE)),
        (driver("stopped"), "it was disconnected"),
        (driver("connecting"), "still connecting"),
    ],
)
def test_why_it_is_not_connected(document, why):
    assert why_not(document) == why


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (-3 * 86_400.0, ["the client certificate CN=\\x1bclient expired 3d 0h ago"]),
        (12 * 86_400.0, ["the client certificate CN=\\x1bclient ends in 12d 0h"]),
        (31 * 86_400.0, []),
    ],
)
def test_certificates_that_end(left, says):
    document = {"certificate": "client", "subject": "CN=\x1bclient", "expires_in_seconds": left}
    assert list(certificate_notes([document])) == says
