"""A deadline that allows for our own lateness.

A loop that is late finds the timer first and the answer, long since here, after it. So a deadline that is found more
than 250 ms late is put off by as much as it was missed. Lesser lateness is for the caller, who looks once more at what
the kernel has before a probe is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

LATE: Final = 0.25  # seconds by which a loop may be late without anybody being given more time


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[None]:
    """Cancel the body after `seconds`, and raise TimeoutError then; later, while the loop is late."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as scope:

        def wait(delay: float) -> asyncio.TimerHandle:
            return loop.call_later(delay, due, monotonic() + delay)

        def due(at: float) -> None:
            nonlocal timer
            late = monotonic() - at  # not the loop's clock: uvloop's stands still while the loop is late
            if late > LATE:
                timer = wait(late)
            else:
                scope.reschedule(loop.time())

        timer = wait(seconds)
        try:
            yield
        finally:
            timer.cancel()
