"""Long-lived sessions that talk on a beat, and what became of each of them.

Each asks, waits for the answer however long that takes, and asks again on the next beat. One that hangs is not lost:
it has ended only when its client was told so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum

from tests.lab import client
from tests.lab.netns import Namespace
from tests.lab.waiting import eventually

_LOOPBACK = "127.0.0.1"
_BEAT = 0.25  # seconds between an answer and the next question
_PATIENCE = 10.0  # seconds to connect, on a machine that may be busy


async def _read_line(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\n")


async def _read_page(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"you=")  # the head, and the page up to its last line
    await _read_line(reader)


class Language(Enum):
    """What is said to the target, and how its answer is read."""

    ECHO = (b"hello\n", _read_line)
    PAGE = (b"GET / HTTP/1.1\r\nHost: corp\r\n\r\n", _read_page)

    def __init__(self, question: bytes, answer: Callable[[asyncio.StreamReader], Awaitable[None]]) -> None:
        self.question = question
        self.answer = answer


@dataclass(slots=True)
class Talk:
    """One session. Moments are seconds as of `time.time()`; `error` says how it ended, "" while it has not."""

    heard_at: float | None = None
    ended_at: float | None = None
    error: str = ""


class Talks:
    """The sessions of one forward."""

    def __init__(self, talks: Sequence[Talk]) -> None:
        self.talks = talks

    @property
    def lost(self) -> int:
        """How many have ended."""
        return sum(each.ended_at is not None for each in self.talks)

    async def heard(self, *, since: float, within: float = _PATIENCE) -> None:
        """Return when each that has not ended was answered after `since`. Raises NotReadyError."""

        def silent() -> int:
            return sum(each.ended_at is None and (each.heard_at or 0.0) <= since for each in self.talks)

        async def all_heard() -> bool:
            return silent() == 0

        await eventually(
            all_heard, within=within, what="every session is answered", detail=lambda: f"{silent()} are silent"
        )


@asynccontextmanager
async def talking(space: Namespace, port: int, count: int, language: Language = Language.ECHO) -> AsyncIterator[Talks]:
    """`count` sessions through the forward on `port`, each of them answered once before the context begins."""
    talks = Talks([Talk() for _ in range(count)])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_talk(space, port, language, each)) for each in talks.talks]
        try:
            await talks.heard(since=0.0)
            yield talks
        finally:
            for task in tasks:
                task.cancel()  # one that hangs would wait for its answer


async def _talk(space: Namespace, port: int, language: Language, talk: Talk) -> None:
    reader, writer = await client.connect(space, _LOOPBACK, port, within=_PATIENCE)
    try:
        while True:
            writer.write(language.question)
            await language.answer(reader)
            talk.heard_at = time.time()
            await _pause(reader)
    except (OSError, EOFError) as error:
        talk.ended_at, talk.error = time.time(), repr(error)
    finally:
        writer.transport.abort()


async def _pause(reader: asyncio.StreamReader) -> None:
    """Let the beat pass. Raises what ends the session meanwhile."""
    try:
        async with asyncio.timeout(_BEAT):
            unasked = await reader.read(1)
    except TimeoutError:
        if error := reader.exception():  # the kernel's own time-out is a TimeoutError, too
            raise error from None
    else:
        raise EOFError(f"unasked: {unasked!r}" if unasked else "end of file")
