"""Waiting for a condition under a deadline: the only place of the lab that sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.lab.errors import NotReadyError

_PAUSE = 0.005  # seconds between two looks


def wait_until(
    condition: Callable[[], bool], *, within: float, what: str, detail: Callable[[], str] = lambda: ""
) -> None:
    """Return as soon as `condition()` is true. Raises NotReadyError with `detail()` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise NotReadyError(what, within, detail())
        time.sleep(_PAUSE)


async def eventually(
    condition: Callable[[], Awaitable[bool]], *, within: float, what: str, detail: Callable[[], str] = lambda: ""
) -> None:
    """`wait_until` for a running event loop: `condition` is awaited again and again, and must end by itself."""
    deadline = time.monotonic() + within
    while not await condition():
        if time.monotonic() > deadline:
            raise NotReadyError(what, within, detail())
        await asyncio.sleep(_PAUSE)
