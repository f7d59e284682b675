"""The ways of managed routes: what they lead to, as names and devices change.

Drivers open the routes of the devices that they make. Those of an `interface` tunnel whose routes are managed are
opened here, when the kernel shows its device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from time import monotonic
from typing import Final, Protocol

import structlog

from gateway.errors import LinkError
from gateway.model import Config, IPAddress, IPNetwork, LinkFacts, RoutesMode, TunnelKind
from gateway.observe.events import Event
from gateway.policy.destinations import destinations, kept, needs, networks

log = structlog.get_logger()

_AGAIN: Final = 5.0  # seconds after which what was refused is tried again

_Opened = tuple[str, tuple[IPAddress, ...]]


class Routes(Protocol):
    """What `tunnels.routes.KernelRoads` does."""

    async def start(self) -> None:
        """Guard all managed tunnels. Raises LinkError."""

    async def run(self) -> None:
        """Apply what changes, until cancelled."""

    async def stop(self) -> None:
        """Remove all that is ours. Raises LinkError."""

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        """See `tunnels.tools.Roads`."""

    async def close(self, tunnel: str) -> None:
        """See `tunnels.tools.Roads`."""

    def aim(self, destinations: Mapping[str, frozenset[IPNetwork]]) -> None:
        """By tunnel, what is to be reached through it."""

    def seen(self, links: Mapping[str, LinkFacts], unrouted: frozenset[tuple[str, str]]) -> None:
        """The devices as they are, by name, and what has no route: device and address."""


class Ways:
    """Keeps `routes` told. `start` it before any driver runs, `stop` it after the last has ended."""

    def __init__(self, config: Config, routes: Routes) -> None:
        self._routes = routes
        self._managed = frozenset(spec.name for spec in config.tunnels if spec.routes is RoutesMode.MANAGED)
        self._needs = needs(config.forwards, config.tunnels)
        self._wanted: dict[str, Mapping[str, float]] = {tunnel: {} for tunnel in self._needs}
        self._aims: dict[str, frozenset[IPNetwork]] = dict.fromkeys(self._needs, frozenset())
        self._followed = {
            spec.name: spec.interface
            for spec in config.tunnels
            if spec.routes is RoutesMode.MANAGED and spec.kind is TunnelKind.INTERFACE
        }
        self._devices: dict[str, _Opened | None] = {}
        self._changed = asyncio.Event()
        self._is_guarded = False
        self._refused: dict[str, str] = {}  # by tunnel, what has been said

    async def start(self) -> None:
        """Guard the managed tunnels, and aim at the addresses that are known already.

        Where that cannot be, say so: then none of them will connect, and the gateway runs for the others.
        """
        try:
            await self._routes.start()
        except LinkError as error:
            log.error(Event.ROUTES_UNAVAILABLE, error=str(error), tunnels=sorted(self._managed))  # noqa: TRY400
        else:
            self._is_guarded = True
            self.names({}, {})

    async def stop(self) -> None:
        """Remove all that is ours; what the kernel refuses is said."""
        try:
            await self._routes.stop()
        except LinkError as error:
            log.error(Event.ROUTES_UNAVAILABLE, error=str(error), tunnels=sorted(self._managed))  # noqa: TRY400

    async def run(self) -> None:
        """Follow what changes, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._routes.run(), name="routes")
            if self._followed and self._is_guarded:
                group.create_task(self._follow(), name="routes of interfaces")

    # ---------------------------------------------------------------- what changes

    def names(self, system: Mapping[str, tuple[str, ...]], through: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        """The addresses of names are these now: of all of them, as the resolver says it."""
        if not self._needs or not self._is_guarded:
            return
        now = monotonic()
        for tunnel, wanted in destinations(self._needs, system, through).items():
            before = self._wanted[tunnel]
            after = self._wanted[tunnel] = kept(before, wanted, now)
            if after.keys() != before.keys():
                self._aims[tunnel] = networks(self._aims[tunnel], before, after)
        self._routes.aim(dict(self._aims))

    def devices(self, links: Mapping[str, LinkFacts], unrouted: frozenset[tuple[str, str]] = frozenset()) -> None:
        """The devices are these now, by name, and these addresses have no route through a device: device, address."""
        if not self._managed or not self._is_guarded:
            return
        self._routes.seen(links, unrouted)
        devices = {tunnel: _opened(interface, links.get(interface)) for tunnel, interface in self._followed.items()}
        if devices != self._devices:
            self._devices = devices
            self._changed.set()

    async def _follow(self) -> None:
        opened: dict[str, _Opened | None] = {}
        while True:
            await self._changed.wait()
            self._changed.clear()
            for tunnel, device in self._devices.items():
                if opened.get(tunnel) != device:
                    opened[tunnel] = device if await self._try(tunnel, device) else None
            if any(opened.get(tunnel) != device for tunnel, device in self._devices.items()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN):
                        await self._changed.wait()
                self._changed.set()

    async def _try(self, tunnel: str, device: _Opened | None) -> bool:
        """Whether the tunnel's routes are as its device is."""
        try:
            if device is None:
                await self._routes.close(tunnel)
            else:
                await self._routes.open(tunnel, *device)
        except LinkError as error:
            if self._refused.get(tunnel) != str(error):
                self._refused[tunnel] = str(error)
                log.warning(Event.ROUTES_REFUSED, tunnel=tunnel, error=str(error))
            return False
        self._refused.pop(tunnel, None)
        return True


def _opened(interface: str, link: LinkFacts | None) -> _Opened | None:
    """How the device can be used; None while it cannot."""
    if link is None or not link.up or not link.addresses:
        return None
    return interface, tuple(map(ip_address, link.addresses))
