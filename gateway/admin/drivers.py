"""The ledger of VPN clients: where each stands, and what is counted of them since the gateway started.

Drivers say only how it is now: attempts since the last connection, bytes of the present one. What a scrape shows must
only ever grow, so the differences are added up here; and what is news becomes an activity of the book.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.admin.book.activity import GATEWAY, Activity, ActivityKind
from gateway.admin.book.telling import of_driver
from gateway.model import DriverState, DriverStatus, FailureReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was counted, by tunnel. Bytes are those that the VPN client says: of the tunnel, not of sessions."""

    attempts: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[tuple[str, FailureReason], int] = field(default_factory=dict)
    transmitted: Mapping[str, int] = field(default_factory=dict)
    received: Mapping[str, int] = field(default_factory=dict)


class DriverLedger:
    """Hears every status. On the event loop's thread. `record` gets the activities."""

    def __init__(self, record: Callable[[Activity], None], *, now_unix: Callable[[], float] = time.time) -> None:
        self._record = record
        self._now_unix = now_unix
        self._statuses: dict[str, DriverStatus] = {}
        self._asked_by: dict[str, str] = {}
        self._attempts: Counter[str] = Counter()
        self._failures: Counter[tuple[str, FailureReason]] = Counter()
        self._transmitted: Counter[str] = Counter()
        self._received: Counter[str] = Counter()

    def statuses(self) -> Mapping[str, DriverStatus]:
        """The last status of each VPN client, by tunnel."""
        return dict(self._statuses)

    def tally(self) -> Tally:
        """A copy of what was counted."""
        return Tally(
            attempts=dict(self._attempts),
            failures=dict(self._failures),
            transmitted=dict(self._transmitted),
            received=dict(self._received),
        )

    def asked(self, tunnel: str, by: str) -> None:
        """Somebody asks for a connection or its end: what becomes of it was by them, until it is reached."""
        self._asked_by[tunnel] = by

    def heard(self, status: DriverStatus) -> None:
        """What a driver reports, at each change. A failure counts once: while it is the same object."""
        name, old = status.tunnel, self._statuses.get(status.tunnel)
        self._statuses[name] = status
        self._count(old, status)
        news = list(of_driver(old, status, at_unix=self._now_unix(), by=self._asked_by.get(name, GATEWAY)))
        for activity in news:
            self._record(activity)
        if status.state is DriverState.STOPPED or any(each.kind is ActivityKind.CONNECTED for each in news):
            self._asked_by.pop(name, None)

    def _count(self, old: DriverStatus | None, new: DriverStatus) -> None:
        name = new.tunnel
        was = DriverStatus(tunnel=name, state=DriverState.STOPPED, since=0.0) if old is None else old
        lost = was.state is DriverState.CONNECTED and new.state is not DriverState.CONNECTED
        self._attempts[name] += _added(new.attempts, 0 if lost else was.attempts)
        self._transmitted[name] += _added(new.transmitted, was.transmitted)
        self._received[name] += _added(new.received, was.received)
        if new.failure is not None and new.failure is not was.failure:
            self._failures[name, new.failure.reason] += 1


def _added(now: int, before: int) -> int:
    """By how much a count has grown that begins anew at times."""
    return now - before if now >= before else now
