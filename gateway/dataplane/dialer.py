"""The dialer: from an accepted client to a connected upstream, or to an RST.

An attempt that fails for a reason of the path (unreachable, timed out, tunnel fallen) is followed by the next one of
the listener's current plan, within the same deadline, and before a byte of the client is read. A refusal is the
target's own answer and goes to the client as RST.

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

from gateway.dataplane import sockopt
from gateway.dataplane.ledger import Lane, TunnelEntry
from gateway.dataplane.plan import Attempt, Plan, same_device
from gateway.dataplane.proof import PathProof
from gateway.dataplane.proxy_protocol import proxy_header
from gateway.dataplane.reuse import UpstreamReuse
from gateway.dataplane.session import Phase, Pump, Session, Watch
from gateway.model import CloseReason, DialFailure, Endpoint, Path, ProxyProtocol

if TYPE_CHECKING:  # a listener knows the engine, as a dialer does; neither needs the other
    from gateway.dataplane.listener import Listener

_NONBLOCKING_STREAM: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_TCP: Final = int(socket.IPPROTO_TCP)
_TCP_MAXSEG: Final = int(socket.TCP_MAXSEG)
_FAILED_EVENTS: Final = select.EPOLLERR | select.EPOLLHUP
_RELAYING: Final = Phase.RELAYING
_WRITABLE: Final = select.EPOLLOUT
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})
_NO_HEADER: Final = ProxyProtocol.NONE


class Host(Protocol):
    """What the dialer needs of the engine."""

    batch: int
    now: float  # monotonic, as of the beginning of the batch
    sources: list[Pump | Listener | None]  # by descriptor: whose event it is

    def adopt_upstream(self, session: Session, upstream: Socket) -> None:
        """Take a new `upstream` as the session's: registered with epoll, found by its descriptor."""

    def drop_upstream(self, session: Session) -> None:
        """Close the session's upstream, if it has one, and forget it."""

    def current_plan(self, session: Session) -> Plan:
        """What the session's listener offers now."""

    def give_up(self, session: Session, reason: CloseReason | None = None) -> None:
        """No upstream is to be had, or wanted for `reason`: reset the client and forget the session."""

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
    ) -> None:
        self._host = host
        self._sources = host.sources
        self._reuse = reuse
        self._proof = proof
        self._on_failure = on_failure
        self._on_awaited = on_awaited
        self.dialling: dict[Session, None] = {}

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
                upstream = self._make(attempt)
                code = upstream.connect_ex(attempt.address)
                self._host.adopt_upstream(session, upstream)
        except OSError as error:
            code = error.errno or errno.EIO
        if code not in _UNDER_WAY:
            self.failed(session, _reason(code))

    def on_upstream(self, session: Session, events: int) -> bool:
        """An event on the upstream of a session that is being dialled: whether it is connected now."""
        if events & _FAILED_EVENTS:
            code = session.down.source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self.failed(session, _reason(code))
            return False
        if not events & _WRITABLE:
            return False
        del self.dialling[session]
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
        attempt.lane.failures[reason] += 1
        self._on_failure(attempt, session, reason)
        self._release(session)
        following = self._following(session, reason)
        if following is None:
            self._host.give_up(session)
            return
        session.tried = (*session.tried, attempt)
        # The next attempt belongs to this batch, whose events are not trusted: so assume what they might have said.
        session.up.read_on = True
        if session.watched:
            session.watched = Watch.SPOKE
        session.dialled_at = monotonic()
        self.dial(session, following)

    def abandon(self, session: Session) -> None:
        """Stop dialling for a session that is over."""
        self._release(session)

    def expire(self, now: float) -> None:
        """Fail the attempts whose share of the time is used up: what remains ÷ the attempts that remain."""
        for session in list(self.dialling):
            if now - session.dialled_at < session.plan.share and not session.tried:
                continue  # no need to work out its deadline: five thousand may be dialling
            if session in self.dialling and now >= self._deadline(session):
                self.failed(session, DialFailure.TIMED_OUT)

    def withdraw(self) -> None:
        """Fail the attempts that the present table no longer offers: their tunnel has fallen, or has a new device."""
        for session in list(self.dialling):
            if session in self.dialling and not self._offered(session):
                self.failed(session, DialFailure.TUNNEL_DOWN)

    # ------------------------------------------------------------ parts

    def _offered(self, session: Session) -> bool:
        """Whether what `session` dials is still to be dialled; a plan from before the table may offer a dead path."""
        attempt = session.attempt
        is_path = same_device(attempt.path, attempt.lane.tunnel.path)
        return is_path and attempt in self._host.current_plan(session).attempts()

    def _prove(self, tunnel: TunnelEntry, path: Path, batch: int) -> bool:
        if self._proof.refusal(path) is not None:
            return False
        tunnel.proven_in_batch = batch
        return True

    @staticmethod
    def _make(attempt: Attempt) -> Socket:
        upstream = Socket(attempt.family, _NONBLOCKING_STREAM, 0)
        try:
            sockopt.prepare_upstream(upstream, attempt.path, attempt.lane.forward.spec)
        except OSError:
            upstream.close()
            raise
        return upstream

    def _release(self, session: Session) -> None:
        """Undo what `dial` did: no upstream, no lane, not dialling."""
        self._host.drop_upstream(session)
        session.attempt.lane.sessions.discard(session)
        self.dialling.pop(session, None)

    def _following(self, session: Session, reason: DialFailure) -> Attempt | None:
        """The attempt to make after the present one failed for `reason`."""
        if reason is DialFailure.RESET:  # the target answered and hung up
            return None
        if monotonic() >= session.accepted_at + session.attempt.lane.forward.spec.connect_timeout:
            return None
        failed = session.attempt
        done = (*session.tried, failed)
        for attempt in self._host.current_plan(session).attempts():
            if attempt in done:
                continue
            if reason is DialFailure.REFUSED and attempt.lane is not failed.lane:
                return None  # another tunnel leads to the same target, and that has answered
            return attempt
        return None

    def _deadline(self, session: Session) -> float:
        total = session.accepted_at + session.attempt.lane.forward.spec.connect_timeout
        done = (*session.tried, session.attempt)
        left = 1 + sum(attempt not in done for attempt in self._host.current_plan(session).attempts())
        return session.dialled_at + max(0.0, total - session.dialled_at) / left

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


def _reason(code: int) -> DialFailure:
    """What an errno of connect(2) says about the attempt."""
    if code == errno.ECONNREFUSED:
        return DialFailure.REFUSED
    if code == errno.ETIMEDOUT:
        return DialFailure.TIMED_OUT
    if code == errno.ECONNRESET:
        return DialFailure.RESET
    if code in sockopt.LOCAL_TROUBLE:
        return DialFailure.LOCAL
    return DialFailure.UNREACHABLE
