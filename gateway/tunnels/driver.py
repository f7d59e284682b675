"""What every driver is to the rest of the gateway: the device that a tunnel shows as, and a life.

Whether the tunnel works is not for a driver to say: health comes from evidence, and what a VPN client reports is only
one kind of it. The data plane does not care which driver made the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import DriverStatus, VpnLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """Whom a driver tells what. Called on the event loop's thread, and must not block."""

    status: Callable[[DriverStatus], None]
    line: Callable[[VpnLine], None]


class Driver(Protocol):
    """Brings one tunnel up and keeps it up. Owns what it made (processes, devices), and nothing else."""

    @property
    def tunnel(self) -> str:
        """The tunnel's name."""

    @property
    def interface(self) -> str:
        """The name of the device that the tunnel shows as; the device need not exist yet."""

    @property
    def status(self) -> DriverStatus | None:
        """Where its VPN client stands; None where there is none: somebody else makes the device."""

    def connect(self) -> None:
        """Want it connected: an attempt begins at once, also where one was to wait. Nothing if it is connected."""

    def disconnect(self) -> None:
        """Want it stopped: an attempt under way is cancelled, a connection ended."""

    def reconnect(self, why: str) -> None:
        """The connection does not carry, whatever the client thinks: end it, and try the next server."""

    async def run(self) -> None:
        """Keep the tunnel up until cancelled; then take down what was brought up, and return."""
