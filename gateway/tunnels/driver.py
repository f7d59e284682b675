"""What every driver is to the rest of the gateway: the device that a tunnel shows as, and a life.

Whether the tunnel works is not for a driver to say: health comes from evidence, and what a VPN client reports is only
one kind of it. The data plane does not care which driver made the device.
"""

from __future__ import annotations

from typing import Protocol


class Driver(Protocol):
    """Brings one tunnel up and keeps it up. Owns what it made (processes, devices), and nothing else."""

    @property
    def tunnel(self) -> str:
        """The tunnel's name."""

    @property
    def interface(self) -> str:
        """The name of the device that the tunnel shows as; the device need not exist yet."""

    async def run(self) -> None:
        """Keep the tunnel up until cancelled; then take down what was brought up, and return."""
