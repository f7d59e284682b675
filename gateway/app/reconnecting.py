"""Has VPN clients connect anew that say they are connected while their tunnel carries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

import structlog

from gateway.observe.events import Event
from gateway.policy.reconnecting import complaint
from gateway.policy.state import State
from gateway.tunnels.driver import Driver

log = structlog.get_logger()

_EVERY: Final = 0.5  # seconds


async def watch_connections(
    state: Callable[[], State], drivers: Mapping[str, Driver], *, every: float = _EVERY
) -> None:
    """Until cancelled."""
    doubted: dict[str, float] = {}  # by tunnel, since when the connection was that is not any more
    managed = {name: driver for name, driver in drivers.items() if driver.status is not None}
    while managed:
        now, tunnels = monotonic(), state().tunnels
        for name, driver in managed.items():
            status = driver.status
            why = None if status is None else complaint(tunnels[name], status, now)
            if status is not None and why is not None and doubted.get(name) != status.since:
                doubted[name] = status.since  # it may take a while to take its leave: said once
                log.warning(Event.TUNNEL_RECONNECTING, tunnel=name, why=why)
                driver.reconnect(why)
        await asyncio.sleep(every)
