"""Leading-edge debounce: the first hint is acted on at once, the burst that follows it shares one more reading.

A failing tunnel says so in several messages (link, addresses, routes). Waiting for the last of them would delay what
the first already tells; acting on each would read the same facts over and over.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Debounce:
    """Turns hints into readings that are due. All methods are for the event loop's thread."""

    def __init__(self, window: float) -> None:
        """`window` seconds, counted from the start of a reading, in which hints share the next one."""
        self._window = window
        self._hinted = asyncio.Event()
        self._free_at = 0.0

    def hint(self) -> None:
        """Something may have changed."""
        self._hinted.set()

    def due(self) -> bool:
        """Whether `wait` would return at once, because of a hint."""
        return self._hinted.is_set() and asyncio.get_running_loop().time() >= self._free_at

    async def wait(self, patience: float) -> bool:
        """Return when a reading is due: True for a hint, False when `patience` seconds brought none.

        The caller begins its reading right then: hints from here on are for the next one.
        """
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._hinted.wait()
        hinted = self._hinted.is_set()  # also when patience ended in the same turn of the loop: a hint must not be lost
        if hinted:
            await asyncio.sleep(self._free_at - loop.time())
        self._hinted.clear()
        self._free_at = loop.time() + self._window
        return hinted
