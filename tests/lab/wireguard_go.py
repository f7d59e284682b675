"""WireGuard in user space: one process a device, at a server as at a client.

The process takes its orders on a socket below /run that is named like the device, for all namespaces of a machine
alike. In a /run of its own it meets nobody; `wg`, which gives the orders, is shown the same one.

The device is made beforehand, and is persistent: when the process is killed the device keeps its index and its address,
and loses its carrier.
"""

from __future__ import annotations

from tests.lab.mounts import View
from tests.lab.names import Role
from tests.lab.vpn import Workshop
from tests.lab.waiting import wait_until

_START = 5.0  # seconds


class WireGuardGo:
    """The process called `name` for `device` in the namespace of `role`."""

    def __init__(self, workshop: Workshop, name: str, role: Role, device: str) -> None:
        self._workshop = workshop
        self._space = workshop.spaces[role]
        self._view = View(workshop.directory, name)
        self._device = device
        self.name = name

    def start(self) -> None:
        """Start it; it takes orders after `wait_ready`. It knows nothing of its earlier lives."""
        if self._space.link(self._device) is None:
            self._space.ip(f"tuntap add dev {self._device} mode tun")
        self._view.clear()
        argv = self._view.command(["wireguard-go", "--foreground", self._device])
        self._workshop.processes.spawn(self.name, argv, self._space)

    def wait_ready(self) -> None:
        """Return when it takes orders. Raises NotReadyError with what it said."""
        orders = self._view.run / "wireguard" / f"{self._device}.sock"
        wait_until(
            orders.exists,
            within=_START,
            what=f"{self.name} takes orders",
            detail=lambda: self._workshop.processes.log(self.name),
        )

    def set(self, *words: str) -> None:
        """Give orders, in the words of `wg set`."""
        self._space.run(self._view.command(["wg", "set", self._device, *words]))

    def last_handshake(self, peer: str) -> int:
        """When it last shook hands with the peer of this public key, in whole seconds of `time.time()`; 0 for never."""
        told = self._space.run(self._view.command(["wg", "show", self._device, "latest-handshakes"]))
        return int(dict(line.split("\t") for line in told.splitlines()).get(peer, 0))

    def stop(self) -> None:
        """Kill it. The device stays."""
        self._workshop.processes.kill(self.name)
