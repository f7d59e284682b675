"""The book as a database: entries in, pages out, old ones away. Synchronous, and for one thread at a time."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.admin.book.activity import Activity, ActivityKind
from gateway.admin.book.queries import Kept, Page, Query, T
from gateway.admin.book.schema import bring_up_to_date
from gateway.model import LineLevel, VpnLine

Entry = VpnLine | Activity

_PATIENCE: Final = 1.0  # seconds for another process that has the file open
_LONGEST_TEXT: Final = 4096  # characters of a line
_SLACK: Final = 100  # entries beyond the limit after which they are counted
_LEVELS: Final = {LineLevel.DEBUG: 10, LineLevel.INFO: 20, LineLevel.WARNING: 30, LineLevel.ERROR: 40}
_LEVEL_OF: Final = {number: level for level, number in _LEVELS.items()}

_ADD_LINE: Final = "INSERT INTO line (at, tunnel, level, component, text) VALUES (?, ?, ?, ?, ?)"
_ADD_ACTIVITY: Final = "INSERT INTO activity (at, kind, tunnel, to_tunnel, by, detail) VALUES (?, ?, ?, ?, ?, ?)"

# `LIMIT` is one more than is shown: whether there is more.
_LINES: Final = """
SELECT number, at, tunnel, level, component, text FROM line
WHERE number > :after AND number < :before AND at >= :since AND level >= :level
  AND (:tunnel IS NULL OR tunnel = :tunnel) AND (:grep = '' OR instr(lower(text), lower(:grep)))
ORDER BY number {order} LIMIT :limit + 1"""
_ACTIVITIES: Final = """
SELECT number, at, kind, tunnel, to_tunnel, by, detail FROM activity
WHERE number > :after AND number < :before AND at >= :since
  AND (:tunnel IS NULL OR tunnel = :tunnel OR to_tunnel = :tunnel)
ORDER BY number {order} LIMIT :limit + 1"""
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?"

_TOO_OLD: Final = "DELETE FROM {table} WHERE at < ?"
_TOO_MANY: Final = """
DELETE FROM {table} WHERE tunnel IS :tunnel AND number <= (
  SELECT number FROM {table} WHERE tunnel IS :tunnel ORDER BY number DESC LIMIT 1 OFFSET :keep)"""
_TABLES: Final = ("line", "activity")

_LAST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much is kept: `seconds`, and lines (and as many activities) of each tunnel."""

    seconds: float = 30 * 86_400.0
    per_tunnel: int = 10_000


MONTH: Final = Retention()


class Store:
    """An open book. Owns the connection; everything raises sqlite3.Error when the file cannot be used."""

    def __init__(self, connection: sqlite3.Connection, retention: Retention) -> None:
        self._connection = connection
        self._retention = retention
        self._unpruned: Counter[tuple[str, str | None]] = Counter()  # added since, by table and tunnel

    @classmethod
    def open(cls, path: Path | None, retention: Retention, *, now_unix: float) -> Store:
        """The book in the file at `path`, which is made if there is none; None: in memory.

        Nobody else can open it meanwhile. Raises sqlite3.Error, and what `schema.bring_up_to_date` does.
        """
        # Autocommit: transactions are begun by hand. The thread that asks is another than the one that opened, perhaps.
        connection = sqlite3.connect(
            ":memory:" if path is None else path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # two gateways would mix their lines
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last lines, never the book
            bring_up_to_date(connection, begun_at_unix=now_unix)
            store = cls(connection, retention)
            store.prune(now_unix=now_unix)
        except BaseException:
            connection.close()
            raise
        return store

    def close(self) -> None:
        """Close the file. What was added is in it."""
        self._connection.close()

    def add(self, entries: Sequence[Entry]) -> None:
        """Write `entries`, all or none, and forget what is too much then."""
        lines = [entry for entry in entries if isinstance(entry, VpnLine)]
        activities = [entry for entry in entries if isinstance(entry, Activity)]
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                _ADD_LINE,
                [(it.at_unix, it.tunnel, _LEVELS[it.level], it.component, _storable(it.text)) for it in lines],
            )
            connection.executemany(
                _ADD_ACTIVITY,
                [(it.at_unix, it.kind, it.tunnel, it.to_tunnel, it.by, _storable(it.detail)) for it in activities],
            )
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled it back already
                connection.execute("ROLLBACK")
            raise
        self._unpruned.update(("line", line.tunnel) for line in lines)
        self._unpruned.update(("activity", activity.tunnel) for activity in activities)
        self._prune_by_number(key for key, added in list(self._unpruned.items()) if added >= _SLACK)

    def prune(self, *, now_unix: float) -> None:
        """Forget what is too old, and of each tunnel what is too much."""
        for table in _TABLES:
            self._connection.execute(_TOO_OLD.format(table=table), (now_unix - self._retention.seconds,))
            tunnels = self._connection.execute(f"SELECT DISTINCT tunnel FROM {table}").fetchall()  # noqa: S608 - ours
            self._prune_by_number((table, tunnel) for (tunnel,) in tunnels)

    def lines(self, query: Query) -> Page[VpnLine]:
        """The lines that `query` asks for."""
        return self._page(_LINES, "line", query, _line)

    def activities(self, query: Query) -> Page[Activity]:
        """The activities that `query` asks for."""
        return self._page(_ACTIVITIES, "activity", query, _activity)

    def _page(self, statement: str, table: str, query: Query, read: Callable[..., Kept[T]]) -> Page[T]:
        onwards = query.after is not None
        asked = {
            "after": -1 if query.after is None else query.after,
            "before": _LAST if query.before is None else query.before,
            "since": float("-inf") if query.since_unix is None else query.since_unix,
            "level": _LEVELS[query.level],
            "tunnel": query.tunnel,
            "grep": query.grep,
            "limit": query.limit,
        }
        text = statement.format(order="ASC" if onwards else "DESC")
        rows = self._connection.execute(text, asked).fetchall()
        kept = [read(*row) for row in rows[: query.limit]]
        newest: int = self._connection.execute(_NEWEST, (table,)).fetchone()[0]
        return Page(entries=tuple(kept if onwards else reversed(kept)), more=len(rows) > query.limit, newest=newest)

    def _prune_by_number(self, keys: Iterable[tuple[str, str | None]]) -> None:
        for table, tunnel in keys:
            asked = {"tunnel": tunnel, "keep": self._retention.per_tunnel}
            self._connection.execute(_TOO_MANY.format(table=table), asked)
            self._unpruned.pop((table, tunnel), None)


# ---------------------------------------------------------------- rows


def _line(number: int, at: float, tunnel: str, level: int, component: str, text: str) -> Kept[VpnLine]:
    line = VpnLine(at_unix=at, tunnel=tunnel, level=_LEVEL_OF[level], component=component, text=text)
    return Kept(number=number, entry=line)


def _activity(
    number: int, at: float, kind: str, tunnel: str | None, to_tunnel: str | None, by: str, detail: str
) -> Kept[Activity]:
    activity = Activity(at_unix=at, kind=ActivityKind(kind), tunnel=tunnel, to_tunnel=to_tunnel, by=by, detail=detail)
    return Kept(number=number, entry=activity)


def _storable(text: str) -> str:
    """Bounded, and without what is no Unicode: a VPN client may say any bytes."""
    return text[:_LONGEST_TEXT].encode(errors="backslashreplace").decode()
