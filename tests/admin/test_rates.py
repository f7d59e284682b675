"""Rates from totals, under a clock that the test turns."""

import asyncio
from dataclasses import dataclass, field

import pytest

from gateway.admin.rates import Rate, RateMeter, Rates, RateWindow
from gateway.dataplane.messages import Histogram, Stats
from gateway.model import ConnectResult


def totals(to_target: int = 0, to_client: int = 0, clients: int = 0, denied: int = 0, dials: int = 0) -> Stats:
    return Stats(
        to_target={("hello", "zone-a"): to_target, ("idle", "zone-a"): 5},
        to_client={("hello", "zone-a"): to_client},
        connections={("hello", ConnectResult.OK): clients, ("hello", ConnectResult.DENIED): denied},
        connect_seconds={"zone-a": Histogram(bounds=(1.0,), counts=(dials, 0), total=0.0)},
    )


def test_nothing_was_measured_before_the_second_sample():
    window = RateWindow()
    assert window.rates() == Rates()
    window.add(totals(to_target=1000), 100.0)
    rates = window.rates()
    assert (rates.seconds, rates.of_forward("hello"), rates.of_tunnel("zone-a")) == (0.0, None, None)


def test_what_was_added_by_the_time_that_it_took():
    window = RateWindow()
    window.add(totals(to_target=1000), 100.0)
    window.add(totals(to_target=3000, to_client=500, clients=3, denied=1, dials=2), 102.0)
    rates = window.rates()
    assert rates.seconds == 2.0
    assert rates.of_forward("hello") == Rate(to_target=1000.0, to_client=250.0, connections=2.0)
    assert rates.of_tunnel("zone-a") == Rate(to_target=1000.0, to_client=250.0, connections=1.0)


def test_what_stands_still_is_zero_and_takes_no_place():
    window = RateWindow()
    window.add(totals(), 100.0)
    window.add(totals(to_target=1), 101.0)
    assert window.rates().of_forward("idle") == Rate()
    assert set(window.rates().forwards) == {"hello"}


def test_tunnels_are_the_sum_of_their_forwards():
    window = RateWindow()
    window.add(Stats(), 100.0)
    window.add(Stats(to_target={("hello", "zone-a"): 10, ("ldap", "zone-a"): 20, ("ldap", "zone-b"): 1}), 101.0)
    rates = window.rates()
    assert {name: rate.to_target for name, rate in rates.tunnels.items()} == {"zone-a": 30.0, "zone-b": 1.0}
    assert {name: rate.to_target for name, rate in rates.forwards.items()} == {"hello": 10.0, "ldap": 21.0}


def test_the_window_forgets_after_ten_seconds():
    window = RateWindow()
    window.add(totals(), 100.0)
    window.add(totals(to_target=1000), 101.0)
    for second in range(102, 111):
        window.add(totals(to_target=1000), float(second))
    assert window.rates().of_forward("hello") == Rate(to_target=100.0)
    window.add(totals(to_target=1000), 111.0)
    assert window.rates().of_forward("hello") == Rate()
    assert window.rates().seconds == 10.0


def test_samples_at_one_moment_are_no_division_by_zero():
    window = RateWindow()
    window.add(totals(), 100.0)
    window.add(totals(to_target=1000), 100.0)
    assert window.rates().seconds == 0.0


@dataclass
class Machine:
    """A clock, sleeps that turn it, and what a sample costs. After `samples` sleeps it sleeps for ever."""

    cost: float = 0.0
    samples: int = 3
    now: float = 100.0
    spent: float = 0.0
    naps: list[float] = field(default_factory=list)
    exhausted: asyncio.Event = field(default_factory=asyncio.Event)

    def stats(self) -> Stats:
        self.spent += self.cost
        return totals(to_target=int(self.now - 100.0) * 50)

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if len(self.naps) > self.samples:
            self.exhausted.set()
            await asyncio.Event().wait()
        self.now += seconds

    async def run(self) -> RateMeter:
        meter = RateMeter(self.stats, clock=lambda: self.now, effort=lambda: self.spent, sleep=self.sleep)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            task = group.create_task(meter.run())
            await self.exhausted.wait()
            task.cancel()
        return meter


async def test_a_sample_a_second():
    machine = Machine()
    meter = await machine.run()
    assert machine.naps == [1.0] * 4
    assert meter.rates().of_forward("hello") == Rate(to_target=50.0)


@pytest.mark.parametrize(("cost", "nap"), [(0.005, 1.0), (0.04, 4.0), (3.0, 5.0)])
async def test_dear_samples_come_less_often_but_two_fit_the_window(cost, nap):
    machine = Machine(cost=cost)
    await machine.run()
    assert machine.naps == [pytest.approx(nap)] * 4
