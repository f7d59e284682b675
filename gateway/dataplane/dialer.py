"""The dialer: from an accepted client to a connected upstream, or to an RST.

An attempt that fails for a reason of the path (unreachable, timed out, tunnel fallen) is followed by the next one of
the listener's current plan, within the same deadline, and before a byte of the client is read. A refusal is the
target's own answer and goes to the client as RST. A dial that stays unanswered may be raced against another one
(`hedging`), and a client for whom no tunnel is left may wait for one (`holds`).

Nothing ever leaves by the default route: the path is proven first (`proof`), the socket is bound to the proven device
before it is connected, and a failure of either ends the attempt.
"""

from __future__ import annotations

import errno
import select
import socket
from _socket import socket as Socket  # noqa: N812
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from gateway.dataplane.hedging import Hedging, Race
from gateway.dataplane.ledger import Lane, TunnelEntry
from gateway.dataplane.plan import Attempt, Plan, same_device
from gateway.dataplane.proof import PathProof
from gateway.dataplane.proxy_protocol import proxy_header
from gateway.dataplane.reuse import UpstreamReuse
from gateway.dataplane.session import Phase, Pump, Session, Watch
from gateway.dataplane.upstream import FAILED_EVENTS, UNDER_WAY, failure_of, failure_said_by, make_upstream
from gateway.model import CloseReason, DialFailure, Endpoint, HedgeResult, Path, ProxyProtocol

if TYPE_CHECKING:  # a listener knows the engine, as a dialer does; neither needs the other
    from gateway.dataplane.listener import Listener

_TCP: Final = int(socket.IPPROTO_TCP)
_TCP_MAXSEG: Final = int(socket.TCP_MAXSEG)
_FAILED_EVENTS: Final = FAILED_EVENTS
_RELAYING: Final = Phase.RELAYING
_WRITABLE: Final = select.EPOLLOUT
_UNDER_WAY: Final = UNDER_WAY
_NO_HEADER: Final = ProxyProtocol.NONE
_TUNNEL_FELL: Final = frozenset({DialFailure.NOT_PROVEN, DialFailure.TUNNEL_DOWN})


class Host(Protocol):
    """What the dialer needs of the engine."""

    batch: int
    now: float  # monotonic, as of the beginning of the batch
    sources: list[Pump | Listener | Race | None]  # by descriptor: whose event it is

    def adopt_upstream(self, session: Session, upstream: Socket) -> None:
        """Take a new `upstream` as the session's: registered with epoll, found by its descriptor."""

    def adopt_second(self, race: Race, upstream: Socket) -> None:
        """Take a new `upstream` as the race's: registered with epoll, found by its descriptor."""

    def drop_upstream(self, session: Session) -> None:
        """Close the session's upstream, if it has one, and forget it."""

    def current_plan(self, session: Session) -> Plan:
        """What the session's listener offers now."""

    def give_up(self, session: Session, reason: CloseReason | None = None) -> None:
        """No upstream is to be had, or wanted for `reason`: reset the client and forget the session."""

    def hold_or_give_up(self, session: Session) -> None:
        """No tunnel is left to dial through: let the client wait where it may, else give up."""

    def finish(self, session: Session, reason: CloseReason) -> None:
        """End a session that had its upstream."""


