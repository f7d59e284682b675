"""The book in /api/v1: pages as JSON, and streams, a line of JSON for each entry, that go on until one side ends them.

A stream reads pages as everybody does, whenever the book has grown: a slow reader falls behind, and costs no memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from aiohttp import hdrs, web

from gateway.admin.answers import BadRequestError, answered, refusal, unknown_name
from gateway.admin.book.activity import Activity
from gateway.admin.book.book import Book
from gateway.admin.book.parameters import (
    OF_ACTIVITIES,
    OF_ACTIVITIES_FOLLOWED,
    OF_LINES,
    OF_LINES_FOLLOWED,
    query_of,
)
from gateway.admin.book.queries import LONGEST_PAGE, Kept, Page, Query, T
from gateway.admin.documents import ActivitiesDocument, ActivityDocument, LineDocument, LogsDocument
from gateway.admin.serving import STOPPING, get
from gateway.errors import OperationError
from gateway.model import ControlView, VpnLine

_NDJSON: Final = "application/x-ndjson"
_TAIL: Final = 10
"""Entries that a stream begins with, when nobody says from where."""

_HEARTBEAT: Final = 15.0
"""Seconds after which an empty line is sent where there is nothing else: whoever has gone is noticed by that."""


class BookRoutes:
    """The routes of one book. `view` says which tunnels there are."""

    def __init__(
        self, book: Book, view: Callable[[], ControlView], *, now_unix: Callable[[], float] = time.time
    ) -> None:
        self._book = book
        self._view = view
        self._now_unix = now_unix

    def questions(self) -> list[web.RouteDef]:
        """All of them: nothing is changed by asking."""
        return [
            get("/api/v1/logs", self._logs),
            get("/api/v1/logs/stream", self._logs_followed),
            get("/api/v1/activity", self._activity),
            get("/api/v1/activity/stream", self._activity_followed),
        ]

    # ---------------------------------------------------------------- pages

    async def _logs(self, request: web.Request) -> web.Response:
        return await answered(self._lines(request))

    async def _lines(self, request: web.Request) -> LogsDocument:
        query = query_of(request.query.items(), OF_LINES, now_unix=self._now_unix())
        await self._know(query.tunnel)
        page = await self._book.lines(query)
        return {"lines": [line(kept) for kept in page.entries], "more": page.more}

    async def _activity(self, request: web.Request) -> web.Response:
        return await answered(self._activities(request))

    async def _activities(self, request: web.Request) -> ActivitiesDocument:
        query = query_of(request.query.items(), OF_ACTIVITIES, now_unix=self._now_unix())
        await self._know(query.tunnel)
        page = await self._book.activities(query)
        return {"activities": [activity(kept) for kept in page.entries], "more": page.more}

    # ---------------------------------------------------------------- streams

    async def _logs_followed(self, request: web.Request) -> web.StreamResponse:
        return await self._follow(request, OF_LINES_FOLLOWED, self._book.lines, line)

    async def _activity_followed(self, request: web.Request) -> web.StreamResponse:
        return await self._follow(request, OF_ACTIVITIES_FOLLOWED, self._book.activities, activity)

    async def _follow(
        self,
        request: web.Request,
        allowed: frozenset[str],
        read: Callable[[Query], Awaitable[Page[T]]],
        document: Callable[[Kept[T]], Mapping[str, object]],
    ) -> web.StreamResponse:
        try:
            query = query_of(request.query.items(), allowed, now_unix=self._now_unix(), page=_TAIL)
            await self._know(query.tunnel)
            growth, page = self._book.growth, await read(_beginning(query))
        except (BadRequestError, OperationError) as exc:
            return refusal(exc)
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: _NDJSON, hdrs.CACHE_CONTROL: "no-store"})
        await response.prepare(request)
        async with aclosing(self._pages(page, growth, query, read, request.app[STOPPING])) as pages:
            async for entries in pages:
                lines = "".join(f"{json.dumps(document(kept))}\n" for kept in entries)
                await response.write(lines.encode() or b"\n")
        return response

    async def _pages(
        self,
        page: Page[T],
        growth: asyncio.Event,
        query: Query,
        read: Callable[[Query], Awaitable[Page[T]]],
        stopping: asyncio.Event,
    ) -> AsyncGenerator[tuple[Kept[T], ...], None]:
        """`page` and what comes after it, for ever; an empty one as a heartbeat. Ends with the server or the book."""
        onwards = _beginning(query).after is not None
        yield page.entries
        while not stopping.is_set():
            # A page of the past may have had more before it, but nothing of that kind comes after it.
            more = page.more and onwards
            if not more and not await _first(growth, stopping, timeout=_HEARTBEAT):
                yield ()
                continue
            after = page.entries[-1].number if more else page.newest
            growth, onwards = self._book.growth, True
            try:
                page = await read(replace(query, after=after, limit=LONGEST_PAGE))
            except OperationError:
                return  # the book has ended with the gateway, or its disk: what was begun is not to be taken back
            if page.entries:
                yield page.entries

    # ---------------------------------------------------------------- names

    async def _know(self, tunnel: str | None) -> None:
        """Raise UnknownNameError for a tunnel that neither the gateway nor its book has heard of."""
        names = [each.name for each in self._view().tunnels]
        if tunnel is None or tunnel in names:
            return
        was_once = Query(tunnel=tunnel, limit=1)
        if not (await self._book.lines(was_once)).entries and not (await self._book.activities(was_once)).entries:
            raise await unknown_name("tunnel", tunnel, names)


def _beginning(query: Query) -> Query:
    """What a stream begins with: all of the time that was asked for, otherwise the last few entries."""
    if query.after is None and query.since_unix is None:
        return query
    return replace(query, after=query.after or 0, limit=LONGEST_PAGE)


async def _first(*events: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109 - it is no failure
    """Wait until one of `events` is set; False when none is after `timeout` seconds."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(event.wait(), name="stream") for event in events]
        done, pending = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
    return bool(done)


# ---------------------------------------------------------------- documents


def line(kept: Kept[VpnLine]) -> LineDocument:
    """One line."""
    said = kept.entry
    return {
        "number": kept.number,
        "at": _moment(said.at_unix),
        "tunnel": said.tunnel,
        "level": said.level,
        "component": said.component,
        "text": said.text,
    }


def activity(kept: Kept[Activity]) -> ActivityDocument:
    """One activity."""
    done = kept.entry
    return {
        "number": kept.number,
        "at": _moment(done.at_unix),
        "kind": done.kind,
        "tunnel": done.tunnel,
        "to_tunnel": done.to_tunnel,
        "by": done.by,
        "detail": done.detail,
    }


def _moment(at_unix: float) -> str:
    """As the log has it: UTC, milliseconds."""
    return datetime.fromtimestamp(at_unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
