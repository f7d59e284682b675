"""The interface driver owns nothing: it only says which device it is."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import GatewayError
from gateway.model import TunnelKind, TunnelSpec
from gateway.tunnels.catalogue import driver_for


def spec(kind: TunnelKind) -> TunnelSpec:
    return TunnelSpec(name="zone-a", kind=kind, interface="tun-a")


async def test_it_names_its_device_and_lives_until_cancelled() -> None:
    driver = driver_for(spec(TunnelKind.INTERFACE))
    assert (driver.tunnel, driver.interface) == ("zone-a", "tun-a")
    async with asyncio.TaskGroup() as group:
        life = group.create_task(driver.run())
        await asyncio.sleep(0)
        assert not life.done()
        life.cancel()
    assert life.cancelled()


@pytest.mark.parametrize("kind", [kind for kind in TunnelKind if kind is not TunnelKind.INTERFACE])
def test_a_kind_that_cannot_be_brought_up_is_an_error_that_names_tunnel_and_kind(kind: TunnelKind) -> None:
    with pytest.raises(GatewayError, match=f'tunnel "zone-a": kind "{kind}"'):
        driver_for(spec(kind))
