"""The session log: one line for each finished session, or only for failures, or none.

A switched-off log is None rather than a function that does nothing: the data plane then never even makes the value
that would have been logged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.model import CloseReason, ConnectResult, SessionLog
from gateway.observe.events import Event


class EndedSession(Protocol):
    """What the session log reads of a finished session: the data plane's `SessionEnded`, by shape."""

    @property
    def forward(self) -> str:
        """Name of the forward."""

    @property
    def client(self) -> str:
        """The client's address and port."""

    @property
    def target(self) -> str:
        """The target as configured."""

    @property
    def tunnel(self) -> str | None:
        """The tunnel it rode on; None when none was reached."""

    @property
    def result(self) -> ConnectResult:
        """What became of the client."""

    @property
    def reason(self) -> CloseReason | None:
        """Why the session ended; None when there never was one."""

    @property
    def to_target(self) -> int:
        """Bytes from client to target."""

    @property
    def to_client(self) -> int:
        """Bytes from target to client."""

    @property
    def duration(self) -> float:
        """Seconds from accept to end."""


def session_logger(mode: SessionLog) -> Callable[[EndedSession], None] | None:
    """What to call with each finished session; None when nothing is to be called.

    Call `logs.configure` first: the logger is bound here, once, because binding costs as much as a line.
    """
    match mode:
        case SessionLog.OFF:
            return None
        case SessionLog.ALL:
            return _line_writer()
        case SessionLog.FAILURES:
            write = _line_writer()
            return lambda session: write(session) if _failed(session) else None


def _failed(session: EndedSession) -> bool:
    return session.reason is not CloseReason.EOF or session.result is not ConnectResult.OK


def _line_writer() -> Callable[[EndedSession], None]:
    log = structlog.get_logger().bind()

    def write(session: EndedSession) -> None:
        # A client that resets or a target that refuses is everyday life; only our own failure is an error.
        say = log.error if session.reason is CloseReason.ERROR else log.info
        say(
            Event.SESSION_FINISHED,
            client=session.client,
            forward=session.forward,
            tunnel=session.tunnel,
            target=session.target,
            to_target=session.to_target,
            to_client=session.to_client,
            duration=round(session.duration, 3),
            reason=session.reason,
            result=session.result,
        )

    return write
