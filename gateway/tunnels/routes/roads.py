"""Keeps the rules and routes of all managed tunnels as planned: see `tools.Roads` for what drivers want of it.

Nothing is remembered of the kernel: each time, what there is is read and compared with what there should be. The kernel
takes the routes of a device away when the device goes, is switched off, or loses its address; and there are programs
that remove rules and routes which they do not know (systemd-networkd does, when it starts).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar

import structlog

from gateway.errors import LinkError
from gateway.model import IPAddress, IPNetwork, LinkFacts, RoutesMode, TunnelSpec
from gateway.observe.events import Event
from gateway.tunnels.addresses import refusal, taken, target
from gateway.tunnels.links import addresses_of_devices
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.routes.kernel import RouteSocket
from gateway.tunnels.routes.plan import Entry, Opened, as_far_as_it_goes, plan, shared, steps
from gateway.tunnels.routes.slots import Slot

log = structlog.get_logger()

_T = TypeVar("_T")

_LOOK: Final = 10.0  # seconds after which all is looked at again, and what was refused is tried again
_SHARE: Final = 0.01  # of the time, at most, is spent looking: thousands of routes take a tenth of a second
_LONGEST: Final = 60.0  # seconds between two looks, whatever the last one took: a machine may have stood still


@dataclass(frozen=True, slots=True, kw_only=True)
class _Road:
    """How the rules and routes of one tunnel should be. `addresses` are those that it had when it was last open.

    `revision` tells apart what is otherwise the same, but asked for again because something has happened.
    """

    tunnel: str
    table: int
    interface: str
    fixed: IPAddress | None = None
    is_open: bool = False
    addresses: tuple[IPAddress, ...] | None = None
    destinations: frozenset[IPNetwork] = frozenset()
    revision: int = 0

    @property
    def held(self) -> tuple[IPAddress, ...]:
        """The addresses that are to be routed by its table."""
        return (self.addresses or ()) + (() if self.fixed is None else (self.fixed,))

    def opened(self, interface: str, addresses: tuple[IPAddress, ...]) -> _Road:
        """The same with all its routes."""
        return replace(self, is_open=True, interface=interface, addresses=addresses)

    def want(self, index: int | None, have: frozenset[Entry]) -> frozenset[Entry]:
        """All that there should be. `index` is the device's, None while there is none."""
        opened = None if self.addresses is None else Opened(index=index or 0, addresses=self.addresses)
        whole = plan(self.table, self.interface, opened, self.destinations, self.fixed)
        return whole if self.is_open and index is not None else as_far_as_it_goes(have, whole)


