from __future__ import annotations

import asyncio
import time

import pytest

from gateway.control.probes.patience import LATE, patience


async def test_the_body_is_given_its_seconds_and_no_more():
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.05):
            await asyncio.Event().wait()
    assert 0.04 < time.monotonic() - before < 0.05 + LATE


async def test_a_body_that_ends_in_time_leaves_nothing_behind():
    async with patience(0.01):
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05) as wait:
            await asyncio.Event().wait()
    assert wait.expired(), "nothing else has ended it"


async def test_what_the_body_raises_is_raised():
    with pytest.raises(KeyError):
        async with patience(10.0):
            raise KeyError


async def test_a_loop_that_was_late_gives_as_much_more():
    loop = asyncio.get_running_loop()
    before = time.monotonic()
    blocked = 0.05 + LATE + 0.1
    loop.call_soon(time.sleep, blocked)
    with pytest.raises(TimeoutError):
        async with patience(0.05):
            await asyncio.Event().wait()
    assert time.monotonic() - before >= blocked + (blocked - 0.05) - 0.02, "0.35 s late, so 0.35 s more"


async def test_a_loop_that_was_a_little_late_gives_nothing():
    before = time.monotonic()
    asyncio.get_running_loop().call_soon(time.sleep, 0.1)
    with pytest.raises(TimeoutError):
        async with patience(0.05):
            await asyncio.Event().wait()
    assert time.monotonic() - before < 0.1 + LATE


async def test_a_cancellation_from_outside_stays_one():
    async def wait() -> None:
        async with patience(10.0):
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
