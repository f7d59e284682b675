"""Tunnels that somebody else makes: the gateway may well be there before they are."""

from __future__ import annotations

import pytest

from tests.e2e.failover import forward, page, zone
from tests.e2e.harness import GatewayProcess, configuration
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_A = zone(Site.A)


async def test_a_device_that_appears_after_the_gateway_is_taken_as_if_it_had_been_there(lab, tmp_path):
    only = forward("only", 33001, 8080, f'tunnels = ["{_A}"]')
    missing = lab.faults.tun_deleted(Site.A)
    with lab.capture() as capture:
        missing.inject()
        text = configuration(lab, forward("hello", 33000), only)
        async with GatewayProcess(lab, tmp_path, text) as gateway:
            await gateway.ready()
            found = await gateway.event("tunnel.transition", tunnel=_A, old="unknown", new="down")
            assert found["cause"] == "device_gone"
            assert await page(lab, 33000) == lab.vpn(Site.B).address
            with pytest.raises(ConnectionResetError):
                await page(lab, 33001)
            missing.heal()
            await gateway.event("tunnel.transition", tunnel=_A, old="down", new="up")
            assert await page(lab, 33001) == lab.vpn(Site.A).address
            assert await gateway.terminate() == 0
    assert capture.packets == ()
