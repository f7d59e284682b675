"""The book's tables, in versions: a book is brought from whichever it has to the newest, a step each.

Entries are numbered from the moment the book was begun, in milliseconds of Unix time: in a book that follows another
(damaged, or in memory only) numbers still grow, so whoever asks for what came after a number misses nothing.
"""

from __future__ import annotations

import sqlite3
from typing import Final

APPLICATION: Final = 0x67617465  # "gate": what SQLite writes into the file's head

_FIRST: Final = (
    """CREATE TABLE line (
         number INTEGER PRIMARY KEY AUTOINCREMENT,
         at REAL NOT NULL, tunnel TEXT NOT NULL, level INTEGER NOT NULL, component TEXT NOT NULL, text TEXT NOT NULL
       )""",
    "CREATE INDEX line_of_tunnel ON line (tunnel, number)",
    """CREATE TABLE activity (
         number INTEGER PRIMARY KEY AUTOINCREMENT,
         at REAL NOT NULL, kind TEXT NOT NULL, tunnel TEXT, to_tunnel TEXT, by TEXT NOT NULL, detail TEXT NOT NULL
       )""",
    "CREATE INDEX activity_of_tunnel ON activity (tunnel, number)",
    "INSERT INTO sqlite_sequence (name, seq) VALUES ('line', :first), ('activity', :first)",
)

_STEPS: Final = (_FIRST,)
"""Append only: books are out there. The version of a book is the number of steps that it has seen."""

VERSION: Final = len(_STEPS)


class StrangerError(Exception):
    """The file is sound, and not a book that this version can read. The text says what it is."""


class DamagedError(Exception):
    """The file is broken. The text says how."""


def bring_up_to_date(connection: sqlite3.Connection, *, begun_at_unix: float) -> None:
    """Make what `connection` (in autocommit) has open a book of this version; `begun_at_unix` is for a new one.

    Raises StrangerError and leaves all as it was, DamagedError where SQLite finds something wrong, sqlite3.Error for
    the rest.
    """
    found = _pragma(connection, "quick_check(1)")
    if found != "ok":
        raise DamagedError(str(found))
    application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if application != APPLICATION and not is_empty:
        raise StrangerError("a database of something else")
    if not isinstance(version, int) or version > VERSION:
        raise StrangerError(f"a book of a later gateway: version {version}, this one knows {VERSION}")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in _STEPS[version:]:
            for statement in step:
                connection.execute(statement, {"first": int(begun_at_unix * 1000)} if ":first" in statement else {})
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    value: object = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
