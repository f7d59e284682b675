"""The engine: one nested edge-triggered epoll, and the turns in which it is served.

The engine's epoll descriptor is registered once with the event loop. When anything is ready, the loop calls a *turn*:
the epoll is polled without waiting, and everything that is ready is served. Each socket is registered once for its
whole life, and no interest is toggled but for a flow that trickles (`rests`). What a turn does not finish (fairness)
goes on in the next one.

The engine owns every descriptor of the data plane, and every session's beginning and end. It implements
`messages.DataPlane`; all calls come from the event loop's thread.
"""

from __future__ import annotations

import asyncio
import select
from _socket import socket as Socket  # noqa: N812
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from operator import attrgetter
from time import monotonic
from typing import Final

import structlog

from gateway.dataplane import sample, sockopt
from gateway.dataplane.dialer import Dialer
from gateway.dataplane.endings import ended, ended_without_upstream
from gateway.dataplane.hedging import Race
from gateway.dataplane.holds import Holds
from gateway.dataplane.ledger import Lane, Ledger
from gateway.dataplane.listener import Listener
from gateway.dataplane.listeners import Listeners
from gateway.dataplane.messages import AbortTunnel, DialFailed, DialOutrun, FirstConnect, SessionEnded, Shed, Stats
from gateway.dataplane.pipes import PipePool
from gateway.dataplane.plan import Attempt, Plan, make_plan, same_device
from gateway.dataplane.proof import PathProof
from gateway.dataplane.relay import CLIENT_EVENTS, SOCKET_EVENTS, Relay
from gateway.dataplane.rests import Rests
from gateway.dataplane.reuse import Spares, UpstreamReuse
from gateway.dataplane.session import UNCONNECTED, Phase, Pump, Session, Sessions, Watch
from gateway.dataplane.timeouts import overdue
from gateway.dataplane.vitals import vitals
from gateway.model import CloseReason, ConnectResult, DialFailure, HoldResult, RoutingTable, Vitals
from gateway.observe.throttle import Throttle

log = structlog.get_logger()

