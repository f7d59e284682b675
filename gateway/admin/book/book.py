"""The book as the event loop has it: entries are dropped in, pages are awaited, and one thread does the rest.

Nothing here waits for a disk. What comes faster than it is written waits in a bounded queue; beyond that it is dropped
and counted, for the relay goes first.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from gateway.admin.book.activity import Activity
from gateway.admin.book.queries import Page, Query
from gateway.admin.book.shelf import Shelf
from gateway.admin.book.store import MONTH, Entry, Retention
from gateway.errors import OperationError
from gateway.model import LineLevel, VpnLine
from gateway.observe.events import Event
from gateway.observe.throttle import Throttle

log = structlog.get_logger()

_CAPACITY: Final = 10_000  # entries that wait
_GATHER: Final = 0.05  # seconds in which entries come together to be written at once
_PRUNE_EVERY: Final = 3600.0  # seconds, where nothing is written
_LAST_WRITE: Final = 2.0  # seconds
_SAID_EVERY: Final = 60.0  # seconds

_SEVERITY: Final = {
    LineLevel.DEBUG: logging.DEBUG,
    LineLevel.INFO: logging.INFO,
    LineLevel.WARNING: logging.WARNING,
    LineLevel.ERROR: logging.ERROR,
}

_T = TypeVar("_T")


class Book:
    """Written while `run` runs. All methods belong to the event loop's thread.

    `directory` is where its file is; None: nowhere, it is kept in memory.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        retention: Retention = MONTH,
        capacity: int = _CAPACITY,
        now_unix: Callable[[], float] = time.time,
    ) -> None:
        self._shelf = Shelf(directory, retention=retention, now_unix=now_unix)
        self._capacity = capacity
        self._waiting: deque[Entry] = deque()
        self._filled = asyncio.Event()
        self._opened = asyncio.Event()
        self._growth = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None
        self._refused = 0
        self._lost = 0  # the thread's
        self._throttle = Throttle(_SAID_EVERY)

    @property
    def dropped(self) -> int:
        """Entries that are in no book and never will be, since the start: no room, or the disk took none."""
        return self._refused + self._lost

    @property
    def growth(self) -> asyncio.Event:
        """Set when entries have come that are not in it now, or when the book has ended. Take it before you read."""
        return self._growth

    # ---------------------------------------------------------------- writing

    def line(self, line: VpnLine) -> None:
        """Keep what a VPN client said, and log it. Never blocks."""
        log.log(_SEVERITY[line.level], Event.VPN_LINE, tunnel=line.tunnel, component=line.component, text=line.text)
        self._put(line)

    def record(self, activity: Activity) -> None:
        """Keep what happened. Never blocks."""
        self._put(activity)

    async def run(self) -> None:
        """Write until cancelled, and then what still waits: cancel it after everybody who has something to say."""
        thread = self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")
        try:
            await self._on_thread(thread, self._shelf.open)
            self._opened.set()
            while True:
                await self._until_filled(thread)
                await asyncio.sleep(_GATHER)
                self._filled.clear()
                await self._on_thread(thread, self._write)
                self._grow()
        finally:
            self._thread = None
            self._opened.set()
            try:
                async with asyncio.timeout(_LAST_WRITE):
                    await self._on_thread(thread, self._write)
                    await self._on_thread(thread, self._shelf.close)
            except TimeoutError:
                log.warning(Event.BOOK_DROPPED, entries=len(self._waiting))
            finally:
                thread.shutdown(wait=False)
                self._grow()

    async def _until_filled(self, thread: ThreadPoolExecutor) -> None:
        while not self._filled.is_set():
            try:
                async with asyncio.timeout(_PRUNE_EVERY):
                    await self._filled.wait()
            except TimeoutError:
                await self._on_thread(thread, self._shelf.prune)

    def _put(self, entry: Entry) -> None:
        if len(self._waiting) < self._capacity:
            self._waiting.append(entry)
            self._filled.set()
            return
        self._refused += 1
        if (entries := self._throttle.passes("refused", time.monotonic())) is not None:
            log.warning(Event.BOOK_DROPPED, entries=entries)

    def _grow(self) -> None:
        grown, self._growth = self._growth, asyncio.Event()
        grown.set()

    # ---------------------------------------------------------------- reading

    async def lines(self, query: Query) -> Page[VpnLine]:
        """The lines that `query` asks for, those that still wait to be written among them.

        Raises OperationError when the disk does not give them, or the book has ended.
        """
        return await self._read(lambda: self._shelf.lines(query))

    async def activities(self, query: Query) -> Page[Activity]:
        """The activities that `query` asks for; as `lines`."""
        return await self._read(lambda: self._shelf.activities(query))

    async def _read(self, ask: Callable[[], _T]) -> _T:
        await self._opened.wait()
        if self._thread is None:
            raise OperationError("the book is closed: the gateway is ending")

        def write_and_ask() -> _T:
            self._write()
            return ask()

        return await self._on_thread(self._thread, write_and_ask)

    # ---------------------------------------------------------------- the thread

    def _write(self) -> None:
        """On the thread, which takes the entries itself: a job that is cancelled before its turn costs none."""
        entries = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if entries:
            self._lost += self._shelf.add(entries)

    @staticmethod
    async def _on_thread(thread: ThreadPoolExecutor, do: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(thread, do)
