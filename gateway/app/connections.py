"""Connect and disconnect: an operator's wish for a tunnel and for its VPN client, in one.

`disable` says that no session may take a tunnel, and leaves its client connected, ready for `enable`. `disconnect` says
more: the client is stopped, too, and stays so until `connect`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.admin.operations import Operations
from gateway.app.clients import Clients
from gateway.errors import RefusedError
from gateway.model import AdminState, DriverState, DriverStatus
from gateway.tunnels.driver import Driver

_BEGUN: Final = 1.0  # seconds until an attempt has begun
_STOPPED: Final = 5.0  # seconds that an answer waits for a client to take its leave


class VpnConnections:
    """`admin.operations.Connections`."""

    def __init__(self, clients: Clients, operator: Operations, *, admin: Callable[[str], AdminState]) -> None:
        """`admin(tunnel)` is the tunnel's present admin state."""
        self._clients = clients
        self._operator = operator
        self._admin = admin

    async def connect(self, tunnel: str, *, by: str) -> DriverStatus:
        """See `admin.operations`."""
        driver = self._managed(tunnel)
        await self._want(tunnel, AdminState.ENABLED, by)
        self._ask(driver, DriverState.CONNECTED, by)
        driver.connect()
        return await self._then(driver, lambda it: it.state is not DriverState.STOPPED and it.retry_at is None, _BEGUN)

    async def disconnect(self, tunnel: str, *, by: str) -> DriverStatus:
        """See `admin.operations`. Answered when it has stopped, or after five seconds."""
        driver = self._managed(tunnel)
        await self._want(tunnel, AdminState.DISABLED, by)
        self._ask(driver, DriverState.STOPPED, by)
        driver.disconnect()
        return await self._then(driver, lambda it: it.state is DriverState.STOPPED, _STOPPED)

    def _managed(self, tunnel: str) -> Driver:
        driver = self._clients.drivers[tunnel]
        if driver.status is None:
            raise RefusedError(
                f'tunnel "{tunnel}" has no VPN client: whoever makes its device, {driver.interface}, connects it'
            )
        return driver

    def _ask(self, driver: Driver, wanted: DriverState, by: str) -> None:
        """What becomes of it is by them; not what comes later, where it is so already."""
        if driver.status is not None and driver.status.state is not wanted:
            self._clients.asked(driver.tunnel, by)

    async def _want(self, tunnel: str, admin: AdminState, by: str) -> None:
        if self._admin(tunnel) is not admin:
            await self._operator.set_admin(tunnel, admin, timeout=None, by=by)

    async def _then(self, driver: Driver, condition: Callable[[DriverStatus], bool], patience: float) -> DriverStatus:
        """Where its client stands once `condition` holds, or when patience is at its end."""
        with suppress(TimeoutError):  # what there is then is the answer
            async with asyncio.timeout(patience):
                await self._clients.until(driver.tunnel, condition)
        status = driver.status
        assert status is not None  # noqa: S101 - a driver has a client, or has none
        return status
