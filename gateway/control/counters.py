"""Packets that the tunnels' devices have sent and received, once a second: what a stall is seen by.

One reading of /proc/net/dev (proc(5)) tells of all devices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from gateway.observe.events import Event
from gateway.policy.evidence import Counted, Evidence

log = structlog.get_logger()

_EVERY: Final = 1.0  # seconds
_FILE: Final = Path("/proc/thread-self/net/dev")  # the calling thread's: /proc/net is that of the process's first one
_RECEIVED, _TRANSMITTED = 1, 9  # positions after the name


class Counters:
    """Posts `Counted`. Call it from the event loop's thread only."""

    def __init__(self, post: Callable[[Evidence], None], *, file: Path = _FILE) -> None:
        """`post` takes evidence. `file` is for tests."""
        self._post = post
        self._file = file
        self._interfaces: Mapping[str, str] = {}

    def watch(self, interfaces: Mapping[str, str]) -> None:
        """Count for these tunnels, by their devices' names. Before `run` or at any time."""
        self._interfaces = interfaces

    async def run(self) -> None:
        """Read and post once a second until cancelled.

        A tunnel without a device is left out; where none has one, nothing is posted. What cannot be read is said once.
        """
        error: str | None = None
        while True:
            before, error = error, self._count()
            if error is not None and error != before:
                log.warning(Event.COUNTERS_UNAVAILABLE, error=error)
            await asyncio.sleep(_EVERY)

    def _count(self) -> str | None:
        """Read and post; what stood in the way."""
        try:
            text = self._file.read_text()
        except OSError as error:
            return str(error)
        at, counted = monotonic(), packets(text)
        found = {tunnel: counted[device] for tunnel, device in self._interfaces.items() if device in counted}
        if found:
            self._post(Counted(at=at, packets=found))
        return None


def packets(text: str) -> dict[str, tuple[int, int]]:
    """Packets sent and received, by device, of a text as in /proc/net/dev."""
    counted = {}
    for line in text.splitlines():
        name, colon, numbers = line.partition(":")
        if colon:
            fields = numbers.split()
            counted[name.strip()] = (int(fields[_TRANSMITTED]), int(fields[_RECEIVED]))
    return counted
