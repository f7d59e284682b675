"""A client in a loop never sees a failed connection where it may wait for a tunnel, or two are raced for it.

What it had already sent on the tunnel that fell ends by RST, and is counted; everything else is answered. Settings are
the defaults, but for the key that each test is about.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.failover import PATIENCE, forward, page, sealed_gateway, zone
from tests.e2e.programs import program
from tests.e2e.reading import Outcome, answered, reading, several
from tests.lab.commands import run
from tests.lab.corp import HTTP_PORT
from tests.lab.errors import CommandError
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_A, _B = zone(Site.A), zone(Site.B)
_HOLD = 5.0  # seconds
_AWAY = 200  # clients, one every 10 ms: two seconds' worth
_HEDGE = 0.2  # seconds
_MANY = 100  # readings before the fall, and after it
_REFUSED = 7  # curl's exit status


def _lost(readings, injected_at):
    """The readings that were not answered; each of them must have been under way when the tunnel fell."""
    lost = [each for each in readings if each.outcome is not Outcome.ANSWERED]
    assert all(each.outcome is Outcome.RESET and each.began <= injected_at for each in lost), lost
    return lost


async def test_none_fails_across_the_loss_of_a_carrier(lab, tmp_path):
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    hello = forward("hello", 33000, HTTP_PORT, f'hold_timeout = "{_HOLD:.0f}s"')
    async with sealed_gateway(lab, tmp_path, hello, tunnel="") as gateway:
        async with reading(lab.cloud, 33000) as readings:
            await several(readings, _MANY)
            fault, began, mark = lab.faults.tun_carrier(Site.A), time.time(), len(readings)
            await asyncio.to_thread(fault.inject)
            injected = time.time()
            await answered(readings, by_b, since=mark)
            await several(readings, _MANY, since=mark)
        metrics = await gateway.metrics()
    lost = _lost(readings, injected)
    assert len(lost) <= metrics.value("gateway_connections_closed_total", reason="tunnel_down")
    assert metrics.value("gateway_connections_total", result="ok") == len(readings)
    assert {each.seen for each in readings} - {""} == {by_a, by_b}
    slowest = max(each.ended - each.began for each in readings if each.ended > began)
    print(f"{len(readings)} readings, {len(lost)} reset, slowest {slowest * 1000:.0f} ms")  # noqa: T201


async def test_none_fails_while_the_only_tunnel_is_away_for_two_seconds(lab, tmp_path):
    hello = forward("hello", 33000, HTTP_PORT, f'tunnels = ["{_A}"]', f'hold_timeout = "{_HOLD:.0f}s"')
    async with sealed_gateway(lab, tmp_path, hello, tunnel="") as gateway:
        async with reading(lab.cloud, 33000) as readings:
            await answered(readings, lab.vpn(Site.A).address)
            with lab.faults.tun_down(Site.A):
                injected = time.time()
                await gateway.metric("gateway_connections_held", lambda value: value >= _AWAY, forward="hello")
                healing = time.time()
            mark = len(readings)
            await answered(readings, lab.vpn(Site.A).address, since=mark)
        metrics = await gateway.metrics()
    _lost(readings, injected)
    waited = [each for each in readings if each.began < healing < each.ended]
    assert len(waited) >= _AWAY
    assert metrics.value("gateway_holds_total", forward="hello", result="served") >= _AWAY
    assert metrics.value("gateway_holds_total", forward="hello", result="timed_out") == 0
    assert metrics.value("gateway_connections_held", forward="hello") == 0
    slowest = max(each.ended - each.began for each in waited)
    assert slowest < _HOLD
    print(f"{len(waited)} waited, slowest {slowest:.3f} s")  # noqa: T201


async def test_none_fails_across_a_black_hole_where_a_second_tunnel_is_raced(lab, tmp_path):
    hello = forward("hello", 33000, HTTP_PORT, f'hedge_after = "{_HEDGE * 1000:.0f}ms"')
    async with sealed_gateway(lab, tmp_path, hello, tunnel="") as gateway:
        async with reading(lab.cloud, 33000) as readings:
            await answered(readings, lab.vpn(Site.A).address)
            began = time.time()
            with lab.faults.blackhole(Site.A):
                injected = time.time()
                await answered(readings, lab.vpn(Site.B).address)
                first = min(each.ended for each in readings if each.seen == lab.vpn(Site.B).address)
                await gateway.event("tunnel.transition", tunnel=_A, new="down")
        metrics = await gateway.metrics()
    lost = _lost(readings, injected)
    assert metrics.value("gateway_hedges_total", forward="hello", result="won") > 0
    assert metrics.value("gateway_hedges_total", forward="hello", result="failed") == 0
    raced = [each for each in readings if each.began > injected]
    assert {each.seen for each in raced} == {lab.vpn(Site.B).address}
    slowest = max(each.ended - each.began for each in raced)
    print(  # noqa: T201
        f"first page by the standby {first - began:.3f} s after the fault; "
        f"{len(raced)} readings begun after it, the slowest {slowest:.3f} s; {len(lost)} reset"
    )


async def test_with_when_down_refuse_nobody_listens_while_nothing_is_up(lab, tmp_path):
    def status():
        try:
            run(lab.cloud.command([program("curl"), "--silent", "--show-error", "http://127.0.0.1:33000/"]))
        except CommandError as error:
            return error.status
        return 0

    hello = forward("hello", 33000, HTTP_PORT, 'when_down = "refuse"')
    async with sealed_gateway(lab, tmp_path, hello) as gateway:
        assert await asyncio.to_thread(status) == 0
        with lab.faults.tun_down(Site.A), lab.faults.tun_down(Site.B):
            for tunnel in (_A, _B):
                await gateway.event("tunnel.transition", tunnel=tunnel, old="up", new="down")
            assert await asyncio.to_thread(status) == _REFUSED
        await gateway.ready()
        assert await page(lab, 33000, within=PATIENCE) in {vpn.address for vpn in lab.vpns.values()}
