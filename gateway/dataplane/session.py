"""What a session is: two sockets, two pumps, and where it stands.

    client ──up──▶ upstream       `session.up.source` is the client, `session.up.twin.source` the upstream
    client ◀─down── upstream

          accept          upstream connected          both ends of file, or any error
    ────▶ DIALLING ────────▶ RELAYING ────────────────────▶ ENDED
              └── no tunnel, refused, timed out, client reset ──▶ ENDED

A pump holds all that one direction needs. It is found by the descriptor of its source, so "this socket is readable" is
about one pump and "this socket is writable" about its twin. Half-closed is `up.ended` or `down.ended` alone.
"""

from __future__ import annotations

from _socket import socket as Socket  # noqa: N812
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # these know sessions; a session only carries them
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


_DIALLING: Final = Phase.DIALLING


class Pump:
    """One direction of a session: from `source` to `twin.source`, the sink.

    carry       bytes read but not taken by the sink yet (while copying), else None
    pipe        the borrowed pipe (while bytes are in it), else None
    full_reads  how many reads filled the whole buffer: enough of them make the flow bulk
    moved       bytes that the sink took
    hung_up     the kernel said that the source's peer sent FIN: a short read does not mean drained any more
    ended       end of file was read and passed on
    ready       (while dialling) the source may have something to read
    """

    __slots__ = ("carry", "ended", "full_reads", "hung_up", "moved", "pipe", "ready", "session", "source", "twin")

    twin: Pump

    def __init__(self, session: Session, source: Socket) -> None:
        self.session = session
        self.source = source
        self.carry: bytes | None = None
        self.pipe: Pipe | None = None
        self.full_reads = 0
        self.moved = 0
        self.hung_up = False
        self.ended = False
        self.ready = False


class Session:
    """A client and its upstream. Owns both sockets; the engine ends it, exactly once.

    plan         what its listener offered when it was accepted
    attempt      what is being, or was, dialled
    tried        the attempts that failed before
    accepted_at, dialled_at     moments, monotonic seconds
    dial_batch   the batch of events in which connect() was called: events of the upstream in it are stale
    last_active  the engine's tick (whole seconds) when bytes last moved
    watched      whether the client is registered with epoll: not in the first moments of a dial (see `engine.admit`)
    client       (address, port) of the client, kept only when a log line or a header will need it
    """

    attempt: Attempt
    dial_batch: int

    __slots__ = (
        "accepted_at",
        "attempt",
        "client",
        "dial_batch",
        "dialled_at",
        "down",
        "last_active",
        "phase",
        "plan",
        "tried",
        "up",
        "watched",
    )

    def __init__(self, plan: Plan, source: Socket, client: tuple[str, int] | None, now: float, tick: int) -> None:
        """Takes ownership of `source`, the accepted socket."""
        self.up = up = Pump(self, source)
        self.down = down = Pump(self, UNCONNECTED)
        up.twin = down
        down.twin = up
        self.plan = plan
        self.client = client
        self.accepted_at = now
        self.dialled_at = now
        self.last_active = tick
        self.phase = _DIALLING
        self.watched = False
        self.tried: tuple[Attempt, ...] = ()

    def dissolve(self) -> None:
        """Cut the references that its parts hold to one another: the memory goes at once, not at a collection."""
        up, down = self.up, self.down
        del self.up, self.down, up.twin, down.twin
