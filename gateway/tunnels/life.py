"""The life that all managed tunnels share: connect, stay connected, say why not, try again.

One `client.Client` does one connection at a time; everything between connections is here: which server is next, how
long to wait (`policy.backoff`), when routes are opened, what is reported, and the operator's connect and disconnect.
The states are a table in `states`.
"""

from __future__ import annotations

import asyncio
import errno
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from typing import Final, TypedDict, Unpack

import structlog

from gateway.errors import LinkError
from gateway.model import (
    DriverState,
    DriverStatus,
    Endpoint,
    Failure,
    FailureReason,
    IPAddress,
    LineLevel,
    TunnelSpec,
    VpnLine,
)
from gateway.observe.events import Event
from gateway.policy import backoff
from gateway.policy.backoff import Backoff
from gateway.tunnels.addresses import refusal
from gateway.tunnels.client import Client
from gateway.tunnels.driver import Reports
from gateway.tunnels.scrub import Scrubber
from gateway.tunnels.states import Turn, after
from gateway.tunnels.tools import Roads
from gateway.tunnels.trouble import trouble

log = structlog.get_logger()

_COUNTS_EVERY: Final = 1.0  # seconds between two reports of nothing but bytes
_GATEWAY: Final = "gateway"  # the component of lines that are not the client's
_NOT_PERMITTED: Final = frozenset({errno.EPERM, errno.EACCES})


class Wish(Enum):
    """What operators and configuration want of a VPN client."""

    CONNECTED = "connected"
    STOPPED = "stopped"


class _News(TypedDict, total=False):
    """What may change of a DriverStatus."""

    state: DriverState
    since: float
    server: Endpoint | None
    addresses: tuple[IPAddress, ...]
    attempts: int
    retry_at: float | None
    failure: Failure | None
    transmitted: int
    received: int


