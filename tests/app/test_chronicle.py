from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.admin.book.activity import Activity, ActivityKind
from gateway.admin.places import default_book
from gateway.app.chronicle import activities, book_of
from gateway.model import AdminSpec, AdminState, Cause, Failover, Return
from gateway.policy.evidence import Drained, Drilled, Evidence, Intent, ReturnNow, TimePassed
from gateway.policy.reconcile import Decision


def told(evidence: Evidence = TimePassed(), decision: Decision = Decision()) -> list[Activity]:  # noqa: B008 - frozen
    return list(activities(evidence, decision, now=100.0, clock=lambda: 5.0))


def test_what_an_operator_does_has_their_name():
    assert told(Intent(tunnel="a", admin=AdminState.DISABLED, by="uid 0, pid 7")) == [
        Activity(at_unix=5.0, kind=ActivityKind.ADMIN, tunnel="a", by="uid 0, pid 7", detail="disabled")
    ]
    assert [it.by for it in told(Drained(tunnel="a", by="its drain"))] == ["its drain"]
    (drill,) = told(Drilled(tunnel="a", until=110.0, by="me"))
    assert (drill.by, drill.detail) == ("me", "taken out by a drill for 10 s")
    assert told(Drilled(tunnel="a", until=None)) == [], "its end is no doing of theirs"


def test_a_move_of_many_forwards_is_one_activity():
    failovers = [Failover(forward=name, from_tunnel="a", to_tunnel="b", cause=Cause.DRIVER) for name in ("x", "y", "z")]
    other = Failover(forward="w", from_tunnel="a", to_tunnel="c", cause=Cause.DRIVER)
    found = told(decision=Decision(failovers=(*failovers, other)))
    assert [(it.kind, it.tunnel, it.to_tunnel, it.detail) for it in found] == [
        (ActivityKind.FAILOVER, "a", "b", "driver: x, y, z"),
        (ActivityKind.FAILOVER, "a", "c", "driver: w"),
    ]


def test_a_failback_is_by_whom_it_is_asked():
    moved = Decision(returns=(Return(forward="x", from_tunnel="b", to_tunnel="a"),))
    (alone,) = told(decision=moved)
    (asked,) = told(ReturnNow(forwards=frozenset({"x"}), by="uid 0, pid 7"), moved)
    assert (alone.kind, alone.by) == (ActivityKind.FAILBACK, "gateway")
    assert asked == replace(alone, by="uid 0, pid 7")


async def test_the_book_is_where_it_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert book_of(AdminSpec(book=str(tmp_path)))._shelf._path == tmp_path / "book.sqlite3"
    with capture_logs() as logs:
        assert book_of(AdminSpec(book=""))._shelf._path is None
    assert logs == [], "on purpose"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = default_book(uid=1000, env={"XDG_STATE_HOME": str(tmp_path)})
    assert book_of(AdminSpec())._shelf._path == Path(str(place)) / "book.sqlite3"


async def test_a_user_without_a_home_is_told_that_there_is_no_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    with capture_logs() as logs:
        assert book_of(AdminSpec())._shelf._path is None
    assert [(it["event"], it["path"]) for it in logs] == [("book.in_memory", None)]
