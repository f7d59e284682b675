"""Keeps the rules and routes of all managed tunnels as planned: see `tools.Roads` for what drivers want of it.

What was done is remembered, and only differences are asked for. The kernel takes the routes of a device away when the
device goes or is switched off: `seen` notices, and has them put back when it is there again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from pyroute2 import IPRoute

from gateway.errors import LinkError
from gateway.model import IPAddress, IPNetwork, LinkFacts, RoutesMode, TunnelSpec
from gateway.observe.events import Event
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.routes.kernel import carry_out, clean
from gateway.tunnels.routes.plan import Action, Entry, Opened, Operation, Route, plan, steps
from gateway.tunnels.routes.slots import Slot

log = structlog.get_logger()

_SLICE: Final = 64  # operations that are asked for together: the thread is everybody's
_AGAIN: Final = 5.0  # seconds after which what was refused is tried again


@dataclass(slots=True)
class _Road:
    """One tunnel: what it is, how it should be, and what the kernel was told."""

    tunnel: str
    interface: str
    table: int
    addresses: tuple[IPAddress, ...] | None = None  # None: not open
    index: int | None = None  # of the device, when it was last open
    destinations: frozenset[IPNetwork] = frozenset()
    have: frozenset[Entry] = frozenset()

    def want(self) -> frozenset[Entry]:
        """All that there should be."""
        opened = None
        if self.addresses is not None and self.index is not None:
            opened = Opened(index=self.index, addresses=self.addresses)
        return plan(self.table, self.interface, opened, self.destinations)


class KernelRoads:
    """A `tools.Roads`. `start` it before any tunnel connects, `run` it meanwhile, `stop` it after the last has ended.

    Belongs to one event loop; does not own `netlink`. Tunnels whose `routes` are not managed are none of its business.
    """

    def __init__(self, tunnels: Iterable[TunnelSpec], netlink: Netlink) -> None:
        self._netlink = netlink
        self._slot: Slot | None = None
        self._specs = [spec for spec in tunnels if spec.routes is RoutesMode.MANAGED]
        self._roads: dict[str, _Road] = {}
        self._busy = asyncio.Lock()  # one at a time: what is remembered is what the kernel was told
        self._changed = asyncio.Event()
        self._told: set[tuple[str, str]] = set()

    async def start(self) -> None:
        """Remove what a gateway that was killed has left, and see to it that nothing leaves by another table.

        Raises LinkError, and is not started then; without tunnels whose routes are managed it does nothing.
        """
        if not self._specs:
            return
        slot = Slot()
        try:
            stale = await self._netlink.ask("remove stale routes", lambda ipr: clean(ipr, slot.is_stale))
            if stale:
                log.warning(Event.ROUTES_CLEANED, entries=stale)
            self._roads = {
                spec.name: _Road(tunnel=spec.name, interface=spec.interface, table=slot.table(place))
                for place, spec in enumerate(self._specs)
            }
            self._slot = slot
            for road in self._roads.values():
                await self._apply(road)
        except BaseException:
            await self._take_down(slot)
            slot.release()
            self._slot = None
            raise

    async def run(self) -> None:
        """Apply what `aim` and `seen` bring, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            results = [await self._try(road) for road in self._roads.values() if road.addresses is not None]
            if not all(results):
                await asyncio.sleep(_AGAIN)
                self._changed.set()

    async def stop(self) -> None:
        """Remove all that is ours. Again: nothing."""
        slot, self._slot = self._slot, None
        if slot is not None:
            try:
                await self._take_down(slot)
            finally:
                slot.release()

    # ---------------------------------------------------------------- tools.Roads

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        """See `tools.Roads`. Asking for what is there already costs nothing."""
        road = self._roads.get(tunnel)
        if road is None:
            return
        index = await self._netlink.ask(f"find the device {interface}", lambda ipr: _index(ipr, interface))
        if index != road.index:
            self._forget_routes(road)
        road.index, road.addresses, road.interface = index, addresses, interface
        self._warn_of_equals(road)
        await self._apply(road)

    async def close(self, tunnel: str) -> None:
        """See `tools.Roads`. All stays as it is, the routes as long as the device does: they lead nowhere else."""

    # ---------------------------------------------------------------- what changes meanwhile

    def aim(self, destinations: Mapping[str, frozenset[IPNetwork]]) -> None:
        """By tunnel, all that has to be reached through it from now on."""
        for name, road in self._roads.items():
            wanted = destinations.get(name, frozenset())
            if wanted != road.destinations:
                road.destinations = wanted
                self._changed.set()

    def seen(self, links: Mapping[str, LinkFacts]) -> None:
        """The devices as they are now, by name."""
        for road in self._roads.values():
            if road.addresses is None:
                continue
            facts = links.get(road.interface)
            if facts is None or not facts.up or facts.index != road.index:
                self._forget_routes(road)
            elif any(isinstance(each, Route) for each in road.want() - road.have):
                self._changed.set()

    # ---------------------------------------------------------------- the kernel

    async def _try(self, road: _Road) -> bool:
        """Whether it is as it should be now. What is refused is said once, and tried again."""
        try:
            await self._apply(road)
        except LinkError as error:
            if (road.tunnel, str(error)) not in self._told:
                self._told.add((road.tunnel, str(error)))
                log.warning(Event.ROUTES_REFUSED, tunnel=road.tunnel, error=str(error))
            return False
        return True

    async def _apply(self, road: _Road) -> None:
        """Make it as it should be. Raises LinkError; what was done until then is remembered."""
        async with self._busy:
            pending = steps(road.have, road.want())
            for start in range(0, len(pending), _SLICE):
                batch = pending[start : start + _SLICE]
                await self._ask(road, batch)

    async def _ask(self, road: _Road, batch: tuple[Operation, ...]) -> None:
        what = f'route what tunnel "{road.tunnel}" needs'
        await self._netlink.ask(what, lambda ipr: carry_out(ipr, batch))
        gone, come = (
            frozenset(it.entry for it in batch if it.action is action) for action in (Action.REMOVE, Action.ADD)
        )
        replaced = {(it.table, it.destination) for it in come if isinstance(it, Route)}
        kept = {it for it in road.have if not (isinstance(it, Route) and (it.table, it.destination) in replaced)}
        road.have = frozenset(kept - gone) | come

    async def _take_down(self, slot: Slot) -> None:
        roads, self._roads = self._roads, {}
        async with self._busy:
            for road in roads.values():
                await self._ask(road, steps(road.have, frozenset()))
            # Whoever was cancelled while asking does not know what came of it.
            await self._netlink.ask("remove routes", lambda ipr: clean(ipr, slot.owns))

    @staticmethod
    def _forget_routes(road: _Road) -> None:
        """The kernel has taken the routes away with the device."""
        road.have = frozenset(each for each in road.have if not isinstance(each, Route))

    def _warn_of_equals(self, road: _Road) -> None:
        for other in self._roads.values():
            shared = set(road.addresses or ()) & set(other.addresses or ())
            names = " ".join(sorted((road.tunnel, other.tunnel)))
            for address in shared if other is not road else ():
                if (names, str(address)) not in self._told:
                    self._told.add((names, str(address)))
                    log.warning(Event.ROUTES_AMBIGUOUS, tunnels=[road.tunnel, other.tunnel], address=str(address))


def _index(ipr: IPRoute, name: str) -> int:
    (message,) = ipr.link("get", ifname=name)
    index: int = message["index"]
    return index