class Dialer:
    """Dials for all sessions of one engine. `dialling` holds the sessions under way, oldest dial first."""

    def __init__(
        self,
        *,
        host: Host,
        reuse: UpstreamReuse,
        proof: PathProof,
        on_failure: Callable[[Attempt, Session, DialFailure], None],
        on_awaited: Callable[[Lane, float], None],
        on_outrun: Callable[[Session], None],
    ) -> None:
        self._host = host
        self._sources = host.sources
        self._reuse = reuse
        self._proof = proof
        self._on_failure = on_failure
        self._on_awaited = on_awaited
        self.on_outrun = on_outrun
        self.dialling: dict[Session, None] = {}
        self.hedging = Hedging(dialer=self, host=host)

    def dial(self, session: Session, attempt: Attempt) -> None:
        """Start one attempt. Its end comes as an event on the upstream, from `expire`, or at once."""
        lane = attempt.lane
        tunnel = lane.tunnel
        session.attempt = attempt
        lane.sessions.add(session)
        self.dialling[session] = None
        batch = self._host.batch
        path = attempt.path
        if (path is not tunnel.path and not same_device(path, tunnel.path)) or (
            tunnel.proven_in_batch != batch and not self._prove(tunnel, path, batch)
        ):
            self.failed(session, DialFailure.NOT_PROVEN)
            return
        session.dial_batch = batch
        spares = attempt.spares.sockets
        try:
            if spares:  # registered already, and its descriptor has its place
                upstream = spares.pop()
                self._reuse.kept -= 1
                if attempt.path.mss is not None:  # the one option that went with the old connection
                    upstream.setsockopt(_TCP, _TCP_MAXSEG, attempt.path.mss)
                code = upstream.connect_ex(attempt.address)
                session.down.source = upstream
                self._sources[upstream.fileno()] = session.down
            else:
                upstream = make_upstream(attempt)
                code = upstream.connect_ex(attempt.address)
                self._host.adopt_upstream(session, upstream)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in _UNDER_WAY:
            self.failed(session, failure_of(code))

    def on_upstream(self, session: Session, events: int) -> bool:
        """An event on the upstream of a session that is being dialled: whether it is connected now."""
        if events & _FAILED_EVENTS:
            self.failed(session, failure_said_by(session.down.source))
            return False
        if not events & _WRITABLE:
            return False
        del self.dialling[session]
        if session.race is not None:
            self.hedging.settle(session)
        lane = session.attempt.lane
        now = lane.connected_at = self._host.now
        lane.tunnel.dial_times.append(now - session.dialled_at)
        if lane.awaited:
            self._on_awaited(lane, now)
        session.phase = _RELAYING
        return session.plan.spec.proxy_protocol is _NO_HEADER or self._send_header(session)

    def failed(self, session: Session, reason: DialFailure) -> None:
        """The attempt under way failed: count it, go on to the next, or give up."""
        attempt = session.attempt
        self.count_failure(attempt, session, reason)
        if session.race is not None and self.hedging.goes_on(session, reason):
            return
        self._release(session)
        following = self._following(session, reason)
        if following is None:
            if self._tunnel_fell(session, reason):
                self._host.hold_or_give_up(session)
            else:
                self._host.give_up(session)
            return
        session.tried = (*session.tried, attempt)
        # The next attempt belongs to this batch, whose events are not trusted: so assume what they might have said.
        session.up.read_on = True
        if session.watched:
            session.watched = Watch.SPOKE
        session.dialled_at = monotonic()
        self.dial(session, following)

    def count_failure(self, attempt: Attempt, session: Session, reason: DialFailure) -> None:
        """An attempt for `session` failed: count it in its lane, and say so."""
        attempt.lane.failures[reason] += 1
        self._on_failure(attempt, session, reason)

    def abandon(self, session: Session) -> None:
        """Stop dialling for a session that is over."""
        self._release(session)

    def expire(self, now: float) -> None:
        """Fail the attempts whose share of the time is used up: what remains ÷ the attempts that remain."""
        for session in list(self.dialling):
            if now - session.dialled_at < session.plan.share and not session.tried:
                continue  # no need to work out its deadline: five thousand may be dialling
            if session in self.dialling and now >= self.deadline(session, session.dialled_at):
                self.failed(session, DialFailure.TIMED_OUT)
        self.hedging.expire(now)

    def withdraw(self) -> None:
        """Fail the attempts that the present table no longer offers: their tunnel has fallen, or has a new device."""
        self.hedging.withdraw()
        for session in list(self.dialling):
            if session in self.dialling and not self.is_offered(session, session.attempt):
                self.failed(session, DialFailure.TUNNEL_DOWN)

    # ------------------------------------------------------------ for either dial of a race

    def deadline(self, session: Session, dialled_at: float) -> float:
        """When the dial that `session` began at `dialled_at` has used up its share of the time."""
        total = session.begun_at + session.attempt.lane.forward.spec.connect_timeout
        race = session.race
        done = (*session.tried, session.attempt) if race is None else (*session.tried, session.attempt, race.attempt)
        left = 1 + sum(attempt not in done for attempt in self._host.current_plan(session).attempts())
        return dialled_at + max(0.0, total - dialled_at) / left

    def is_offered(self, session: Session, attempt: Attempt) -> bool:
        """Whether what is dialled is still to be dialled; a plan from before the table may offer a dead path."""
        is_path = same_device(attempt.path, attempt.lane.tunnel.path)
        return is_path and attempt in self._host.current_plan(session).attempts()

    def is_proven(self, attempt: Attempt) -> bool:
        """Whether a socket bound to the path of `attempt` leaves through its tunnel, as of this batch."""
        tunnel, path, batch = attempt.lane.tunnel, attempt.path, self._host.batch
        return same_device(path, tunnel.path) and (tunnel.proven_in_batch == batch or self._prove(tunnel, path, batch))

    # ------------------------------------------------------------ parts

    def _prove(self, tunnel: TunnelEntry, path: Path, batch: int) -> bool:
        if self._proof.refusal(path) is not None:
            return False
        tunnel.proven_in_batch = batch
        return True

    def _release(self, session: Session) -> None:
        """Undo what `dial` did: no upstream, no lane, not dialling, and no race."""
        if session.race is not None:
            self.hedging.settle(session, HedgeResult.FAILED)
        self._host.drop_upstream(session)
        session.attempt.lane.sessions.discard(session)
        self.dialling.pop(session, None)

    def _following(self, session: Session, reason: DialFailure) -> Attempt | None:
        """The attempt to make after the present one failed for `reason`."""
        if reason is DialFailure.RESET:  # the target answered and hung up
            return None
        if monotonic() >= session.begun_at + session.attempt.lane.forward.spec.connect_timeout:
            return None
        failed = session.attempt
        done = (*session.tried, failed)
        for attempt in self._host.current_plan(session).attempts():
            if attempt in done:
                continue
            if reason is DialFailure.REFUSED and attempt.lane is not failed.lane:
                continue  # another tunnel leads to the same target, and that has answered
            return attempt
        return None

    def _tunnel_fell(self, session: Session, reason: DialFailure) -> bool:
        """Whether the last attempt failed because its tunnel is not what it was, so that waiting may help.

        Unreachable is that if the kernel said so at once (no route), or has lost the device meanwhile; else it is what
        a router beyond the tunnel has to say.
        """
        if reason is not DialFailure.UNREACHABLE:
            return reason in _TUNNEL_FELL
        at_once = session.dial_batch == self._host.batch
        return at_once or self._proof.refusal(session.attempt.path) is not None

    def _send_header(self, session: Session) -> bool:
        """Send the PROXY header, first of all bytes; a fresh socket's buffer takes it whole or the session is over."""
        version = session.attempt.lane.forward.spec.proxy_protocol
        client = session.up.source
        try:
            header = proxy_header(version, Endpoint(*client.getpeername()[:2]), Endpoint(*client.getsockname()[:2]))
        except OSError:  # ENOTCONN: it has reset
            self._host.finish(session, CloseReason.CLIENT_RESET)
            return False
        try:
            whole = session.down.source.send(header) == len(header)
        except OSError:  # the target has
            self._host.finish(session, CloseReason.TARGET_RESET)
            return False
        if not whole:
            self._host.finish(session, CloseReason.ERROR)
        return whole