_ERROR: Final = select.EPOLLERR
_IN: Final = select.EPOLLIN
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLRDHUP
_UNUSUAL: Final = select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLPRI
_WRITABLE: Final = select.EPOLLOUT
_RELAYING: Final = Phase.RELAYING
_DIALLING: Final = Phase.DIALLING
_HELD: Final = Phase.HELD
_ENDED: Final = Phase.ENDED
_NOT_WATCHED: Final = Watch.NOT_YET
_QUIET: Final = Watch.QUIET
_SPOKE: Final = Watch.SPOKE
_EOF: Final = CloseReason.EOF
_CLIENT_RESET: Final = CloseReason.CLIENT_RESET
_EVENTS_A_POLL: Final = 128  # bounds a turn: with bulk flows each event may take a quarter of a millisecond
_SWEEP_SECONDS: Final = 1.0  # how coarse idle and half-close timeouts are
_CHECK_SECONDS: Final = 0.05  # how coarse connect and hold timeouts are
_LEAST_CHECK_SECONDS: Final = 0.002  # how coarse hedging may be at worst: each check looks at all dials
_PAUSE_SECONDS: Final = 0.1
_SPIN_LIMIT_SECONDS: Final = 0.001  # of one turn: the event loop has other things to do
_SPARE_UPSTREAMS: Final = 1024
_NO_REUSE: Final = frozenset({CloseReason.TUNNEL_DOWN, CloseReason.DRAIN, CloseReason.USER_TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """What may be switched: `max_sessions` in all, `busy_poll` seconds to spin after activity (0: never)."""

    max_sessions: int
    splice: bool = True
    reuse_upstreams: bool = True
    busy_poll: float = 0.0


class Engine:
    """The data plane of one event loop."""

    def __init__(
        self,
        *,
        options: EngineOptions,
        on_dial_failed: Callable[[DialFailed], None],
        on_session_ended: Callable[[SessionEnded], None] | None = None,
        on_first_connect: Callable[[FirstConnect], None] | None = None,
        on_dial_outrun: Callable[[DialOutrun], None] | None = None,
    ) -> None:
        """Must be made inside the running event loop. `on_session_ended=None` costs nothing a session."""
        self.batch = 0
        self.now = monotonic()
        self.sessions = 0
        self.max_sessions = options.max_sessions
        self._busy_poll = options.busy_poll
        self._on_dial_failed = on_dial_failed
        self._on_session_ended = on_session_ended
        self._on_first_connect = on_first_connect
        self._on_dial_outrun = on_dial_outrun
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self.sources: list[Pump | Listener | Race | None] = [None] * 1024
        self._ledger = Ledger()
        self._samples: dict[str, list[Session]] = {}  # by tunnel
        self._sessions = Sessions()
        self._pipes = PipePool()
        self._proof = PathProof()
        self._reuse = UpstreamReuse(capacity=_SPARE_UPSTREAMS if options.reuse_upstreams else 0)
        self._rests = Rests(
            epoll=self._epoll,
            pump=self._pump_rested,
            loop=self._loop,
            enabled=not options.busy_poll,  # whoever pays for each microsecond
        )
        self._relay = Relay(
            epoll=self._epoll,
            pipes=self._pipes,
            finish=self.finish,
            rests=self._rests,
            splice=options.splice,
        )
        self._dialer = Dialer(
            host=self,
            reuse=self._reuse,
            proof=self._proof,
            on_failure=self._dial_failed,
            on_awaited=self._first_connect,
            on_outrun=self._outrun,
        )
        self._holds = Holds(host=self, dial=self._dialer.dial, loop=self._loop)
        self._table: RoutingTable | None = None
        self._listeners = Listeners(host=self, ledger=self._ledger, loop=self._loop)
        self.backlogged: dict[Listener, None] = {}
        self.waiting = 0
        self._pause_log = Throttle(seconds=1.0)
        self._accept_pauses = 0
        self._resume_timer: asyncio.TimerHandle | None = None
        self._check_timer: asyncio.TimerHandle | None = None
        self._check_seconds = _CHECK_SECONDS
        self._hedges = False
        self._next_turn: asyncio.Handle | None = None
        self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        self._loop.add_reader(self._epoll.fileno(), self._turn)

    # ------------------------------------------------------------ DataPlane

    def apply(self, table: RoutingTable) -> None:
        """See `DataPlane.apply`."""
        self.begin_batch()
        self._listeners.apply(table)
        self._table = table
        soonest = min((it.hedge_after for it in table.forwards if it.hedge_after), default=None)
        self._hedges = soonest is not None
        self._check_seconds = min(_CHECK_SECONDS, soonest or _CHECK_SECONDS)
        for name in self._ledger.tunnels.keys() | table.paths.keys():
            tunnel = self._ledger.tunnel(name)
            if tunnel.path != table.paths.get(name):
                tunnel.path = table.paths.get(name)
                tunnel.proven_in_batch = -1
        for lane in self._ledger.lanes():
            if lane.path is not lane.tunnel.path or lane.spec is not lane.forward.spec:
                if not _spares_fit(lane):
                    self._flush(lane)
                if lane.spec.ports != lane.forward.spec.ports:
                    lane.connected_at = 0.0  # that was another target
                lane.path, lane.spec = lane.tunnel.path, lane.forward.spec
        self._dialer.withdraw()
        self._holds.release()
        self.check_later()

    def abort(self, order: AbortTunnel) -> int:
        """See `DataPlane.abort`."""
        doomed = [
            session
            for lane in self._ledger.lanes_of(order.tunnel, order.forwards)
            for session in lane.sessions
            if session.phase is _RELAYING
        ]
        for session in doomed:
            self.finish(session, order.reason)
        return len(doomed)

    def shed(self, order: Shed) -> int:
        """See `DataPlane.shed`."""
        lanes = self._ledger.lanes_of(order.tunnel, (order.forward,))
        riding = (session for lane in lanes for session in lane.sessions if session.phase is _RELAYING)
        doomed = nsmallest(order.sessions, riding, key=attrgetter("last_active"))
        for session in doomed:
            self.finish(session, CloseReason.DRAIN)
        return len(doomed)

    def vitals(self, tunnel: str) -> Vitals:
        """See `DataPlane.vitals`. The sample is as of the last second."""
        entry = self._ledger.tunnels.get(tunnel)
        if entry is None:
            return Vitals()
        dialling: Iterator[Session | Race] = chain(self._dialer.hedging.under_way, self._dialer.dialling)
        return vitals(entry, self._samples.get(tunnel, ()), dialling, monotonic())

    def await_connect(self, forward: str, tunnel: str) -> None:
        """See `DataPlane.await_connect`. Nobody connects through a forward that no table ever had."""
        entry = self._ledger.forwards.get(forward)
        if entry is not None:
            self._ledger.lane(entry, self._ledger.tunnel(tunnel)).awaited = True

    def drain(self) -> None:
        """See `DataPlane.drain`."""
        self._listeners.drain()

    def stop(self) -> int:
        """See `DataPlane.stop`. The engine cannot be used again."""
        self.drain()
        self._holds.close()
        doomed = [*self._ledger.sessions(), *self._holds.held]
        for session in doomed:
            self.finish(session, CloseReason.DRAIN)
        for lane in self._ledger.lanes():
            self._flush(lane)
        for handle in (self._sweep_timer, self._check_timer, self._resume_timer, self._next_turn):
            if handle is not None:
                handle.cancel()
        self._rests.close()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._pipes.close()
        self._proof.close()
        return len(doomed)

    def stats(self) -> Stats:
        """See `DataPlane.stats`."""
        return self._ledger.snapshot(accept_pauses=self._accept_pauses)

    # ------------------------------------------------------------ turns

    def _turn(self) -> None:
        """Serve what is ready, then what was left over, then perhaps wait a little for more."""
        if self._next_turn is not None:  # this one came first, woken by the epoll: never two for one
            self._next_turn.cancel()
            self._next_turn = None
        self._serve(self._poll(0, _EVENTS_A_POLL))
        if self._busy_poll:
            self._spin()
        if self.backlogged:
            for listener in [self.backlogged.popitem()[0] for _ in range(len(self.backlogged))]:
                self._accept_from(listener)
        if self._relay.unfinished or self.backlogged:
            self._next_turn = self._loop.call_soon(self._turn)
        if self._dialer.dialling and self._check_timer is None:
            self.check_later()

    def _pump_rested(self, pumps: Iterable[Pump]) -> None:
        self._relay.unfinished.update(dict.fromkeys(pumps))
        self._turn()

    def _spin(self) -> None:
        """Poll on for `busy_poll` after the last activity, within the limit of a turn."""
        poll, now = self._poll, monotonic()
        limit = now + _SPIN_LIMIT_SECONDS
        until = min(now + self._busy_poll, limit)
        while now < until and not self._relay.unfinished:
            events = poll(0, _EVENTS_A_POLL)
            now = monotonic()
            if events:
                self._serve(events)
                until = min(now + self._busy_poll, limit)

    def _serve(self, events: list[tuple[int, int]]) -> None:  # noqa: C901, PLR0912 - hot: a call costs on each event
        """Serve one batch of events, and what the last turn left over."""
        self.batch += 1
        self.now = monotonic()
        unfinished = self._relay.unfinished
        if unfinished:
            self._relay.unfinished = {}
        sources, pump = self.sources, self._relay.pump
        for fd, event in events:
            source = sources[fd]
            if type(source) is Pump:  # most of them; None is a socket that was put aside or closed in this batch
                session = source.session
                try:
                    if session.phase is _RELAYING:
                        twin = source.twin
                        if event & _UNUSUAL:
                            if event & _ERROR:
                                self._relay.source_failed(source)
                                continue
                            source.read_on = True
                            if source.held is None and not source.ended:
                                pump(source)
                        elif event & _IN and source.held is None:
                            pump(source)
                        if event & _WRITABLE and twin.held is not None:  # after an end there is nothing held
                            pump(twin)
                    elif session.phase is _DIALLING:
                        if session.dial_batch != self.batch:
                            self._while_dialling(source, session, event)
                    elif session.phase is _HELD:
                        self._while_waiting(source, session, event)
                except Exception:  # the boundary of one connection: a bug ends it, and no other
                    log.exception("session.failed", forward=session.plan.forward.spec.name)
                    self.finish(session, CloseReason.ERROR)
            elif source is None:
                continue
            elif type(source) is Listener:
                self._accept_from(source)
            else:
                self._while_racing(source, event)
        for left_over in unfinished:
            session = left_over.session
            if session.phase is _RELAYING and not left_over.ended:  # an event of this batch may have ended it
                try:
                    pump(left_over)
                except Exception:  # as above
                    log.exception("session.failed", forward=session.plan.forward.spec.name)
                    self.finish(session, CloseReason.ERROR)

    def _accept_from(self, listener: Listener) -> None:
        try:
            listener.accept()
        except Exception:  # a boundary, too: the rest of the batch is somebody else's, and comes only once
            log.exception("session.failed", forward=listener.forward.spec.name)
            self.pause_accepting("error")

    def _while_dialling(self, source: Pump, session: Session, event: int) -> None:
        """An event on either socket of a session whose upstream is not connected yet."""
        if source is session.up:
            self._while_waiting(source, session, event)
        elif self._dialer.on_upstream(session, event):
            if session.watched is _NOT_WATCHED:
                self._epoll.register(session.up.source.fileno(), CLIENT_EVENTS)
                self._relay.pump(session.up)
            elif session.watched is _SPOKE:
                self._relay.pump(session.up)
            if event & _READABLE and session.phase is _RELAYING:
                if event & _UNUSUAL:
                    source.read_on = True
                self._relay.pump(source)

    def _while_waiting(self, source: Pump, session: Session, event: int) -> None:
        """An event on a client that has no upstream yet: nothing is read, but an error ends the session."""
        if event & _ERROR:
            self._relay.source_failed(source)
            return
        session.watched = _SPOKE
        if event & _UNUSUAL:
            source.read_on = True

    def _while_racing(self, race: Race, event: int) -> None:
        """An event on the second upstream of a session that is being dialled twice."""
        session = race.session
        try:
            if race.dial_batch != self.batch and self._dialer.hedging.on_second(race, event):
                self._while_dialling(session.down, session, event)
        except Exception:  # as in `_serve`
            log.exception("session.failed", forward=session.plan.forward.spec.name)
            self.finish(session, CloseReason.ERROR)

    # ------------------------------------------------------------ sessions: beginning and end

    def admit(self, plan: Plan, attempt: Attempt, client: Socket, fd: int, address: tuple[str, int]) -> None:
        """See `listener.Host`.

        The client is registered with epoll when its upstream is there, by which time it has usually said something:
        that saves a wake-up. Only if the dial takes its time is the client watched meanwhile (`_check`).
        """
        session = self._sessions.take(
            plan, client, address if self._on_session_ended is not None else None, self.now, self._relay.tick
        )
        try:
            self.sources[fd] = session.up
        except IndexError:
            self._found_by(fd, session.up)
        self.sessions += 1
        plan.forward.active += 1
        if plan.last_resort:
            plan.forward.last_resort += 1
        self._dialer.dial(session, attempt)

    def hold(self, plan: Plan, client: Socket, fd: int, address: tuple[str, int]) -> None:
        """See `listener.Host`."""
        forward = plan.forward
        if not (forward.spec.hold_timeout and self._holds.has_room(forward)):
            self.turn_away(plan, client, address, ConnectResult.NO_TUNNEL)
            return
        session = self._sessions.take(
            plan, client, address if self._on_session_ended is not None else None, monotonic(), self._relay.tick
        )
        self._found_by(fd, session.up)
        self.sessions += 1
        forward.active += 1
        self._holds.begin(session)

    def turn_away(self, plan: Plan, client: Socket, address: tuple[str, int], result: ConnectResult) -> None:
        """See `listener.Host`."""
        sockopt.close_with_reset(client)
        plan.forward.results[result] += 1
        if self._on_session_ended is not None:
            self._on_session_ended(ended_without_upstream(plan, address, result, 0.0))

    def give_up(self, session: Session, reason: CloseReason | None = None) -> None:
        """See `dialer.Host`."""
        self._end_without_upstream(session, ConnectResult.DIAL_FAILED, reason)

    def hold_or_give_up(self, session: Session) -> None:
        """See `dialer.Host`."""
        forward = session.plan.forward
        may_wait = monotonic() < session.accepted_at + forward.spec.hold_timeout
        if not may_wait or self.plan_of_held(session) is None:
            self.give_up(session)
        elif self._holds.has_room(forward):
            self._holds.begin(session)
        else:
            self._end_without_upstream(session, ConnectResult.NO_TUNNEL)

    def end_held(self, session: Session, result: HoldResult, reason: CloseReason | None = None) -> None:
        """See `holds.Host`. `reason` is what ended the wait, if neither time nor table did."""
        self._holds.end(session, result)
        self._end_without_upstream(session, ConnectResult.NO_TUNNEL, reason)

    def _end_without_upstream(self, session: Session, result: ConnectResult, reason: CloseReason | None = None) -> None:
        """Reset the client and forget the session, which is in no lane and has no upstream."""
        plan = session.plan
        plan.forward.results[result] += 1
        if self._on_session_ended is not None and session.client is not None:
            waited = monotonic() - session.accepted_at
            self._on_session_ended(ended_without_upstream(plan, session.client, result, waited, reason))
        self.sessions -= 1
        plan.forward.active -= 1
        client = session.up.source
        self.sources[client.fileno()] = None
        sockopt.close_with_reset(client)
        self._sessions.put_away(session)

    def finish(self, session: Session, reason: CloseReason) -> None:
        """End a session, whatever its state, exactly once: an orderly end only for EOF, RST for everything else."""
        if session.phase is not _RELAYING:
            self._finish_early(session, reason)
            return
        up, down, attempt = session.up, session.down, session.attempt
        client, upstream, lane = up.source, down.source, attempt.lane
        lane.sessions.discard(session)
        lane.to_target += up.moved
        lane.to_client += down.moved
        lane.forward.closed[reason] += 1
        if self._on_session_ended is not None:
            self._on_session_ended(ended(session, reason))
        self.sessions -= 1
        lane.forward.active -= 1
        if self._rests.resting:
            self._rests.over(session)
        if up.held is not None or down.held is not None:
            self._relay.let_go(up)
            self._relay.let_go(down)
        sources = self.sources
        sources[client.fileno()] = None
        if reason is _EOF or reason is _CLIENT_RESET:
            client.close()
        else:
            sockopt.close_with_reset(client)
        sources[upstream.fileno()] = None
        if reason is _EOF:
            if not (sockopt.is_closed(upstream) and self._reuse.keep(upstream, attempt.spares)):
                upstream.close()
        elif reason in _NO_REUSE or not self._reuse.keep(upstream, attempt.spares):
            sockopt.close_with_reset(upstream)
        self._sessions.put_away(session)

    def _finish_early(self, session: Session, reason: CloseReason) -> None:
        """End a session that has no upstream, if it is not over already."""
        match session.phase:
            case Phase.DIALLING:
                self._dialer.abandon(session)
                self.give_up(session, reason)
            case Phase.HELD:
                result = HoldResult.ENDED if reason is CloseReason.DRAIN else HoldResult.LEFT
                self.end_held(session, result, reason)
            case _:
                pass

    # ------------------------------------------------------------ what its parts ask for

    def begin_batch(self) -> None:
        """See `holds.Host`. Events that were polled before mean nothing to dials that begin now."""
        self.batch += 1
        self.now = monotonic()

    def adopt_upstream(self, session: Session, upstream: Socket) -> None:
        """See `dialer.Host`."""
        session.down.source = upstream
        fd = upstream.fileno()
        self._found_by(fd, session.down)
        self._epoll.register(fd, SOCKET_EVENTS)

    def adopt_second(self, race: Race, upstream: Socket) -> None:
        """See `hedging.Host`."""
        race.source = upstream
        fd = upstream.fileno()
        self._found_by(fd, race)
        self._epoll.register(fd, SOCKET_EVENTS)

    def drop_upstream(self, session: Session) -> None:
        """See `dialer.Host`."""
        upstream = session.down.source
        if upstream is not UNCONNECTED:
            self.sources[upstream.fileno()] = None
            session.down.source = UNCONNECTED
            sockopt.close_with_reset(upstream)  # it may be connected already: then the target must not see an end

    def current_plan(self, session: Session) -> Plan:
        """See `dialer.Host`. A listener that is gone, or serves something else, offers what it offered."""
        plan = session.plan
        listener = self._listeners.get(plan.ports.listen)
        if listener is None or listener.forward is not plan.forward or listener.ports != plan.ports:
            return plan
        return self.plan_for(listener)

    def plan_of_held(self, session: Session) -> Plan | None:
        """See `holds.Host`."""
        plan = session.plan
        listener = self._listeners.get(plan.ports.listen)
        return None if listener is None or listener.forward is not plan.forward else self.plan_for(listener)

    def plan_for(self, listener: Listener) -> Plan:
        """See `listener.Host`. Worked out when first needed under a table: most listeners sleep through most tables."""
        table = self._table
        assert table is not None  # noqa: S101 - listeners come with a table
        if listener.plan is None or listener.generation != table.generation:
            listener.plan = make_plan(table, listener.forward, listener.ports, self._ledger)
            listener.generation = table.generation
        return listener.plan

    def pause_accepting(self, why: str) -> None:
        """See `listener.Host`."""
        if self._resume_timer is None:
            self._accept_pauses += 1
            pauses = self._pause_log.passes(why, monotonic())
            if pauses is not None:
                log.warning("accept.paused", reason=why, seconds=_PAUSE_SECONDS, sessions=self.sessions, count=pauses)
            self._listen_for(0)
            self._resume_timer = self._loop.call_later(_PAUSE_SECONDS, self._resume_accepting)

    @property
    def is_paused(self) -> bool:
        """See `listener.Host`."""
        return self._resume_timer is not None

    def _resume_accepting(self) -> None:
        self._resume_timer = None
        self._listen_for(select.EPOLLIN)
        self.backlogged |= {listener: None for listener in self._listeners.values() if listener.is_backlogged}
        self._turn()

    def _listen_for(self, events: int) -> None:
        for listener in self._listeners.values():
            if listener.is_open:
                self._epoll.modify(listener.socket.fileno(), events)

    def watch_listener(self, listener: Listener) -> None:
        """See `listeners.Host`."""
        self._found_by(listener.socket.fileno(), listener)
        self._epoll.register(listener.socket.fileno(), select.EPOLLIN if self._resume_timer is None else 0)

    def forget_listener(self, listener: Listener) -> None:
        """See `listeners.Host`."""
        self.backlogged.pop(listener, None)
        self.sources[listener.socket.fileno()] = None
        self._epoll.unregister(listener.socket.fileno())

    def _found_by(self, fd: int, source: Pump | Listener | Race) -> None:
        try:
            self.sources[fd] = source
        except IndexError:
            self.sources.extend([None] * (fd + 1 - len(self.sources)))
            self.sources.extend([None] * len(self.sources))
            self.sources[fd] = source

    def _dial_failed(self, attempt: Attempt, session: Session, reason: DialFailure) -> None:
        self._on_dial_failed(
            DialFailed(
                forward=attempt.lane.forward.spec.name,
                tunnel=attempt.lane.tunnel.name,
                target=session.plan.ports.target,
                reason=reason,
            )
        )

    def _first_connect(self, lane: Lane, at: float) -> None:
        lane.awaited = False
        if self._on_first_connect is not None:
            self._on_first_connect(FirstConnect(forward=lane.forward.spec.name, tunnel=lane.tunnel.name, at=at))

    def _outrun(self, session: Session) -> None:
        if self._on_dial_outrun is not None:
            lane = session.attempt.lane
            self._on_dial_outrun(
                DialOutrun(
                    forward=lane.forward.spec.name,
                    tunnel=lane.tunnel.name,
                    target=session.plan.ports.target,
                    since=session.dialled_at,
                )
            )

    def _flush(self, lane: Lane) -> None:
        self._reuse.retire(lane.spares4)
        self._reuse.retire(lane.spares6)
        lane.spares4, lane.spares6 = Spares(), Spares()

    # ------------------------------------------------------------ time

    @property
    def tick(self) -> int:
        """See `holds.Host`."""
        return self._relay.tick

    def check_later(self) -> None:
        """See `holds.Host`."""
        if self._check_timer is None and (self._dialer.dialling or self._holds.held):
            self._check_timer = self._loop.call_later(self._check_seconds, self._check)

    def _check(self) -> None:
        """Look after the dials and the waits: whose time is over, whose client has gone, who needs a second dial."""
        if self._check_timer is not None:
            self._catch_up(self._check_timer)
        self._check_timer = None
        self.begin_batch()
        now = self.now
        self._dialer.expire(now)
        self._holds.check()
        self._watch_clients(now)
        if self._hedges:
            wait = self._dialer.hedging.start(now) - now
            if wait < self._check_seconds:
                self._check_timer = self._loop.call_later(max(wait, _LEAST_CHECK_SECONDS), self._check)
        self.check_later()

    def _catch_up(self, timer: asyncio.TimerHandle) -> None:
        """Serve what came while the loop stood still, if `timer` is so late that it did.

        A loop looks at its timers first; but nobody who was answered, or has spoken, is to be judged by our own delay.
        """
        if self._loop.time() - timer.when() <= _CHECK_SECONDS:
            return
        full = True
        while full:
            events = self._poll(0, _EVENTS_A_POLL)
            self._serve(events)
            full = len(events) == _EVENTS_A_POLL
        self._turn()  # sees to what is left over

    def _watch_clients(self, now: float) -> None:
        """Have epoll say what the clients do whose dial, or wait, takes its time."""
        for session in chain(self._dialer.dialling, self._holds.held):
            if not session.watched and now - session.accepted_at >= _CHECK_SECONDS:
                try:
                    self._epoll.register(session.up.source.fileno(), CLIENT_EVENTS)
                except OSError:  # ENOSPC, max_user_watches of epoll(7): it is tried again, and at last said, at connect
                    return
                session.watched = _QUIET

    def _sweep(self) -> None:
        """Once a second: the clock of the hot path, the samples, and the sessions whose time is over.

        The clock counts the looks, not the seconds: one that comes late must not make everybody quiet for longer.
        """
        self._catch_up(self._sweep_timer)
        self._sweep_timer = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        for name, tunnel in self._ledger.tunnels.items():
            tunnel.fold()
            self._samples[name] = sample.choose(tunnel, self._samples.get(name, ()), self._relay.tick)
        self._relay.tick += 1
        tick = self._relay.tick
        for session, reason in [(s, why) for s in self._ledger.sessions() if (why := overdue(s, tick)) is not None]:
            self.finish(session, reason)


def _spares_fit(lane: Lane) -> bool:
    """Whether sockets that were made for the lane as it was are what its present path and options ask for."""
    old, new = lane.path, lane.tunnel.path
    if old is None or new is None:
        return False
    return same_device(old, new) and old.mss == new.mss and lane.spec is lane.forward.spec
