"""Where the book stands: in a file of its own directory, or in memory where that cannot be. Synchronous.

A book that is damaged is set aside and another is begun, at the start and at any later time. Whatever the disk does,
the gateway goes on: what cannot be written is counted, and said.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import structlog

from gateway.admin.book.activity import Activity
from gateway.admin.book.queries import Page, Query
from gateway.admin.book.schema import DamagedError, StrangerError
from gateway.admin.book.store import Entry, Retention, Store
from gateway.errors import OperationError
from gateway.model import VpnLine
from gateway.observe.events import Event
from gateway.observe.throttle import Throttle

log = structlog.get_logger()

_NAME: Final = "book.sqlite3"
_ASIDE: Final = ".damaged"
_BESIDE: Final = ("", "-wal", "-shm")  # the files that a database consists of
_PRIVATE_FILE: Final = 0o600
_PRIVATE_DIRECTORY: Final = 0o700
_SAID_EVERY: Final = 60.0  # seconds

_T = TypeVar("_T")


class Shelf:
    """One book, for one thread at a time. It is opened when it is first used.

    Its directory is private when it is made; `directory=None`: it is in memory, as is wanted.
    """

    def __init__(
        self, directory: Path | None, *, retention: Retention, now_unix: Callable[[], float] = time.time
    ) -> None:
        self._path = None if directory is None else directory / _NAME
        self._retention = retention
        self._now_unix = now_unix
        self._store: Store | None = None
        self._throttle = Throttle(_SAID_EVERY)

    def open(self) -> None:
        """Open the book of the last run, or begin one. Where there can be no file, one in memory, with a warning."""
        if self._store is None:
            self._store = self._open(damage=None)

    def close(self) -> None:
        """Close it; what was added is on disk. Closing again does nothing."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def add(self, entries: Sequence[Entry]) -> int:
        """Write `entries`; how many of them are lost, because the disk takes none."""
        try:
            self._use(lambda store: store.add(entries))
        except sqlite3.Error as exc:
            if (times := self._throttle.passes("add", time.monotonic())) is not None:
                log.error(Event.BOOK_UNWRITABLE, path=str(self._path), reason=str(exc), count=times)  # noqa: TRY400
            return len(entries)
        return 0

    def prune(self) -> None:
        """Forget what is too old."""
        try:
            self._use(lambda store: store.prune(now_unix=self._now_unix()))
        except sqlite3.Error as exc:
            log.warning(Event.BOOK_UNWRITABLE, path=str(self._path), reason=str(exc), count=1)

    def lines(self, query: Query) -> Page[VpnLine]:
        """See `Store`. Raises OperationError when the disk does not give them."""
        return self._read(lambda store: store.lines(query))

    def activities(self, query: Query) -> Page[Activity]:
        """See `Store`. Raises OperationError when the disk does not give them."""
        return self._read(lambda store: store.activities(query))

    def _read(self, ask: Callable[[Store], _T]) -> _T:
        try:
            return self._use(ask)
        except sqlite3.Error as exc:
            raise OperationError(f"the book cannot be read: {exc}") from exc

    def _use(self, do: Callable[[Store], _T]) -> _T:
        """What `do` returns; done again with a new book when this one turns out to be damaged."""
        if self._store is None:
            self._store = self._open(damage=None)
        try:
            return do(self._store)
        except sqlite3.DatabaseError as exc:
            if self._path is None or not _is_damage(exc):
                raise
            self._store.close()
            self._store = self._open(damage=exc)
        return do(self._store)

    # ---------------------------------------------------------------- files

    def _open(self, *, damage: Exception | None) -> Store:
        """The book of the file, or one in memory; with `damage` the file has it, and goes aside first."""
        path = self._path
        if path is not None:
            try:
                if damage is not None:
                    self._set_aside(path, damage)
                return self._open_file(path)
            except (OSError, sqlite3.Error, StrangerError) as exc:
                log.warning(Event.BOOK_IN_MEMORY, path=str(path), reason=_reason(exc))
        self._path = None
        return Store.open(None, self._retention, now_unix=self._now_unix())

    def _open_file(self, path: Path) -> Store:
        path.parent.mkdir(mode=_PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        try:
            return self._open_store(path)
        except (DamagedError, sqlite3.DatabaseError) as exc:
            if not _is_damage(exc):
                raise
            self._set_aside(path, exc)
        return self._open_store(path)

    def _open_store(self, path: Path) -> Store:
        # Made here, for its mode: SQLite gives the other files the same.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _PRIVATE_FILE))
        return Store.open(path, self._retention, now_unix=self._now_unix())

    @staticmethod
    def _set_aside(path: Path, why: Exception) -> None:
        """Rename its files, over those of the last one that was damaged. Raises OSError."""
        aside = path.with_name(path.name + _ASIDE)
        for end in _BESIDE:
            part = path.with_name(path.name + end)
            if part.exists():
                part.replace(aside.with_name(aside.name + end))
            else:  # what is there belongs to the one before
                aside.with_name(aside.name + end).unlink(missing_ok=True)
        log.error(Event.BOOK_DAMAGED, path=str(path), aside=str(aside), reason=str(why))


def _is_damage(error: Exception) -> bool:
    """Whether the file itself is broken, rather than the disk full, or somebody else in it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary one
    return isinstance(error, DamagedError) or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return "another gateway keeps its book there"
    return str(error)