class KernelRoads:
    """A `tools.Roads`. `start` it before any tunnel connects, `run` it meanwhile, `stop` it after the last has ended.

    Belongs to one event loop; does not own `netlink`. Tunnels whose `routes` are not managed are none of its business.
    """

    def __init__(self, tunnels: Iterable[TunnelSpec], netlink: Netlink) -> None:
        self._netlink = netlink
        self._specs = {spec.name: spec for spec in tunnels if spec.routes is RoutesMode.MANAGED}
        self._destinations: Mapping[str, frozenset[IPNetwork]] = {}
        self._roads: dict[str, _Road] = {}
        self._devices: dict[str, object] = {}  # by tunnel, what was last seen of its device
        self._unrouted: frozenset[tuple[str, str]] = frozenset()  # device and address, as last seen
        self._laid: set[str] = set()  # tunnels that are as they should be, as far as is known
        self._doubtful: set[str] = set()  # those of them that are to be looked at all the same
        self._changed = asyncio.Event()
        self._slot: Slot | None = None
        self._kernel: RouteSocket | None = None  # touched by the thread of `netlink` only
        self._refusal = LinkError("the routes of tunnels are not set up")
        self._refused: dict[str, _Refused] = {}
        self._ambiguous: set[object] = set()  # what has been said

    async def start(self) -> None:
        """Remove what a gateway that was killed has left, and see to it that nothing leaves by another table.

        Raises LinkError, and is not started then: `open` raises the same. Without tunnels whose routes are managed it
        does nothing.
        """
        if not self._specs:
            return
        try:
            slot = Slot()
            try:
                await self._guard(slot)
            except BaseException:
                with suppress(LinkError):  # the first one counts
                    await self._clean(slot)
                raise
        except LinkError as error:
            self._refusal = error
            raise

    async def run(self) -> None:
        """Apply what `aim` and `seen` bring, and put back what others have removed, until cancelled."""
        clock = asyncio.get_running_loop().time
        pause = _LOOK
        while True:
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                due = list(self._roads)
            else:
                due = [name for name in self._roads if name not in self._laid or name in self._doubtful]
            self._changed.clear()
            self._doubtful.clear()
            begun = clock()
            for name in due:
                await self._look_after(name)
            pause = _LOOK if self._refused else min(max(_LOOK, (clock() - begun) / _SHARE), _LONGEST)

    async def stop(self) -> None:
        """Remove all that is ours. Again: nothing. Raises LinkError; what could be removed is gone then, too."""
        slot, self._slot = self._slot, None
        self._roads = {}
        if slot is not None:
            await self._clean(slot)

    # ---------------------------------------------------------------- tools.Roads

    async def expect(self, tunnel: str, addresses: tuple[IPAddress, ...]) -> None:
        """See `tools.Roads`."""
        if tunnel not in self._specs or self._road(tunnel).addresses == addresses:
            return
        why = refusal(addresses)
        if why is not None:
            raise LinkError(why, errno.EADDRNOTAVAIL)
        await self._refuse_own(addresses)
        road = replace(self._road(tunnel), is_open=False, addresses=addresses)
        self._roads[tunnel] = road
        await self._lay(road)

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        """See `tools.Roads`. What is there already costs nothing, until `close` or `seen` say that it may have gone."""
        if tunnel not in self._specs:
            return
        if self._road(tunnel).opened(interface, addresses) == self._road(tunnel) and tunnel in self._laid:
            return
        await self._refuse_own(addresses)
        road = self._roads[tunnel] = self._road(tunnel).opened(interface, addresses)
        self._warn_of_equals()
        if not (await self._lay(road)).has_device:
            raise LinkError(f'cannot route what tunnel "{tunnel}" needs: there is no device {interface}', errno.ENODEV)

    async def close(self, tunnel: str) -> None:
        """See `tools.Roads`. All stays as it is, the routes as long as the device does: they lead nowhere else."""
        road = self._roads.get(tunnel)
        if road is not None and road.is_open:
            self._roads[tunnel] = replace(road, is_open=False)
            self._laid.discard(tunnel)

    def _road(self, tunnel: str) -> _Road:
        """How it should be now: to be asked for again after each wait. Raises LinkError while nothing is set up."""
        road = self._roads.get(tunnel)
        if road is None:
            raise LinkError(str(self._refusal), self._refusal.number)
        return road

    # ---------------------------------------------------------------- what changes meanwhile

    def aim(self, destinations: Mapping[str, frozenset[IPNetwork]]) -> None:
        """By tunnel, all that has to be reached through it from now on."""
        self._destinations = destinations
        for name, road in list(self._roads.items()):
            wanted = destinations.get(name, frozenset())
            if wanted != road.destinations:
                self._stir(replace(road, destinations=wanted))

    def seen(self, links: Mapping[str, LinkFacts], unrouted: frozenset[tuple[str, str]] = frozenset()) -> None:
        """The devices as they are now, by name, and what has no route: device and address.

        Routes may have gone with what has changed of a device; and where they have just gone, with what nobody saw.
        """
        bereft = {interface for interface, _ in unrouted - self._unrouted}
        self._unrouted = unrouted
        for name, road in list(self._roads.items()):
            if road.interface in bereft:
                self._doubtful.add(name)
                self._changed.set()
            facts = links.get(road.interface)
            now = None if facts is None or not facts.up else (facts.index, facts.addresses)
            if now != self._devices.get(name):
                self._devices[name] = now
                self._stir(road)

    def _stir(self, road: _Road) -> None:
        """Have it looked after: what is under way already may come too early."""
        self._roads[road.tunnel] = replace(road, revision=road.revision + 1)
        self._laid.discard(road.tunnel)
        self._changed.set()

    # ---------------------------------------------------------------- the kernel

    async def _guard(self, slot: Slot) -> None:
        roads = {
            name: _Road(
                tunnel=name,
                table=slot.table(place),
                interface=spec.interface,
                fixed=spec.source_address,
                destinations=self._destinations.get(name, frozenset()),
            )
            for place, (name, spec) in enumerate(self._specs.items())
        }
        stale = await self._ask("remove stale routes", lambda kernel: kernel.clean(slot.is_stale))
        if stale:
            log.warning(Event.ROUTES_CLEANED, entries=stale)
        for road in roads.values():
            await self._lay(road)
        self._slot, self._roads = slot, roads
        self.aim(self._destinations)  # it may have changed meanwhile
        self._warn_of_equals()

    async def _refuse_own(self, addresses: tuple[IPAddress, ...]) -> None:
        """Raise LinkError for an address of a device that is no tunnel's: all that comes from there would be routed.

        And for one that a tunnel leads to: who asks for it would find this machine.
        """
        why = target(addresses, frozenset().union(*self._destinations.values()))
        if why is not None:
            raise LinkError(why, errno.EADDRINUSE)
        tunnels = {spec.interface for spec in self._specs.values()}
        held = await self._netlink.ask("read the addresses of devices", addresses_of_devices)
        why = taken(addresses, ((address, device) for address, device in held if device not in tunnels))
        if why is not None:
            raise LinkError(why, errno.EADDRINUSE)

    async def _look_after(self, name: str) -> None:
        """Have it as it should be now. What is refused is tried again, and said once if it is then refused again.

        A device that is about to go takes no routes, and its tunnel is closed in a moment.
        """
        road = self._roads.get(name)
        if road is None:
            return
        missed = name in self._laid
        try:
            laid = await self._lay(road)
        except LinkError as error:
            before = self._refused.get(name)
            again = before is not None and before.text == str(error)
            if before is not None and again and not before.said:
                log.warning(Event.ROUTES_REFUSED, tunnel=name, error=str(error))
            self._refused[name] = _Refused(str(error), said=again)
            return
        self._refused.pop(name, None)
        if missed and laid.changes:
            log.warning(Event.ROUTES_RESTORED, tunnel=name, entries=laid.changes)

    async def _lay(self, road: _Road) -> _Laid:
        """Have the kernel as it should be for this tunnel. Raises LinkError.

        Whoever comes later has the last word: the thread does one after the other, and what is asked for is what was
        wanted at that moment.
        """
        self._laid.discard(road.tunnel)
        laid = await self._ask(f'route what tunnel "{road.tunnel}" needs', lambda kernel: _laid(kernel, road))
        if self._roads.get(road.tunnel) is road and (laid.has_device or not road.is_open):
            self._laid.add(road.tunnel)
        return laid

    async def _clean(self, slot: Slot) -> None:
        try:
            await self._ask("remove routes", lambda kernel: kernel.clean(slot.owns))
        finally:
            slot.release()
            await self._netlink.ask("close a socket", lambda _: self._hang_up())

    async def _ask(self, what: str, do: Callable[[RouteSocket], _T]) -> _T:
        def in_thread() -> _T:
            if self._kernel is None:
                self._kernel = RouteSocket()
            return do(self._kernel)

        return await self._netlink.ask(what, lambda _: in_thread())

    def _hang_up(self) -> None:
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None

    def _warn_of_equals(self) -> None:
        for address, tunnels in shared({name: road.held for name, road in self._roads.items()}).items():
            if (address, tunnels) not in self._ambiguous:
                self._ambiguous.add((address, tunnels))
                log.warning(Event.ROUTES_AMBIGUOUS, tunnels=list(tunnels), address=str(address))


class _Refused(NamedTuple):
    text: str
    said: bool


class _Laid(NamedTuple):
    has_device: bool
    changes: int


def _laid(kernel: RouteSocket, road: _Road) -> _Laid:
    """In the thread. Raises OSError, LinkError."""
    try:
        index = socket.if_nametoindex(road.interface)
    except OSError:
        index = None
    have = kernel.read(road.table)
    return _Laid(index is not None, kernel.carry_out(steps(have, road.want(index, have))))
