"""How late the event loop is: the one number that says whether the gateway keeps up with itself."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable


class LagMeter:
    """Sleeps `interval` seconds again and again, and measures by how much each sleep was too long.

    `run` belongs to a task of the owner. `clock` and `sleep` are for tests.
    """

    def __init__(
        self,
        *,
        interval: float = 0.25,
        window: int = 60,
        clock: Callable[[], float] = time.monotonic,  # uvloop's own clock stands still while the loop is late
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._sleep = sleep
        self._due: float | None = None
        self._lags: deque[float] = deque([0.0], maxlen=window)

    @property
    def seconds(self) -> float:
        """The lag of now: of the last sleep, or of the one under way where that is overdue by more."""
        overdue = 0.0 if self._due is None else self._clock() - self._due
        return max(self._lags[-1], overdue)

    @property
    def worst(self) -> float:
        """The largest lag of the last `window` sleeps (15 s by default, so that a scrape misses none)."""
        return max(self.seconds, *self._lags)

    async def run(self) -> None:
        """Measure until cancelled."""
        try:
            while True:
                self._due = self._clock() + self._interval
                await self._sleep(self._interval)
                self._lags.append(max(0.0, self._clock() - self._due))
        finally:
            self._due = None
