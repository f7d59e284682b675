from __future__ import annotations

import asyncio

import pytest

from gateway.control.debounce import Debounce

WINDOW = 0.2
LONG = 5.0


async def test_the_first_hint_is_due_at_once():
    debounce = Debounce(LONG)
    assert not debounce.due()
    debounce.hint()
    assert debounce.due()
    async with asyncio.timeout(LONG / 2):
        assert await debounce.wait(LONG)
    assert not debounce.due()


async def test_a_burst_shares_one_more_reading_at_the_end_of_the_window():
    loop = asyncio.get_running_loop()
    debounce = Debounce(WINDOW)
    debounce.hint()
    assert await debounce.wait(LONG)
    start = loop.time()
    for _ in range(10):
        debounce.hint()
    assert not debounce.due()
    assert await debounce.wait(LONG)
    assert loop.time() - start >= WINDOW * 0.9
    assert not await debounce.wait(WINDOW), "there is no third reading"


async def test_after_the_window_a_hint_is_due_at_once_again():
    debounce = Debounce(WINDOW)
    debounce.hint()
    assert await debounce.wait(LONG)
    assert not await debounce.wait(2 * WINDOW)
    debounce.hint()
    assert not debounce.due(), "a reading without a hint opens a window, too"
    assert await debounce.wait(LONG)


async def test_a_hint_ends_a_wait_under_way():
    debounce = Debounce(0.0)
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
        waiting = group.create_task(debounce.wait(2 * LONG))
        asyncio.get_running_loop().call_soon(debounce.hint)
    assert waiting.result()


async def test_patience_ends():
    assert not await Debounce(LONG).wait(0.0)


@pytest.mark.parametrize("turns", range(4))
async def test_a_hint_in_the_moment_in_which_patience_ends_is_not_lost(turns: int):
    """Before, in, and after the turn of the loop in which the timer goes off and the wait is given up."""
    debounce = Debounce(0.0)
    async with asyncio.timeout(LONG), asyncio.TaskGroup() as group:
        waiting = group.create_task(debounce.wait(0.0))
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up = waiting.done()
        debounce.hint()
    assert waiting.result() is not given_up
    assert debounce.due() is given_up, "too late for this reading is soon enough for the next"
