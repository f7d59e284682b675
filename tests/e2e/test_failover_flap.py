"""A link that comes and goes once a second: a handful of failovers, then peace on the standby, and a countdown."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.failover import forward, sealed_gateway, zone
from tests.e2e.reading import Outcome, answered, reading
from tests.e2e.verbs import explain, status
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_HELLO = forward("hello", 33000)
_A, _B = zone(Site.A), zone(Site.B)
_PERIOD = 1.0  # seconds
_MOST = 5  # failovers
_SETTLED = 5.0  # seconds at the end of the flapping in which nothing may move any more
_LONG = 120.0


async def _flap(fault, seconds):
    """Inject and heal, each for half a period; how often."""
    began = time.monotonic()
    times = 0
    while time.monotonic() < began + seconds:
        await asyncio.to_thread(fault.inject)
        await asyncio.sleep(began + (times + 0.5) * _PERIOD - time.monotonic())  # the beat; nothing is awaited
        await asyncio.to_thread(fault.heal)
        times += 1
        await asyncio.sleep(began + times * _PERIOD - time.monotonic())
    return times


async def _settles(lab, directory, fault, seconds, **settings):
    """Flap the active tunnel for so long under a client in a loop; how many failovers that was."""
    async with sealed_gateway(lab, directory, _HELLO, **settings) as gateway:
        async with reading(lab.cloud, 33000) as readings:
            await answered(readings, lab.vpn(Site.A).address)
            assert await _flap(fault, seconds) >= seconds - 1
            until = readings[-1].began
            settled = [each for each in readings if each.began > until - min(_SETTLED, seconds / 2)]
            metrics = await gateway.metrics()
            failovers = metrics.value("gateway_failovers_total", forward="hello")
            if failovers:
                await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=_A)
                await _shows_its_countdown(lab)
        print(  # noqa: T201 - the figures
            f"{failovers:.0f} failovers, {metrics.value('gateway_tunnel_transitions_total', tunnel=_A):.0f} transitions"
        )
        assert failovers <= _MOST
        assert {each.outcome for each in readings} <= {Outcome.ANSWERED, Outcome.RESET}
        # Where nothing moved, a dial whose repeats all met silent half-seconds has gone on to the standby by itself.
        seen = {each.seen for each in settled if each.outcome is Outcome.ANSWERED}
        assert seen == {lab.vpn(Site.B).address} if failovers else lab.vpn(Site.A).address in seen
        return failovers


async def _shows_its_countdown(lab):
    told = (await status(lab, _A))["held_for_seconds"]
    assert told > 0
    explained = await explain(lab, "hello")
    assert explained["forward"]["active"] == _B
    (held,) = [each for each in explained["candidates"] if each["tunnel"]["name"] == _A]
    assert not held["chosen"]
    assert "hold-down" in held["why_not"]
    assert 0 < held["tunnel"]["held_for_seconds"] < told


async def test_in_short(lab, tmp_path):
    """With a tunnel that is soon UP and soon taken again, so that five seconds are enough to be damped."""
    assert await _settles(lab, tmp_path, lab.faults.tun_down(Site.A), 5.0) >= 1


@pytest.mark.matrix
@pytest.mark.timeout(300)
async def test_the_tunnel_s_device_for_two_minutes_with_default_settings(lab, tmp_path):
    assert await _settles(lab, tmp_path, lab.faults.tun_down(Site.A), _LONG, tunnel="") == 1


@pytest.mark.matrix
@pytest.mark.timeout(300)
async def test_the_tunnel_s_device_for_two_minutes_where_each_return_counts(lab, tmp_path):
    """UP within each half-second, so that every fall is one of a tunnel that was UP."""
    assert await _settles(lab, tmp_path, lab.faults.tun_down(Site.A), _LONG) >= 1


@pytest.mark.matrix
@pytest.mark.timeout(300)
async def test_the_physical_link_for_two_minutes_with_default_settings(lab, tmp_path):
    """Half a second of silence is no death: the tunnel may well stay UP all the time."""
    await _settles(lab, tmp_path, lab.faults.carrier(Site.A), _LONG, tunnel="")
