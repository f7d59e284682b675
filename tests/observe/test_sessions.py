"""Which finished sessions are logged, and what their line says."""

import dataclasses

import pytest

from gateway.dataplane.messages import SessionEnded
from gateway.model import CloseReason, ConnectResult, SessionLog
from gateway.observe.logs import LogLevel
from gateway.observe.sessions import session_logger

ORDERLY = SessionEnded(
    forward="hello",
    client="10.0.0.7:51000",
    listen="*:33000",
    target="192.168.100.30:8080",
    tunnel="zone-a",
    result=ConnectResult.OK,
    reason=CloseReason.EOF,
    to_target=120,
    to_client=5000,
    duration=1.23456,
)
REFUSED = dataclasses.replace(ORDERLY, result=ConnectResult.DIAL_FAILED, reason=None, tunnel=None)


def ended_by(reason: CloseReason) -> SessionEnded:
    return dataclasses.replace(ORDERLY, reason=reason)


def test_off_is_nothing_to_call():
    assert session_logger(SessionLog.OFF) is None


def test_the_line_of_a_session(pipe, configure):
    configure()
    log = session_logger(SessionLog.ALL)
    assert log is not None
    log(ORDERLY)
    event = pipe.read_event()
    assert event.pop("timestamp")
    assert event == {
        "level": "info",
        "event": "session.finished",
        "environment": "test",
        "client": "10.0.0.7:51000",
        "forward": "hello",
        "tunnel": "zone-a",
        "target": "192.168.100.30:8080",
        "to_target": 120,
        "to_client": 5000,
        "duration": 1.235,
        "reason": "eof",
        "result": "ok",
    }


def test_a_client_that_never_got_an_upstream(pipe, configure):
    configure()
    log = session_logger(SessionLog.ALL)
    assert log is not None
    log(REFUSED)
    event = pipe.read_event()
    assert (event["result"], event["reason"], event["tunnel"]) == ("dial_failed", None, None)


@pytest.mark.parametrize("reason", list(CloseReason))
def test_failures_are_all_that_did_not_end_in_order(pipe, configure, reason):
    writer = configure()
    log = session_logger(SessionLog.FAILURES)
    assert log is not None
    log(ended_by(reason))
    log(REFUSED)
    writer.close()
    assert len(pipe.read_all()) == (1 if reason is CloseReason.EOF else 2)


@pytest.mark.parametrize("reason", list(CloseReason))
def test_only_our_own_failure_is_an_error(pipe, configure, reason):
    writer = configure(level=LogLevel.ERROR)
    log = session_logger(SessionLog.ALL)
    assert log is not None
    log(ended_by(reason))
    writer.close()
    assert len(pipe.read_all()) == (1 if reason is CloseReason.ERROR else 0)
