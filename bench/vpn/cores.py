"""Which core is whose. A party that had to share would be slowed by another one's work, and its caches with it.

With four cores everybody has one. With two, what an operator runs (the gateway and its VPN client) shares the first,
and the rest of the world (VPN server, load, target, the bench itself) the second: rates are then those of one core
for both, and the gateway's share of CPU time is also its share of the throughput that is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """A core for each party. `load` is also the target's and the bench's."""

    gateway: int
    client: int
    server: int
    load: int

    def __str__(self) -> str:
        return (
            f"gateway on core {self.gateway}, VPN client on {self.client}, VPN server on {self.server}, "
            f"load and target on {self.load}"
        )


def share_out(available: Sequence[int]) -> Cores:
    """Cores for everybody, out of those there are (one at least)."""
    match list(available):
        case [gateway, client, server, load, *_]:
            return Cores(gateway=gateway, client=client, server=server, load=load)
        case [gateway, client, rest]:
            return Cores(gateway=gateway, client=client, server=rest, load=rest)
        case [near, far]:
            return Cores(gateway=near, client=near, server=far, load=far)
        case _:
            only = available[0]
            return Cores(gateway=only, client=only, server=only, load=only)


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What the bench starts meanwhile is on this core, and so is what that starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move(pid: int, core: int) -> None:
    """Put a running process on a core, with all threads that it has; those to come inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # a thread that ended while we were looking
            os.sched_setaffinity(int(task.name), {core})
