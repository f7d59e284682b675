"""A client that reads the company's page again and again, and what became of each reading.

Every reading is a connection of its own, begun on the beat whether or not the one before has ended: a reading that
hangs hides nothing of what comes after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from tests.lab import client
from tests.lab.netns import Namespace
from tests.lab.waiting import eventually

_BEAT = 0.01  # seconds from the start of one reading to the start of the next
_PATIENCE = 10.0


class Outcome(StrEnum):
    """What became of one reading."""

    ANSWERED = "answered"
    RESET = "reset"  # the connection ended by RST: the client knows at once
    FAILED = "failed"  # anything else: refused, cut short in silence, timed out


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading. `began` and `ended` are seconds as of `time.time()`, as in the gateway's log.

    `seen` is the address that the company's server saw, "" unless ANSWERED; `error` says what else happened.
    """

    began: float
    ended: float
    outcome: Outcome
    seen: str = ""
    error: str = ""


@asynccontextmanager
async def reading(space: Namespace, port: int, *, host: str = "127.0.0.1") -> AsyncIterator[Sequence[Reading]]:
    """Begin a reading on every beat while the context lasts. At its end each reading has its outcome.

    Readings appear in the order in which they ended.
    """
    readings: list[Reading] = []
    stopping = asyncio.Event()

    async def read() -> None:
        readings.append(await _read(space, host, port))

    async with asyncio.TaskGroup() as group:

        async def begin() -> None:
            while not stopping.is_set():
                group.create_task(read())
                with suppress(TimeoutError):  # the beat
                    await asyncio.wait_for(stopping.wait(), _BEAT)

        group.create_task(begin())
        try:
            yield readings
        finally:
            stopping.set()


async def answered(readings: Sequence[Reading], by: str, *, since: int = 0) -> None:
    """Return when the page was read at least once by the address `by`, after the mark `since`. Raises NotReadyError."""

    async def found() -> bool:
        return any(each.seen == by for each in readings[since:])

    await eventually(
        found, within=_PATIENCE, what=f"the page is read by {by}", detail=lambda: f"the last reading: {readings[-1:]}"
    )


async def several(readings: Sequence[Reading], count: int, *, since: int = 0) -> None:
    """Return when `count` more readings have their outcomes, after the mark `since`. Raises NotReadyError."""

    async def there() -> bool:
        return len(readings) >= since + count

    await eventually(
        there, within=_PATIENCE, what=f"{count} readings", detail=lambda: f"there are {len(readings) - since}"
    )


async def _read(space: Namespace, host: str, port: int) -> Reading:
    began = time.time()
    try:
        answer = await client.fetch(space, host=host, port=port, within=_PATIENCE)
    except ConnectionResetError as error:
        return Reading(began, time.time(), Outcome.RESET, error=str(error))
    except (OSError, EOFError) as error:
        return Reading(began, time.time(), Outcome.FAILED, error=repr(error))
    return Reading(began, time.time(), Outcome.ANSWERED, seen=answer.seen)
