"""The composition root: makes the rooms, introduces them to one another, and leads the gateway through its life.

    kernel ──snapshots──▶ controller ──routing table, aborts──▶ data plane
    resolver ──names────▶     │                                     │
                              └──view──▶ admin ◀──────stats─────────┘

Starting is the first reload: listeners open when the controller has its first picture of the kernel, so that no client
is ever turned away for want of a look. SIGTERM or SIGINT drains; a second one ends at once.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine, Mapping
from time import monotonic, time
from typing import Any, Final

import structlog
import uvloop

from gateway import __version__
from gateway.admin.families import ReloadFacts
from gateway.admin.http import AdminServer, Questions
from gateway.admin.lag import LagMeter
from gateway.admin.metrics import Metrics, Sources
from gateway.admin.readiness import Phase
from gateway.control.controller import Controller
from gateway.control.kernel import KernelWatcher
from gateway.control.resolver import Resolver
from gateway.dataplane.engine import Engine, EngineOptions
from gateway.dataplane.limits import raise_descriptor_limit, sessions_for
from gateway.dataplane.messages import AbortTunnel, DataPlane, DialFailed
from gateway.errors import ListenError
from gateway.model import Config, DialFailure, KernelSnapshot, RoutingTable
from gateway.observe.events import Event
from gateway.observe.sessions import session_logger
from gateway.observe.throttle import Throttle
from gateway.policy.evidence import KernelSeen, NamesSeen
from gateway.policy.state import is_address
from gateway.tunnels.catalogue import driver_for

log = structlog.get_logger()

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_DRAIN_CHECK_SECONDS: Final = 0.05


def run(config: Config) -> int:
    """Run the gateway until it is told to stop; the process's exit code. Takes over the main thread and its signals."""
    return uvloop.run(_run(config))


async def _run(config: Config) -> int:
    gateway = Gateway(config, descriptors=raise_descriptor_limit())
    try:
        return await gateway.run()
    except* ListenError as group:
        for error in _leaves(group):
            log.error("gateway.failed", error=str(error))  # noqa: TRY400 - the text says it all
    return 1


class Gateway:
    """One running gateway. Make it inside the event loop; `run` it once."""

    def __init__(self, config: Config, *, descriptors: int) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self._killed = asyncio.Event()
        self._phase = Phase.STARTING
        self._dial_log = Throttle(seconds=1.0)
        self._watched: Mapping[str, tuple[str, ...]] = {}
        self._drivers = {spec.name: driver_for(spec) for spec in config.tunnels}
        self._lookups: frozenset[tuple[str, str]] = frozenset()
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
            on_session_ended=session_logger(spec.session_log),
        )
        self._controller = Controller(config.forwards, config.tunnels, apply=self._apply, abort=self._abort)
        self._watcher = KernelWatcher(self._kernel_seen)
        self._resolver = Resolver(self._names_seen)
        self._lag = LagMeter()
        self._admin = self._make_admin()

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
        self._resolver.watch(self._host_names())
        self._watch(self._controller.routing_table())
        try:
            async with asyncio.TaskGroup() as group:
                if config.admin.listen is not None:
                    await self._admin.start(config.admin.listen)
                workers = [group.create_task(work, name=name) for name, work in self._workers().items()]
                await self._live()
                for worker in workers:
                    worker.cancel()
        finally:
            cut = self._plane.stop()
            await self._admin.close()
            for number in (*_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)
        log.info("gateway.stopped", sessions_reset=cut)
        return 1 if self._killed.is_set() else 0

    def _workers(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            "controller": self._controller.run(),
            "kernel": self._watcher.run(),
            "resolver": self._resolver.run(),
            "lag": self._lag.run(),
            **{f"tunnel {name}": driver.run() for name, driver in self._drivers.items()},
        }

    # ------------------------------------------------------------ life

    async def _live(self) -> None:
        """From the first table to the end of the drain."""
        if await _first(self._controller.settled, self._stopping) is self._controller.settled:
            self._phase = Phase.RUNNING
            log.info("gateway.started", listeners=sum(len(forward.ports) for forward in self._config.forwards))
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

    def _apply(self, table: RoutingTable) -> None:
        self._plane.apply(table)
        if table.addresses is not self._watched:  # with 10,000 forwards not something to do at every failover
            self._watch(table)

    def _abort(self, tunnel: str, forwards: frozenset[str]) -> int:
        return self._plane.abort(AbortTunnel(tunnel=tunnel, forwards=forwards))

    def _kernel_seen(self, snapshot: KernelSnapshot) -> None:
        self._controller.post(KernelSeen(snapshot=snapshot))

    def _names_seen(
        self, addresses: Mapping[str, tuple[str, ...]], through: Mapping[tuple[str, str], tuple[str, ...]]
    ) -> None:
        self._controller.post(NamesSeen(addresses=addresses, through=through))

    def _dial_failed(self, failure: DialFailed) -> None:
        count = self._dial_log.passes((failure.tunnel, failure.reason), monotonic())
        if count is not None:
            log.warning(
                "dial.failed",
                tunnel=failure.tunnel,
                forward=failure.forward,
                target=str(failure.target),
                reason=failure.reason.value,
                count=count,
            )
        if failure.reason is DialFailure.NOT_PROVEN:  # the kernel knows something that we have not been told
            self._look_again()

    def _watch(self, table: RoutingTable) -> None:
        """Tell the kernel watcher which devices and routes matter under `table`; it looks again at once."""
        self._lookups = frozenset(
            (self._drivers[tunnel].interface, address)
            for forward in table.forwards
            for host in {ports.target.host for ports in forward.ports}
            for address in table.addresses.get(host, ())
            for tunnel in forward.tunnels
        )
        self._watched = table.addresses
        self._look_again()

    def _look_again(self) -> None:
        """Have the kernel watcher read once more. Cheap: every dial that is refused asks for it."""
        self._watcher.watch(frozenset(driver.interface for driver in self._drivers.values()), self._lookups)

    def _host_names(self) -> frozenset[str]:
        hosts = {ports.target.host for forward in self._config.forwards for ports in forward.ports}
        return frozenset(host for host in hosts if not is_address(host))

    def _make_admin(self) -> AdminServer:
        config = self._config
        loaded = ReloadFacts(successful=True, success_at_unix=time())
        metrics = Metrics(
            Sources(
                stats=self._plane.stats,
                view=self._controller.view,
                reload=lambda: loaded,
                lag=lambda: self._lag.worst,
                draining=lambda: self._phase is Phase.DRAINING,
            ),
            version=__version__,
            environment=config.gateway.environment,
        )
        questions = Questions(
            view=self._controller.view, phase=lambda: self._phase, ready_when=lambda: config.admin.ready
        )
        return AdminServer(metrics=metrics, questions=questions)


async def _first(*events: asyncio.Event, timeout: float | None = None) -> asyncio.Event | None:  # noqa: ASYNC109
    """The first of `events` to be set, or None after `timeout` seconds."""
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(event.wait()): event for event in events}
        done, pending = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
    return next((waits[wait] for wait in waits if wait in done), None)


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
