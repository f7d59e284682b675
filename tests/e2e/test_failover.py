"""The story of a failover: the page is read through one tunnel, through the other, and through the first again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.e2e.failover import HOLD_DOWN, PATIENCE, active, at, forward, page, sealed_gateway, zone
from tests.e2e.reading import Outcome, answered, reading
from tests.lab import client
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_HELLO = forward("hello", 33000)
_A, _B = zone(Site.A), zone(Site.B)
_AT_ONCE = 0.5  # seconds: far from any time-out, however busy the machine
_SLACK = 0.02  # seconds between a decision and its line in the log


async def test_a_client_in_a_loop_loses_what_was_under_way_on_the_dead_tunnel_and_nothing_else(lab, tmp_path):
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    async with sealed_gateway(lab, tmp_path, _HELLO) as gateway:
        async with reading(lab.cloud, 33000) as readings:
            await answered(readings, by_a)
            mark = len(gateway.events)
            with lab.faults.tun_carrier(Site.A):  # the VPN client is killed; its persistent device stays
                fell = await gateway.event("tunnel.transition", since=mark, tunnel=_A, new="down")
                moved = await gateway.event("forward.failover", since=mark)
                await answered(readings, by_b, since=len(readings))
            rose = await gateway.event("tunnel.transition", since=mark, tunnel=_A, new="up")
            await active(gateway, "hello", Site.A)
            await answered(readings, by_a, since=len(readings))
        metrics = await gateway.metrics()

    assert (fell["level"], fell["old"], fell["cause"]) == ("warning", "up", "carrier_lost")
    assert (moved["from_tunnel"], moved["to_tunnel"], moved["cause"]) == (_A, _B, "carrier_lost")
    assert moved["names"] == ["hello"]
    assert (rose["level"], rose["old"], rose["cause"]) == ("info", "down", "recovered")

    assert not [each for each in readings if each.outcome is Outcome.FAILED]
    resets = [each for each in readings if each.outcome is Outcome.RESET]
    assert all(each.began <= at(fell) + _SLACK for each in resets)  # nobody who came later
    # A session may fall when its client has read the page already, and not yet closed.
    assert len(resets) <= metrics.value("gateway_connections_closed_total", forward="hello", reason="tunnel_down")
    assert metrics.value("gateway_connections_total", forward="hello", result="ok") == metrics.value(
        "gateway_connections_total", forward="hello"
    )
    assert metrics.value("gateway_failovers_total", forward="hello", from_tunnel=_A, to_tunnel=_B) == 1
    assert metrics.value("gateway_tunnel_transitions_total", tunnel=_A, cause="carrier_lost") == 1

    held = [each for each in readings if at(fell) < each.began and each.ended < at(rose) + HOLD_DOWN - _SLACK]
    assert {each.seen for each in held if each.outcome is Outcome.ANSWERED} == {by_b}
    assert any(each.ended > at(rose) for each in held)  # the tunnel was up again, and not taken yet


async def test_with_no_tunnel_the_client_is_reset_at_once_and_readiness_says_why(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO) as gateway:
        with lab.faults.tun_down(Site.A), lab.faults.tun_down(Site.B):
            for tunnel in (_A, _B):
                await gateway.event("tunnel.transition", tunnel=tunnel, new="down", cause="link_down")
            began = time.monotonic()
            with pytest.raises(ConnectionResetError):
                await page(lab, 33000)
            assert time.monotonic() - began < _AT_ONCE

            answer = await gateway.admin("/readyz")
            body = json.loads(answer.body)
            assert (answer.status, body["reason"]) == (503, '0 of 1 forwards can be served, and ready = "any"')
            (hello,) = body["forwards"]
            assert (hello["active"], hello["servable"]) == (None, False)
            assert (hello["why"][_A], hello["why"][_B]) == ("down: link_down", "down: link_down")
            assert (await gateway.admin("/healthz")).status == 200
            assert await gateway.metric("gateway_connections_total", lambda value: value == 1, result="no_tunnel") == 1
        await gateway.ready()
        assert await page(lab, 33000) in {vpn.address for vpn in lab.vpns.values()}


async def test_a_gateway_without_any_privilege_fails_over_too(lab, tmp_path):
    """Binding to a device by its index, watching the kernel and splicing need none."""
    unprivileged = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--pdeathsig", "KILL", "--"]
    async with sealed_gateway(lab, tmp_path, _HELLO, launcher=unprivileged) as gateway:
        assert _capabilities(gateway.pid) == {0}
        assert await page(lab, 33000) == lab.vpn(Site.A).address
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel=_A, new="down")
            assert await page(lab, 33000) == lab.vpn(Site.B).address
            answer = await client.fetch(lab.cloud, "/bytes/3000000", host="127.0.0.1", port=33000, within=PATIENCE)
            assert len(answer.body) == 3_000_000


def _capabilities(pid: int) -> set[int]:
    """Every capability set of a process but the ambient ones, as a bit mask each."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(line.split()[1], 16) for line in lines if line.startswith(("CapPrm", "CapEff", "CapBnd"))}
