"""The gateway's life: it starts, serves, drains and ends.

Starting is the first reload: listeners open when the controller lets the first clients in, so that none is ever turned
away for want of a look. SIGTERM or SIGINT drains; a second one ends at once.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

import structlog

from gateway import __version__
from gateway.admin.book.telling import of_configuration
from gateway.admin.lag import LagMeter
from gateway.admin.rates import RateMeter
from gateway.admin.readiness import Phase
from gateway.app.chronicle import activities, book_of
from gateway.app.clients import Clients, MakeDriver
from gateway.app.front import FrontDesk, Rooms
from gateway.app.hands import Hands
from gateway.app.paths import watch_paths
from gateway.app.reconnecting import watch_connections
from gateway.app.senses import Senses
from gateway.control.controller import Controller
from gateway.control.operator import Operator
from gateway.dataplane.engine import Engine, EngineOptions
from gateway.dataplane.limits import sessions_for
from gateway.dataplane.messages import DataPlane, DialFailed, DialOutrun, FirstConnect
from gateway.model import Config
from gateway.observe.events import Event
from gateway.observe.sessions import session_logger
from gateway.policy.evidence import Evidence
from gateway.policy.reconcile import Decision
from gateway.tunnels.catalogue import driver_for

log = structlog.get_logger()

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_DRAIN_CHECK_SECONDS: Final = 0.05


class Gateway:
    """One running gateway. Make it inside the event loop; `run` it once."""

    def __init__(
        self,
        config: Config,
        *,
        descriptors: int,
        runtime: Path | None = None,
        make_driver: MakeDriver = driver_for,
    ) -> None:
        """`runtime` is a private directory for the sockets of VPN clients; None: no tunnel has one."""
        self._config = config
        self._stopping = asyncio.Event()
        self._killed = asyncio.Event()
        self._phase = Phase.STARTING
        self._cut: int | None = None
        self._book = book_of(config.admin)
        self._clients = Clients(config, runtime=runtime, book=self._book, post=self._post, make_driver=make_driver)
        spec = config.gateway
        listeners = sum(len(forward.ports) for forward in config.forwards)
        self._max_sessions = min(spec.max_connections or descriptors, sessions_for(descriptors, listeners=listeners))
        self._plane: DataPlane = Engine(
            options=EngineOptions(
                max_sessions=self._max_sessions,
                splice=spec.splice,
                reuse_upstreams=spec.reuse_upstreams,
                busy_poll=spec.busy_poll,
            ),
            on_dial_failed=self._dial_failed,
            on_first_connect=self._first_connect,
            on_dial_outrun=self._dial_outrun,
            on_session_ended=session_logger(spec.session_log),
        )
        drivers = self._clients.drivers
        self._senses = Senses(config, drivers, ways=self._clients.ways, post=self._post, vitals=self._plane.vitals)
        self._controller = Controller(
            config.forwards, config.tunnels, hands=Hands(self._plane, self._senses), witness=self._witness
        )
        self._operator = Operator(self._controller, sessions_on=self._sessions_on, dial=self._senses.dial)
        self._lag = LagMeter()
        self._rates = RateMeter(self._plane.stats)
        self._front = FrontDesk(
            Rooms(
                config=config,
                plane=self._plane,
                controller=self._controller,
                operator=self._operator,
                senses=self._senses,
                clients=self._clients,
                book=self._book,
                lag=self._lag,
                rates=self._rates,
                phase=lambda: self._phase,
            )
        )

    async def run(self) -> int:
        """Serve until a signal; 0 after a drain, 1 when a second signal cut it short.

        Raises an ExceptionGroup: of ListenError when an address cannot be bound, of anything else for a bug.
        """
        config = self._config
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        for warning in config.warnings:
            log.warning("config.warned", warning=warning)
        log.info(
            "gateway.starting",
            version=__version__,
            config=config.path,
            forwards=len(config.forwards),
            tunnels=len(config.tunnels),
            max_sessions=self._max_sessions,
        )
        gc.collect()
        gc.freeze()  # what exists now stays: later collections, which stop the relay, need not look at it
        self._senses.start(self._controller.routing_table())
        try:
            async with asyncio.TaskGroup() as group:
                book = group.create_task(self._book.run(), name="book")  # to the last word of everybody else
                await self._front.start()
                async with self._clients.running(self._killed):
                    await self._serve()
                book.cancel()
        finally:
            cut = self._stop_plane()
            await self._front.close()
            for number in (*_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)
        log.info("gateway.stopped", sessions_reset=cut)
        return 1 if self._killed.is_set() else 0

    async def _serve(self) -> None:
        """From the first look to the end of the drain. What sessions are left are reset, through tunnels that last."""
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(work, name=name) for name, work in self._workers().items()]
                await self._live()
                for worker in workers:
                    worker.cancel()
        finally:
            self._stop_plane()

    def _stop_plane(self) -> int:
        """How many sessions were reset by that."""
        if self._cut is None:
            self._cut = self._plane.stop()
        return self._cut

    def _workers(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "controller": self._controller.run(),
            "operator": self._operator.run(),
            "paths": watch_paths(self._controller.state),
            "lag": self._lag.run(),
            "rates": self._rates.run(),
            "connections": watch_connections(self._controller.state, self._clients.drivers),
            **self._senses.workers(),
        }

    # ------------------------------------------------------------ life

    async def _live(self) -> None:
        """From the first table to the end of the drain."""
        if await _first(self._controller.settled, self._stopping) is self._controller.settled:
            self._phase = Phase.RUNNING
            log.info("gateway.started", listeners=sum(len(forward.ports) for forward in self._config.forwards))
            self._book.record(of_configuration(self._config.path, at_unix=time()))
            await self._stopping.wait()
        self._phase = Phase.DRAINING
        await self._drain()

    async def _drain(self) -> None:
        """Readiness has failed already; wait, close the listeners, let sessions end until the deadline."""
        spec = self._config.gateway
        log.info("gateway.draining", sessions=self._plane.sessions, timeout=spec.drain_timeout, delay=spec.drain_delay)
        try:
            async with asyncio.timeout(spec.drain_timeout):
                await _first(self._killed, timeout=spec.drain_delay)
                self._plane.drain()
                while self._plane.sessions and not self._killed.is_set():
                    await _first(self._killed, timeout=_DRAIN_CHECK_SECONDS)
        except TimeoutError:
            log.warning("gateway.drain_timed_out", sessions=self._plane.sessions)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping.is_set():
            log.warning("gateway.killed", signal=number.name)
            self._killed.set()
        self._stopping.set()

    @staticmethod
    def _on_hangup() -> None:
        """Who sends SIGHUP wants the file read again. Ending, the signal's default, would be an outage instead."""
        log.warning(Event.CONFIG_RELOAD_REFUSED, reason="this version reads its file at start only: restart it")

    # ------------------------------------------------------------ introductions

    def _post(self, evidence: Evidence) -> None:
        self._controller.post(evidence)

    def _dial_failed(self, failure: DialFailed) -> None:
        self._senses.dial_failed(failure)

    def _dial_outrun(self, outrun: DialOutrun) -> None:
        self._senses.dial_outrun(outrun)

    def _first_connect(self, first: FirstConnect) -> None:
        self._senses.connected(first)

    def _sessions_on(self, tunnel: str) -> int:
        return sum(count for (_, name), count in self._plane.stats().active.items() if name == tunnel)

    def _witness(self, evidence: Evidence, decision: Decision) -> None:
        for activity in activities(evidence, decision, now=monotonic()):
            self._book.record(activity)


async def _first(*events: asyncio.Event, timeout: float | None = None) -> asyncio.Event | None:  # noqa: ASYNC109
    """The first of `events` to be set, or None after `timeout` seconds."""
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(event.wait()): event for event in events}
        done, pending = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
    return next((waits[wait] for wait in waits if wait in done), None)
