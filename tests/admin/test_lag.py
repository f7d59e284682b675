"""The lag meter under a clock that the test turns, and once under the real one."""

import asyncio
import time

from gateway.admin.lag import LagMeter


class LateLoop:
    """A clock, and a sleep that is late by what the test lists; then it says so and sleeps for ever."""

    def __init__(self, *late: float) -> None:
        self.now = 1000.0
        self.exhausted = asyncio.Event()
        self._late = list(late)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if not self._late:
            self.exhausted.set()
            await asyncio.Event().wait()
        self.now += seconds + self._late.pop(0)


async def run(loop: LateLoop, *, window: int = 60, then=lambda _: None) -> LagMeter:
    meter = LagMeter(window=window, clock=loop.clock, sleep=loop.sleep)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await loop.exhausted.wait()
        then(meter)
        task.cancel()
    return meter


def test_none_before_it_runs():
    meter = LagMeter()
    assert meter.seconds == meter.worst == 0


async def test_the_last_sleep_counts_for_now_and_the_longest_for_the_scrape():
    seen = []
    await run(LateLoop(0.0, 0.7, 0.1), then=lambda meter: seen.append((round(meter.seconds, 6), round(meter.worst, 6))))
    assert seen == [(0.1, 0.7)]


async def test_the_window_forgets():
    seen = []
    await run(LateLoop(5.0, 0.1, 0.2, 0.1), window=3, then=lambda meter: seen.append(round(meter.worst, 6)))
    assert seen == [0.2]


async def test_a_sleep_that_is_overdue_counts_before_it_ends():
    loop = LateLoop(0.0)
    seen = []

    def later(meter: LagMeter) -> None:
        loop.now += 0.25 + 3.0
        seen.append((meter.seconds, meter.worst))

    await run(loop, then=later)
    assert seen == [(3.0, 3.0)]


async def test_early_is_not_negative():
    seen = []
    await run(LateLoop(-0.01), then=lambda meter: seen.append(meter.seconds))
    assert seen == [0.0]


async def test_after_it_was_cancelled_nothing_is_overdue():
    loop = LateLoop(0.0)
    meter = await run(loop)
    loop.now += 100
    assert meter.seconds == 0


async def test_a_loop_that_is_really_blocked_is_seen():
    meter = LagMeter(interval=0.01)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(meter.run())
        await asyncio.sleep(0)  # let it begin its sleep
        time.sleep(0.2)  # noqa: ASYNC251 -- blocking the loop is the point
        assert meter.seconds > 0.15
        while meter.worst < 0.15:  # noqa: ASYNC110 -- a condition under the deadline above
            await asyncio.sleep(0.01)
        task.cancel()
