"""Driver `interface`: a device that somebody else makes, changes and deletes, by whatever means.

There is nothing to bring up, so there is nothing to take down: the gateway follows the device by its name, whether it
exists yet, is gone for a while, or comes back with another index. All of that is the kernel watcher's to see.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.model import DriverStatus


@dataclass(frozen=True, slots=True)
class InterfaceDriver:
    """The device `interface` as it is."""

    tunnel: str
    interface: str

    @property
    def status(self) -> DriverStatus | None:
        """There is no client to speak of."""
        return None

    def connect(self) -> None:
        """Nothing: whoever made the device connects it."""

    def disconnect(self) -> None:
        """Nothing: whoever made the device connects it."""

    def reconnect(self, why: str) -> None:
        """Nothing: whoever made the device connects it."""

    async def run(self) -> None:
        """Own nothing, until cancelled."""
        await asyncio.get_running_loop().create_future()