class ManagedDriver:
    """A `driver.Driver` over one client. Owns `client`; belongs to one event loop.

    `clock` is monotonic; `chance` gives numbers from 0 (included) to 1.
    """

    def __init__(
        self,
        spec: TunnelSpec,
        client: Client,
        *,
        roads: Roads,
        reports: Reports,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.tunnel = spec.name
        self._client = client
        self._roads = roads
        self._reports = reports
        self._clock = clock
        self._chance = chance
        self._servers: tuple[Endpoint | None, ...] = (spec.vpn.servers if spec.vpn is not None else ()) or (None,)
        self._scrub = Scrubber(spec.vpn)
        self._wish = Wish.CONNECTED if spec.autoconnect else Wish.STOPPED
        self._given_up = False  # the connection that there is has ended, for everybody but its client, who leaves
        self._asked = asyncio.Event()  # something else is wanted than before
        self._backoff = Backoff()
        self._counted_at = clock()
        self._status = DriverStatus(tunnel=spec.name, state=DriverState.STOPPED, since=clock())

    # ---------------------------------------------------------------- driver.Driver

    @property
    def interface(self) -> str:
        """See `driver.Driver`."""
        return self._client.interface

    @property
    def status(self) -> DriverStatus:
        """Where its VPN client stands."""
        return self._status

    def connect(self) -> None:
        """See `driver.Driver`. What was held against the next attempt is forgotten."""
        if self._wish is Wish.STOPPED or self._status.retry_at is not None or self._given_up:
            self._wish = Wish.CONNECTED
            self._backoff = Backoff(server=self._backoff.server)
            self._asked.set()

    def disconnect(self) -> None:
        """See `driver.Driver`."""
        if self._wish is Wish.CONNECTED:
            self._wish = Wish.STOPPED
            self._asked.set()

    def reconnect(self, why: str) -> None:
        """See `driver.Driver`. Nothing unless it is connected.

        It is not from here on, though its client may need seconds to take its leave: nobody is to come back to a
        connection that works again in its last moments.
        """
        if self._wish is Wish.CONNECTED and self._status.state is DriverState.CONNECTED:
            self._given_up = True
            self._asked.set()
            self._ended(Failure(reason=FailureReason.OTHER, detail=why, server=self._status.server))

    async def run(self) -> None:
        """See `driver.Driver`. A defect of the client is raised, in an ExceptionGroup."""
        try:
            while True:
                await self._until_wanted()
                self._turn(Turn.WANTED, failure=None)
                while self._status.state is not DriverState.STOPPED:
                    await self._once()
                    await self._until_due()
        finally:
            if self._status.state is DriverState.CONNECTED:
                self._left("the gateway ends")
            if self._status.state is not DriverState.STOPPED:
                self._stopped()
            await self._client.close()

    # ---------------------------------------------------------------- between connections

    async def _until_wanted(self) -> None:
        while self._wish is Wish.STOPPED:
            self._asked.clear()
            await self._asked.wait()

    async def _until_due(self) -> None:
        """Wait for the next attempt, or until somebody wants it now or not at all."""
        if self._status.state is DriverState.STOPPED:
            return
        if not self._unwanted():
            await self._pause()
        if self._unwanted():
            self._stopped()
        else:
            self._report(retry_at=None)

    async def _pause(self) -> None:
        self._given_up = False
        delay = backoff.wait(self._backoff, servers=len(self._servers), chance=self._chance())
        if delay > 0.0:
            self._say(LineLevel.INFO, f"next attempt in {delay:.1f} s")
        self._report(retry_at=self._clock() + delay)
        self._asked.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._asked.wait()

    def _unwanted(self) -> bool:
        return self._wish is Wish.STOPPED

    def _stopped(self, failure: Failure | None = None) -> None:
        """Nothing runs any more. `failure`: a new one; the last one stays otherwise."""
        self._turn(Turn.UNWANTED, retry_at=None, server=None, addresses=(), failure=failure or self._status.failure)

    # ---------------------------------------------------------------- one connection

    async def _once(self) -> None:
        """One attempt, and the connection that comes of it, to its end."""
        server = self._servers[self._backoff.server % len(self._servers)]
        attempt = _Attempt(self)
        self._asked.clear()
        self._given_up = False
        self._report(
            server=server, attempts=self._status.attempts + 1, transmitted=0, received=0, addresses=(), retry_at=None
        )
        self._say(LineLevel.INFO, f"connecting to {server or 'the servers of its profile'}")
        log.info(Event.TUNNEL_CONNECTING, tunnel=self.tunnel, server=_text(server), attempt=self._status.attempts)
        try:
            failure = await self._connection(server, attempt)
        finally:
            attempt.over = True
            await self._roads.close(self.tunnel)
        if not self._given_up:
            self._ended(failure if failure is None or failure.server else replace(failure, server=server))

    async def _connection(self, server: Endpoint | None, attempt: _Attempt) -> Failure | None:
        """Why it ended; None: nobody wants it any more, and it was up."""
        async with asyncio.TaskGroup() as group:
            client = group.create_task(self._outcome(server, attempt), name=f"{self.tunnel} client")
            up = group.create_task(attempt.up.wait())
            asked = group.create_task(self._asked.wait())
            try:
                await asyncio.wait({client, up, asked}, return_when=asyncio.FIRST_COMPLETED)
                if attempt.up.is_set() and not client.done() and not self._asked.is_set():
                    failure = await self._open_roads(attempt.addresses)
                    if failure is not None:
                        return failure
                    if not client.done() and not self._asked.is_set():
                        self._connected(attempt.addresses)
                    await asyncio.wait({client, asked}, return_when=asyncio.FIRST_COMPLETED)
                if client.done():
                    return client.result()
            finally:
                for each in (client, up, asked):
                    each.cancel()
                await _ended(client)
        return self._interrupted()

    async def _outcome(self, server: Endpoint | None, attempt: _Attempt) -> Failure:
        """Why the client's connection ended. Raises what is a defect."""
        try:
            return await self._client.run(server, attempt)
        except Exception as error:
            said = trouble(error)
            if said is None:
                raise
            return Failure(reason=FailureReason.OTHER, detail=said)

    def _interrupted(self) -> Failure | None:
        """Why a connection ended that somebody wanted to end."""
        if self._status.state is DriverState.CONNECTED:
            return None
        return Failure(reason=FailureReason.CANCELLED, detail="the attempt was cancelled")

    async def _open_roads(self, addresses: tuple[IPAddress, ...]) -> Failure | None:
        """Routes come first: what keeps it from being connected without them."""
        why = refusal(addresses)
        if why is not None:
            return Failure(reason=FailureReason.OTHER, detail=why)
        try:
            await self._roads.open(self.tunnel, self.interface, addresses)
        except LinkError as error:
            reason = FailureReason.NOT_PERMITTED if error.number in _NOT_PERMITTED else FailureReason.OTHER
            return Failure(reason=reason, detail=str(error))
        return None

    def _connected(self, addresses: tuple[IPAddress, ...]) -> None:
        self._turn(Turn.UP, addresses=addresses, failure=None)
        shown = ", ".join(map(str, addresses))
        self._say(LineLevel.INFO, f"connected, as {shown}" if shown else "connected")
        log.info(
            Event.TUNNEL_CONNECTED,
            tunnel=self.tunnel,
            server=_text(self._status.server),
            interface=self.interface,
            addresses=[str(each) for each in addresses],
        )

    def _left(self, why: str) -> None:
        """A connection has ended because somebody wanted that."""
        self._say(LineLevel.INFO, f"disconnected: {why}")
        log.info(Event.TUNNEL_DISCONNECTED, tunnel=self.tunnel, lasted=self._clock() - self._status.since)

    def _ended(self, failure: Failure | None) -> None:
        """What the end of a connection, or of an attempt, means for the next one."""
        was_up = self._status.state is DriverState.CONNECTED
        lasted = self._clock() - self._status.since if was_up else None
        if failure is None:
            self._left("as asked")
            self._stopped()
            return
        if failure.reason is FailureReason.CANCELLED:
            self._say(LineLevel.INFO, failure.detail)
            self._stopped(failure)
            return
        self._backoff = backoff.failed(self._backoff, failure.reason, servers=len(self._servers), lasted=lasted)
        self._tell(failure, lasted)
        turn = Turn.REFUSED if backoff.refuses(failure.reason) else Turn.FAILED
        self._turn(turn, failure=failure, addresses=(), attempts=0 if was_up else self._status.attempts)

    def _tell(self, failure: Failure, lasted: float | None) -> None:
        words = f"{failure.reason}: {self._scrub(failure.detail)}" if failure.detail else str(failure.reason)
        about = {
            "tunnel": self.tunnel,
            "server": _text(failure.server),
            "reason": failure.reason.value,
            "detail": self._scrub(failure.detail),
        }
        if backoff.refuses(failure.reason):
            self._say(LineLevel.ERROR, f"the account was refused, so attempts are few now: {words}")
            log.error(Event.TUNNEL_AUTH_FAILED, **about)
        elif lasted is None:
            self._say(LineLevel.WARNING, f"the attempt failed: {words}")
            log.warning(Event.TUNNEL_ATTEMPT_FAILED, **about)
        else:
            self._say(LineLevel.WARNING, f"the connection ended: {words}")
            log.warning(Event.TUNNEL_DISCONNECTED, lasted=lasted, **about)

    # ---------------------------------------------------------------- reports

    def counted(self, transmitted: int, received: int) -> None:
        """Bytes of the present connection, as its client counts them."""
        now = self._clock()
        self._status = replace(self._status, transmitted=transmitted, received=received)
        if now - self._counted_at >= _COUNTS_EVERY:
            self._counted_at = now
            self._reports.status(self._status)

    def said(self, level: LineLevel, component: str, text: str) -> None:
        """A line, scrubbed and passed on."""
        line = VpnLine(
            at_unix=time.time(), tunnel=self.tunnel, level=level, component=component, text=self._scrub(text)
        )
        self._reports.line(line)

    def _say(self, level: LineLevel, text: str) -> None:
        self.said(level, _GATEWAY, text)

    def _turn(self, turn: Turn, **news: Unpack[_News]) -> None:
        """The only place in which the state changes."""
        news["state"] = after(self._status.state, turn)
        if news["state"] is not self._status.state:
            news["since"] = self._clock()
        self._report(**news)

    def _report(self, **news: Unpack[_News]) -> None:
        failure = news.get("failure")
        if failure is not None:
            news["failure"] = replace(failure, detail=self._scrub(failure.detail))
        status = replace(self._status, **news)
        if status != self._status:
            self._status = status
            self._reports.status(status)


async def _ended(client: asyncio.Task[Failure]) -> None:
    """Return when it has. Whoever is cancelled once more cuts it short: a group of tasks would keep that to itself."""
    try:
        await asyncio.wait({client})
    except asyncio.CancelledError:
        client.cancel()
        raise


class _Attempt:
    """A `client.Attempt`: what the client says goes to its driver, while the connection lasts."""

    def __init__(self, driver: ManagedDriver) -> None:
        self._driver = driver
        self.up = asyncio.Event()
        self.addresses: tuple[IPAddress, ...] = ()
        self.over = False

    def connected(self, addresses: tuple[IPAddress, ...]) -> None:
        """See `client.Attempt`. What comes of it is the driver's to say, once there are routes."""
        self.addresses = addresses
        self.up.set()

    def counted(self, transmitted: int, received: int) -> None:
        """See `client.Attempt`."""
        if not self.over:
            self._driver.counted(transmitted, received)

    def said(self, level: LineLevel, component: str, text: str) -> None:
        """See `client.Attempt`."""
        self._driver.said(level, component, text)


def _text(server: Endpoint | None) -> str | None:
    return None if server is None else str(server)
