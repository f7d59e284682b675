"""Reaping orphans: as PID 1 of a container the gateway inherits every process whose parent has died.

The children that it started itself are libuv's to wait for, each by its own number; the others nobody waits for, and
they would fill the process table. So: look at what has ended without taking it (waitid(2), WNOWAIT), and take it only
if it is none of `children`'s. Anywhere but as PID 1 there is nothing to do.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from gateway.tunnels.children import may_be_ours

_EVERY: Final = 2.0  # seconds
_INIT: Final = 1


async def reap_orphans() -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(_EVERY)
        if os.getpid() == _INIT:
            reap()


def reap() -> int:
    """Take what has ended and is nobody's; how many there were.

    What is a child of ours stands in the way of others for a moment, until libuv has taken it: next time, then.
    """
    reaped = 0
    while (ended := _ended()) is not None and not may_be_ours(ended):
        os.waitpid(ended, os.WNOHANG)
        reaped += 1
    return reaped


def _ended() -> int | None:
    """A child that has ended and was not waited for."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid
