"""The chronicle: where the book is, and what of the controller's doings is kept in it, with who asked for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from time import time
from typing import Final

import structlog

from gateway.admin.book.activity import GATEWAY, Activity
from gateway.admin.book.book import Book
from gateway.admin.book.store import Retention
from gateway.admin.book.telling import of_admin, of_drill, of_failback, of_failover
from gateway.admin.places import default_book
from gateway.model import AdminSpec, AdminState, Failover, Return
from gateway.observe.events import Event
from gateway.policy.evidence import Drained, Drilled, Evidence, Intent, ReturnNow
from gateway.policy.reconcile import Decision

log = structlog.get_logger()

_DAY: Final = 86_400.0  # seconds


def book_of(admin: AdminSpec) -> Book:
    """The book where the configuration wants it. An empty place is none, on purpose."""
    place = default_book(uid=os.geteuid(), env=os.environ) if admin.book is None else admin.book
    if place is None:
        log.warning(Event.BOOK_IN_MEMORY, path=None, reason="there is no place for it: see [admin] book")
    return Book(
        Path(place) if place else None,
        retention=Retention(seconds=admin.book_days * _DAY, per_tunnel=admin.book_lines),
    )


def activities(
    evidence: Evidence, decision: Decision, *, now: float, clock: Callable[[], float] = time
) -> Iterator[Activity]:
    """What is worth keeping of one step of the controller at `now`, its moment; `clock` is Unix time."""
    match evidence:
        case Intent(tunnel=tunnel, admin=admin, by=by):
            yield of_admin(tunnel, admin, at_unix=clock(), by=by or GATEWAY)
        case Drained(tunnel=tunnel, by=by):
            yield of_admin(tunnel, AdminState.DISABLED, at_unix=clock(), by=by or GATEWAY)
        case Drilled(tunnel=tunnel, until=until, by=by) if until is not None:
            yield of_drill(tunnel, round(until - now, 1), at_unix=clock(), by=by or GATEWAY)
        case _:
            pass
    for (old, new, cause), failovers in groupby(sorted(decision.failovers, key=_left), key=_left):
        yield of_failover(old, new, cause, [it.forward for it in failovers], at_unix=clock())
    asked_by = evidence.by if isinstance(evidence, ReturnNow) and evidence.by else GATEWAY
    for (old, new), returns in groupby(sorted(decision.returns, key=_returned), key=_returned):
        yield of_failback(old, new, [it.forward for it in returns], at_unix=clock(), by=asked_by)


def _left(it: Failover) -> tuple[str, str, str]:
    return it.from_tunnel, it.to_tunnel, it.cause.value


def _returned(it: Return) -> tuple[str, str]:
    return it.from_tunnel, it.to_tunnel
