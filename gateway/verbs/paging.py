"""Entries of the book, as many as there are or were asked for, page by page.

Both kinds of entry come the same ways; `read` is one page, `follow` a stream of `Asking`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, Generic, NamedTuple, TypeVar

from gateway.admin.documents import ActivityDocument, LineDocument
from gateway.verbs.asking import Asking, Parameters

_LONGEST_PAGE: Final = 1000  # what the API gives at most

Entry = TypeVar("Entry", LineDocument, ActivityDocument)


class Chapter(NamedTuple, Generic[Entry]):
    """One kind of entry: how to read a page of it (the entries, and whether there are more), and how to follow it."""

    read: Callable[[Parameters], Awaitable[tuple[Sequence[Entry], bool]]]
    follow: Callable[[Parameters], AsyncGenerator[Entry, None]]


def lines(asking: Asking) -> Chapter[LineDocument]:
    """What VPN clients said."""

    async def read(parameters: Parameters) -> tuple[Sequence[LineDocument], bool]:
        page = await asking.logs(parameters)
        return page["lines"], page["more"]

    return Chapter(read, asking.logs_followed)


def activities(asking: Asking) -> Chapter[ActivityDocument]:
    """What happened."""

    async def read(parameters: Parameters) -> tuple[Sequence[ActivityDocument], bool]:
        page = await asking.activity(parameters)
        return page["activities"], page["more"]

    return Chapter(read, asking.activity_followed)


async def kept(chapter: Chapter[Entry], asked: Parameters, last: int | None) -> AsyncIterator[Entry]:
    """What is in the book, the oldest first: of all that fits `asked`, the `last` ones, or (None) all."""
    if last is not None:
        for entry in await _tail(chapter, asked, last):
            yield entry
        return
    after, more = 0, True
    while more:
        entries, more = await chapter.read({**asked, "after": str(after), "limit": str(_LONGEST_PAGE)})
        for entry in entries:
            yield entry
            after = entry["number"]
        more = more and bool(entries)


async def followed(chapter: Chapter[Entry], asked: Parameters, last: int | None) -> AsyncIterator[Entry]:
    """What is in the book, as `kept` (None: all since `since` if that is asked, else the last few); then what comes."""
    start: Mapping[str, str] = asked
    if last is not None:
        # One more than nothing: the stream goes on from the entry that was read last, and misses none.
        entries = await _tail(chapter, asked, max(1, last))
        for entry in entries if last else ():
            yield entry
        start = {**asked, "after": str(entries[-1]["number"] if entries else 0)}
    async with aclosing(chapter.follow(start)) as stream:
        async for entry in stream:
            yield entry


async def _tail(chapter: Chapter[Entry], asked: Parameters, last: int) -> list[Entry]:
    pages: list[Sequence[Entry]] = []
    missing, before = last, dict[str, str]()
    while missing > 0:
        entries, more = await chapter.read({**asked, **before, "limit": str(min(missing, _LONGEST_PAGE))})
        pages.append(entries)
        missing -= len(entries)
        if not (more and entries):
            break
        before = {"before": str(entries[0]["number"])}
    return [entry for page in reversed(pages) for entry in page]
