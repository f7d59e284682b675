"""A watcher that runs while a test looks at what it said."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gateway.control.kernel import KernelWatcher
from gateway.model import KernelSnapshot, LinkFacts

DEADLINE = 30.0


class Seen:
    """The snapshots so far."""

    def __init__(self) -> None:
        self.snapshots: list[KernelSnapshot] = []
        self._news = asyncio.Event()

    def __call__(self, snapshot: KernelSnapshot) -> None:
        self.snapshots.append(snapshot)
        self._news.set()

    @property
    def last(self) -> KernelSnapshot:
        return self.snapshots[-1]

    def link(self, name: str) -> LinkFacts | None:
        return self.last.links.get(name)

    async def until(self, condition: Callable[[KernelSnapshot], bool], *, within: float = DEADLINE) -> KernelSnapshot:
        """The first snapshot, from the last one on, of which `condition` is true."""
        async with asyncio.timeout(within):
            while not (self.snapshots and condition(self.last)):
                self._news.clear()
                await self._news.wait()
        return self.last


async def eventually(condition: Callable[[], bool], *, within: float = DEADLINE) -> None:
    """Let the loop turn until `condition` is true."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - conditions on what has no event to wait for
            await asyncio.sleep(0)


@asynccontextmanager
async def running(watcher: KernelWatcher) -> AsyncIterator[None]:
    """Run `watcher` for the body; afterwards see that it left no descriptor and no thread behind."""
    before = open_descriptors()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watcher.run())
        try:
            yield
        finally:
            task.cancel()
    assert open_descriptors() == before
    for thread in threading.enumerate():
        if thread.name.startswith("kernel"):
            thread.join(DEADLINE)
            assert not thread.is_alive()


def open_descriptors() -> dict[str, str]:
    """This process's sockets by descriptor."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own descriptor
            found[entry.name] = str(entry.readlink())
    return {name: target for name, target in found.items() if target.startswith("socket:")}
