"""What a session is: two sockets, two pumps, and where it stands.

    client ──up──▶ upstream       `session.up.source` is the client, `session.up.twin.source` the upstream
    client ◀─down── upstream

          accept          upstream connected          both ends of file, or any error
    ────▶ DIALLING ────────▶ RELAYING ────────────────────▶ ENDED
      │    ▲    ├── no tunnel, refused, timed out, client reset ──▶ ENDED
      │    │    ▼ the tunnel fell
      └──▶ HELD ── no tunnel came, client reset ──▶ ENDED

A pump holds all that one direction needs. It is found by the descriptor of its source, so "this socket is readable" is
about one pump and "this socket is writable" about its twin. Half-closed is `up.ended` or `down.ended` alone.
A session is HELD only where its forward lets clients wait for a tunnel (`holds`).
"""

from __future__ import annotations

from _socket import socket as Socket  # noqa: N812
from enum import IntEnum
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:  # these know sessions; a session only carries them
    from gateway.dataplane.hedging import Race
    from gateway.dataplane.pipes import Pipe
    from gateway.dataplane.plan import Attempt, Plan


UNCONNECTED: Final = Socket()
"""Stands for the upstream while there is none: never used, so that the relay need not ask whether there is one."""
UNCONNECTED.close()


class Phase(IntEnum):
    """Where a session stands."""

    DIALLING = 0
    RELAYING = 1
    ENDED = 2
    HELD = 3


class Watch(IntEnum):
    """What epoll says of a client before its upstream is there."""

    NOT_YET = 0  # it is not registered: the dial, or the wait for a tunnel, has only just begun
    QUIET = 1
    SPOKE = 2  # there is, or may be, something to read


_NOT_WATCHED: Final = Watch.NOT_YET
_DIALLING: Final = Phase.DIALLING
_ENDED: Final = Phase.ENDED
_MOST_IDLE: Final = 1024


@final  # so that "not a pump" is known to be a listener where events are told apart
class Pump:
    """One direction of a session: from `source` to `twin.source`, the sink. Made by `Sessions`.

    held        what was read but not taken by the sink yet: bytes (while copying) or a borrowed pipe; None: nothing
    full_reads  how many reads filled the whole buffer: enough of them make the flow bulk
    small_reads how many did not, since they were last looked at; below zero: its source rests (`rests`)
    row         when they were looked at, what it had moved then, and what its twin had
    moved       bytes that the sink took
    read_on     FIN or urgent data came: a short read does not mean drained any more, only EAGAIN does
    ended       end of file was read and passed on
    """

    __slots__ = (
        "ended",
        "full_reads",
        "held",
        "moved",
        "read_on",
        "row",
        "session",
        "small_reads",
        "source",
        "twin",
    )

    session: Session
    source: Socket
    twin: Pump
    held: bytes | Pipe | None
    full_reads: int
    small_reads: int
    row: tuple[float, int, int]
    moved: int
    read_on: bool
    ended: bool


class Session:
    """A client and its upstream. Owns both sockets; the engine ends it, exactly once. Made by `Sessions`.

    plan         what its listener offered when it was accepted, or when its wait for a tunnel ended
    attempt      what is being, or was, dialled
    tried        the attempts that failed before
    race         the second dial that is, or was, raced against `attempt` (see `hedging`)
    accepted_at, begun_at, dialled_at     moments, monotonic seconds: of the accept, of the beginning of all dials
                 (another one only after a wait), of the dial of `attempt`
    dial_batch   the batch of events in which connect() was called: the session's events in it are stale
    last_active  the engine's tick (its looks, one a second) when bytes last moved
    watched      whether the client is registered with epoll before the upstream is there (see `engine.admit`)
    client       (address, port) of the client, kept only when a log line will need it
    """

    __slots__ = (
        "accepted_at",
        "attempt",
        "begun_at",
        "client",
        "dial_batch",
        "dialled_at",
        "down",
        "last_active",
        "phase",
        "plan",
        "race",
        "tried",
        "up",
        "watched",
    )

    up: Pump
    down: Pump
    plan: Plan
    attempt: Attempt
    tried: tuple[Attempt, ...]
    race: Race | None
    accepted_at: float
    begun_at: float
    dialled_at: float
    dial_batch: int
    last_active: int
    phase: Phase
    watched: Watch
    client: tuple[str, int] | None


class Sessions:
    """Makes sessions, out of those that are over while there are some: three objects and thirty stores saved on each.

    A session that was put away is as new but for `plan`, `attempt` and the moments, which `take` and the dialer set;
    its race is over before it is. What its pumps have counted of small reads stays: it decides on a rest at most.
    Whoever still holds one of its pumps (`relay.unfinished` may) pumps once for the session that took it over, which
    does no harm.
    """

    __slots__ = ("_idle",)

    def __init__(self) -> None:
        self._idle: list[Session] = []

    def take(self, plan: Plan, source: Socket, client: tuple[str, int] | None, now: float, tick: int) -> Session:
        """A session that is to be dialled. It owns `source`, the accepted socket."""
        session = self._idle.pop() if self._idle else _new()
        session.up.source = source
        session.plan = plan
        session.client = client
        session.accepted_at = session.begun_at = session.dialled_at = now
        session.last_active = tick
        session.phase = _DIALLING
        return session

    def put_away(self, session: Session) -> None:
        """`session` is over: its sockets are not its own any more, and it holds nothing."""
        session.phase = _ENDED
        up, down = session.up, session.down
        up.source = down.source = UNCONNECTED
        up.full_reads = up.moved = down.full_reads = down.moved = 0
        up.read_on = up.ended = down.read_on = down.ended = False
        session.watched = _NOT_WATCHED
        session.tried = ()
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(session)


def _new() -> Session:
    """A session as `Sessions.put_away` leaves it."""
    session, up, down = Session(), Pump(), Pump()
    session.up, session.down = up, down
    session.watched = _NOT_WATCHED
    session.tried = ()
    session.race = None
    up.session = down.session = session
    up.twin, down.twin = down, up
    up.source = down.source = UNCONNECTED
    up.held = down.held = None
    up.full_reads = up.small_reads = up.moved = down.full_reads = down.small_reads = down.moved = 0
    up.row = down.row = 0.0, 0, 0
    up.read_on = up.ended = down.read_on = down.ended = False
    return session
