"""The kernel watcher: what the kernel knows of the tunnels' devices and routes, as snapshots that differ.

Level-triggered: a netlink message is only a hint to read everything again, and equal readings are no news. Devices
and addresses are read first and published at once, since a device that fell ends sessions; then the routes, which may
be thousands, in slices between which a newer hint gets its reading.

     hint ── debounce ──> read devices ──> publish ──> look up routes, slice by slice ──> publish
                             ^                                  │ newer hint
                             └──────────────────────────────────┘

Carrier is special: the kernel tells about a lost one at once, and then holds further news of the kind back for up to a
second (linkwatch), for all devices together. Two tunnels that fall one after the other are just that case. So for a
little longer than this after a hint, devices are read again without one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import structlog

from gateway.control.debounce import Debounce
from gateway.control.hints import HintSocket
from gateway.control.netlink import LOOKUP_BATCH, NetlinkReader, RouteQuestion
from gateway.control.reader import Answering, Reader, ReaderThread
from gateway.control.routes import Pair, RoutePass
from gateway.errors import KernelUnavailableError
from gateway.model import KernelSnapshot, LinkFacts

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """Seconds. `chase_for` and `chase_every`: how long after a hint devices are read again without one, how often."""

    debounce: float = 0.02
    resync: float = 30.0
    poll: float = 1.0
    chase_for: float = 1.1
    chase_every: float = 0.05


DEFAULT_SETTINGS: Final = WatchSettings()


class KernelWatcher:
    """Calls `on_snapshot` on the loop's thread: once with the first complete snapshot, then with each that differs.

    What `on_snapshot` raises ends `run`.
    """

    def __init__(
        self,
        on_snapshot: Callable[[KernelSnapshot], None],
        *,
        settings: WatchSettings = DEFAULT_SETTINGS,
        open_hints: Callable[[Callable[[], None]], HintSocket] = HintSocket,
        open_reader: Callable[[], Reader] = NetlinkReader,
    ) -> None:
        """`open_hints` and `open_reader` raise KernelUnavailableError where netlink cannot be had."""
        self._on_snapshot = on_snapshot
        self._settings = settings
        self._open_hints = open_hints
        self._thread = ReaderThread(open_reader)
        self._debounce = Debounce(settings.debounce)
        self._debounce.hint()  # starting is the first hint

        self._interfaces: frozenset[str] = frozenset()
        self._lookups: frozenset[Pair] = frozenset()
        self._links: Mapping[str, LinkFacts] = {}
        self._routes = RoutePass()
        self._published: KernelSnapshot | None = None

        self._hints: HintSocket | None = None
        self._hints_lost = False
        self._resync_at = 0.0
        self._chase_until = 0.0

    def watch(self, interfaces: frozenset[str], lookups: frozenset[Pair]) -> None:
        """Report these devices, and check the route to each address of `lookups` through its interface.

        May be called before `run` and at any time; it has a reading made.
        """
        self._interfaces = interfaces
        self._lookups = lookups
        self._debounce.hint()

    async def run(self) -> None:
        """Watch until cancelled; then no descriptor and no thread is left. To be called once."""
        try:
            while True:
                hinted = await self._debounce.wait(self._patience())
                with suppress(KernelUnavailableError):  # logged where it was raised; the last snapshot stays
                    await self._read(hinted=hinted)
        finally:
            if self._hints is not None:
                self._hints.close()
            await self._thread.close()

    # ------------------------------------------------------------ when

    @property
    def _degraded(self) -> bool:
        return self._hints is None or self._thread.answering is not Answering.NETLINK

    def _patience(self) -> float:
        """Seconds until devices are read without a hint."""
        now = asyncio.get_running_loop().time()
        if self._degraded:
            return self._settings.poll
        if now < self._chase_until:
            return self._settings.chase_every
        return max(0.0, self._resync_at - now)

    # ------------------------------------------------------------ what

    async def _read(self, *, hinted: bool) -> None:
        await self._read_links(hinted=hinted)
        while self._routes.pending:
            await self._look_up()  # one slice at least: hints without end must not keep a pass from its end
            if self._debounce.due():
                return

    async def _read_links(self, *, hinted: bool) -> None:
        blind = self._degraded  # before this reading: hints, or answers about routes, may have been missed
        self._keep_hints_open()
        now = asyncio.get_running_loop().time()
        if hinted:
            self._chase_until = now + self._settings.chase_for
        interfaces = self._interfaces
        links = await self._thread.ask(lambda reader: reader.links(interfaces))
        if hinted or blind or links != self._links or now >= self._resync_at:
            self._routes.request()
            self._resync_at = now + self._settings.resync
        self._links = links
        if self._published is not None:  # the first snapshot is to be complete
            self._publish()

    async def _look_up(self) -> None:
        """The next slice of route questions."""
        batch = [pair for pair in self._routes.take(self._askable, LOOKUP_BATCH) if self._carries(pair)]
        questions = [RouteQuestion(self._links[interface].index, address) for interface, address in batch]
        none = await self._thread.ask(lambda reader: reader.unrouted(questions))
        complete = self._routes.answer(
            pair for pair, question in zip(batch, questions, strict=True) if question in none
        )
        if complete:
            self._publish()

    def _askable(self) -> list[Pair]:
        return [pair for pair in self._lookups if self._carries(pair)]

    def _carries(self, pair: Pair) -> bool:
        """Whether there is a device to ask about: without one the tunnel is down as a whole."""
        link = self._links.get(pair[0])
        return link is not None and link.up and link.carrier

    def _publish(self) -> None:
        unrouted = frozenset(pair for pair in self._routes.unrouted & self._lookups if self._carries(pair))
        snapshot = KernelSnapshot(links=MappingProxyType(dict(self._links)), unrouted=unrouted)
        if snapshot != self._published:
            self._published = snapshot
            self._on_snapshot(snapshot)

    # ------------------------------------------------------------ hints

    def _keep_hints_open(self) -> None:
        """Open the socket if there is none or it broke; each loss and each return is logged once."""
        if self._hints is not None and self._hints.failure is not None:
            self._lose_hints(self._hints.failure)
        if self._hints is not None:
            return
        try:
            self._hints = self._open_hints(self._debounce.hint)
        except KernelUnavailableError as error:
            self._lose_hints(error)
        else:
            log.info("netlink.reopened" if self._hints_lost else "netlink.opened", part="hints")
            self._hints_lost = False

    def _lose_hints(self, error: Exception) -> None:
        self._hints = None
        if not self._hints_lost:
            self._hints_lost = True
            log.warning("netlink.unavailable", part="hints", error=str(error), poll=self._settings.poll)
