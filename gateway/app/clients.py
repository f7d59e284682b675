"""The VPN clients: their drivers, what these share, and what becomes of their reports.

reports ──▶ status ──▶ ledger (metrics, activities) · evidence for the controller
        └─▶ line ────▶ book

They live longer than anything that uses their tunnels: sessions are reset while there still is a way to say so, then
the clients take their leave of their servers, and routes and rules go last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.admin.book.book import Book
from gateway.admin.drivers import DriverLedger
from gateway.app.ways import Ways
from gateway.model import Config, DriverStatus, Expiry, TunnelSpec
from gateway.observe.events import Event
from gateway.policy.clients import verdict_of
from gateway.policy.evidence import Evidence, Verdict
from gateway.tunnels.catalogue import driver_for
from gateway.tunnels.certificates import ExpiryWatch
from gateway.tunnels.driver import Driver, Reports
from gateway.tunnels.links import KernelLinks
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.reaper import reap_orphans
from gateway.tunnels.routes.roads import KernelRoads
from gateway.tunnels.tools import Tools

log = structlog.get_logger()

_LEAVE: Final = 4.0  # seconds in which all clients take their leave; with the drain less than Kubernetes' 30
_LEAVE_AT_ONCE: Final = 1.5  # the same, when a second signal wants an end
_KILLED: Final = 1.0  # seconds in which what was given up must have ended
_LAST: Final = 1.0  # seconds for rules and routes


class MakeDriver(Protocol):
    """`tunnels.catalogue.driver_for`."""

    def __call__(self, spec: TunnelSpec, *, tools: Tools | None, reports: Reports | None) -> Driver:
        """The driver of a tunnel, not running yet."""


class Clients:
    """Make it inside the event loop. `runtime` is a private directory; None: no tunnel has a VPN client."""

    def __init__(
        self,
        config: Config,
        *,
        runtime: Path | None,
        book: Book,
        post: Callable[[Evidence], None],
        make_driver: MakeDriver = driver_for,
    ) -> None:
        self._post = post
        self._netlink = Netlink()
        roads = KernelRoads(config.tunnels, self._netlink)
        self.ways = Ways(config, roads)
        self._expiries = ExpiryWatch(config.tunnels)
        self._ledger = DriverLedger(book.record)
        self._waiting = {spec.name for spec in config.tunnels if not spec.autoconnect}
        self._said: dict[str, Verdict] = {}
        self._news = asyncio.Event()
        tools = None
        if runtime is not None:
            tools = Tools(links=KernelLinks(self._netlink), roads=roads, runtime=runtime)
        reports = Reports(status=self._reported, line=book.line)
        self.drivers: Mapping[str, Driver] = {
            spec.name: make_driver(spec, tools=tools, reports=reports) for spec in config.tunnels
        }
        self.statuses = self._ledger.statuses
        self.tally = self._ledger.tally
        self.asked = self._ledger.asked

    def expiries(self) -> tuple[Expiry, ...]:
        """When their certificates end."""
        return self._expiries.expiries()

    @asynccontextmanager
    async def running(self, killed: asyncio.Event) -> AsyncIterator[None]:
        """Keep the tunnels up while the block runs, and take them down after it.

        They get four seconds to take their leave, little more than one once `killed` is set; then what they have
        started is killed. What they raise ends the block, in an ExceptionGroup.
        """
        try:
            await self.ways.start()
            async with asyncio.TaskGroup() as group:
                helpers = [
                    group.create_task(self.ways.run(), name="ways"),
                    group.create_task(self._expiries.run(), name="certificates"),
                    group.create_task(reap_orphans(), name="reaper"),
                ]
                self._begin()
                drivers = {
                    group.create_task(driver.run(), name=f"tunnel {name}") for name, driver in self.drivers.items()
                }
                try:
                    yield
                finally:
                    await _end(drivers, killed)
                    for helper in helpers:
                        helper.cancel()
        finally:
            try:
                async with asyncio.timeout(_LAST):
                    await self.ways.stop()
            except TimeoutError:
                log.error(Event.ROUTES_UNAVAILABLE, error="not removed in time")  # noqa: TRY400 - all is said
            await self._netlink.close()

    async def until(self, tunnel: str, condition: Callable[[DriverStatus], bool]) -> None:
        """Return when the status of the tunnel's client fulfils `condition`."""
        while (status := self.drivers[tunnel].status) is not None and not condition(status):
            news = self._news
            await news.wait()

    # ---------------------------------------------------------------- reports

    def _begin(self) -> None:
        """Clients that are to wait for an operator report nothing until then: say that they wait."""
        for driver in self.drivers.values():
            status = driver.status
            if status is not None and driver.tunnel in self._waiting:
                self._reported(status)

    def _reported(self, status: DriverStatus) -> None:
        self._ledger.heard(status)
        news, self._news = self._news, asyncio.Event()
        news.set()
        verdict = verdict_of(status)
        if verdict != self._said.get(status.tunnel):
            self._said[status.tunnel] = verdict
            self._post(verdict)


async def _end(drivers: set[asyncio.Task[None]], killed: asyncio.Event) -> None:
    """Have them all end in time."""
    for driver in drivers:
        if not driver.cancelling():
            driver.cancel()
    try:
        async with asyncio.timeout(_LEAVE) as limit, asyncio.TaskGroup() as group:
            hurrying = group.create_task(_hurry(limit, killed), name="hurry")
            await asyncio.wait(drivers)
            hurrying.cancel()
    except TimeoutError:
        late = {driver for driver in drivers if not driver.done()}
        if not late:  # the last has ended since
            return
        log.warning(Event.TUNNEL_GIVEN_UP, tunnels=sorted(driver.get_name() for driver in late))
        for driver in late:
            driver.cancel()  # whoever is taking leave is cut short by that, and kills what it has started
        await asyncio.wait(late, timeout=_KILLED)


async def _hurry(limit: asyncio.Timeout, killed: asyncio.Event) -> None:
    await killed.wait()
    if limit.expired():
        return
    soon = asyncio.get_running_loop().time() + _LEAVE_AT_ONCE
    limit.reschedule(min(soon, limit.when() or soon))
