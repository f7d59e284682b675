"""One fault after the other, at random, for a minute: a client in a loop never sees worse than RST."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.e2e.failover import forward, sealed_gateway, zone
from tests.e2e.reading import Outcome, answered, reading

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(300)]

_SECONDS = 60.0
_OF_THE_TUNNEL = ("tun_down", "tun_carrier", "tun_deleted", "address_removed")
_OF_ITS_TARGETS = "route_removed"


async def test_random_faults_of_one_tunnel_at_a_time(lab, tmp_path):
    seed = time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    chance = random.Random(seed)  # noqa: S311 - no secret
    async with sealed_gateway(lab, tmp_path, forward("hello", 33000)) as gateway:
        async with reading(lab.cloud, 33000) as readings:
            until = time.monotonic() + _SECONDS
            site, other = lab.vpns
            name = _OF_THE_TUNNEL[0]
            while time.monotonic() < until:
                if name in _OF_THE_TUNNEL:  # a route's return is seen a moment later than a device's fall: same tunnel
                    site, other = chance.sample(list(lab.vpns), 2)
                name = chance.choice([*_OF_THE_TUNNEL, _OF_ITS_TARGETS])
                mark = len(gateway.events)
                fault = lab.faults.by_name(name, site)
                await asyncio.to_thread(fault.inject)
                if name in _OF_THE_TUNNEL:
                    await gateway.event("tunnel.transition", since=mark, tunnel=zone(site), new="down")
                await answered(readings, lab.vpn(other).address, since=len(readings))
                fault.heal()
                if name in _OF_THE_TUNNEL:
                    await gateway.event("tunnel.transition", since=mark, tunnel=zone(site), new="up")
        metrics = await gateway.metrics()
    assert {each.outcome for each in readings} <= {Outcome.ANSWERED, Outcome.RESET}
    assert metrics.value("gateway_connections_total", result="ok") == metrics.value("gateway_connections_total")
    assert metrics.value("gateway_connections_active") == 0
    lost = sum(each.get("sessions_aborted", 0) for each in gateway.events)
    assert metrics.value("gateway_connections_closed_total", reason="tunnel_down") == lost
    assert sum(each.outcome is Outcome.RESET for each in readings) <= lost
