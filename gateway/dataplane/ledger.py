"""The ledger: which session rides on which tunnel, and everything that is counted.

forward × tunnel = a **lane**. A session belongs to one lane from its dial to its end, so that a tunnel that falls takes
exactly its own sessions with it, and a live byte is counted where it flows. One that waits for a tunnel belongs to its
forward alone. Counters are plain integers: they are added up when somebody asks (`snapshot`), never on the hot path.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.dataplane.allow import AllowList
from gateway.dataplane.messages import Histogram, Stats
from gateway.dataplane.reuse import Spares
from gateway.dataplane.session import Phase, Session
from gateway.model import CloseReason, ConnectResult, DialFailure, ForwardSpec, HedgeResult, HoldResult, Path

if TYPE_CHECKING:  # a race knows its lane; a lane only carries it
    from gateway.dataplane.hedging import Race

_CONNECT_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BUCKET: Final = partial(bisect_left, _CONNECT_BOUNDS)


class TunnelEntry:
    """One tunnel: its path (None: not to be dialled now), when that was last proven, and how long dials took.

    `lanes` are those of all forwards through it. `dial_times` are the latest, in seconds; `fold` adds them up, at least
    once a second.
    """

    __slots__ = ("connect_counts", "connect_seconds", "dial_times", "lanes", "name", "path", "proven_in_batch")

    def __init__(self, name: str) -> None:
        self.name = name
        self.path: Path | None = None
        self.proven_in_batch = -1
        self.lanes: list[Lane] = []
        self.dial_times: list[float] = []
        self.connect_counts: Counter[int] = Counter()  # by the index of the bucket
        self.connect_seconds = 0.0

    def fold(self) -> None:
        """Add the latest dial times up. All of it runs in C: it is nothing to the dials themselves."""
        if self.dial_times:
            self.connect_counts.update(map(_BUCKET, self.dial_times))
            self.connect_seconds += sum(self.dial_times)
            self.dial_times.clear()

    def histogram(self) -> Histogram:
        """How long dials took."""
        self.fold()
        counts = tuple(self.connect_counts[bucket] for bucket in range(len(_CONNECT_BOUNDS) + 1))
        return Histogram(bounds=_CONNECT_BOUNDS, counts=counts, total=self.connect_seconds)


class ForwardEntry:
    """One forward: its specification, its sessions' number (`held` of them wait), what became of clients.

    `results` leaves ConnectResult.OK out: those are the sessions that are established or `closed`.
    """

    __slots__ = ("active", "allowed", "closed", "hedges", "held", "holds", "last_resort", "limit", "results", "spec")

    def __init__(self, spec: ForwardSpec) -> None:
        self.active = 0
        self.held = 0
        self.holds: Counter[HoldResult] = Counter()
        self.hedges: Counter[HedgeResult] = Counter()
        self.results: Counter[ConnectResult] = Counter()
        self.closed: Counter[CloseReason] = Counter()
        self.last_resort = 0
        self.specify(spec)

    def specify(self, spec: ForwardSpec) -> None:
        """Take a new specification; counters go on."""
        self.spec = spec
        self.limit = spec.max_connections
        self.allowed = AllowList(spec.allow) if spec.allow else None  # None: everybody may come


class Lane:
    """One forward through one tunnel. `spares4` and `spares6` are disconnected upstreams (see `reuse`).

    `path` and `spec` are what the spares were made for: their device, and their options. `connected_at` is when a dial
    last worked (monotonic; 0.0: none did); `awaited`: somebody wants to know of the next one. `races` are those whose
    second dial is under way through it: their sessions are in the lane of the first.
    """

    __slots__ = (
        "awaited",
        "connected_at",
        "failures",
        "forward",
        "path",
        "races",
        "sessions",
        "spares4",
        "spares6",
        "spec",
        "to_client",
        "to_target",
        "tunnel",
    )

    def __init__(self, forward: ForwardEntry, tunnel: TunnelEntry) -> None:
        self.forward = forward
        self.tunnel = tunnel
        self.path = tunnel.path
        self.spec = forward.spec
        self.sessions: set[Session] = set()
        self.races: set[Race] = set()
        self.spares4 = Spares()
        self.spares6 = Spares()
        self.connected_at = 0.0
        self.awaited = False
        self.to_target = 0  # bytes of finished sessions
        self.to_client = 0
        self.failures: Counter[DialFailure] = Counter()


class Ledger:
    """All forwards, tunnels and lanes that were ever seen. Entries stay: counters must not fall."""

    __slots__ = ("_lanes", "forwards", "tunnels")

    def __init__(self) -> None:
        self.forwards: dict[str, ForwardEntry] = {}
        self.tunnels: dict[str, TunnelEntry] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}

    def forward(self, spec: ForwardSpec) -> ForwardEntry:
        """The entry of a forward, made or brought up to date."""
        entry = self.forwards.get(spec.name)
        if entry is None:
            entry = self.forwards[spec.name] = ForwardEntry(spec)
        elif entry.spec is not spec:
            entry.specify(spec)
        return entry

    def tunnel(self, name: str) -> TunnelEntry:
        """The entry of a tunnel, made when first seen."""
        entry = self.tunnels.get(name)
        if entry is None:
            entry = self.tunnels[name] = TunnelEntry(name)
        return entry

    def lane(self, forward: ForwardEntry, tunnel: TunnelEntry) -> Lane:
        """The lane of a forward through a tunnel, made when first needed."""
        key = (forward.spec.name, tunnel.name)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(forward, tunnel)
            tunnel.lanes.append(lane)
        return lane

    def lanes(self) -> Iterable[Lane]:
        """Every lane."""
        return self._lanes.values()

    def lanes_of(self, tunnel: str, forwards: Iterable[str]) -> list[Lane]:
        """The lanes of `forwards` through `tunnel`."""
        return [lane for name in forwards if (lane := self._lanes.get((name, tunnel))) is not None]

    def sessions(self) -> Iterator[Session]:
        """Every session in a lane: established or being dialled. Do not end one while iterating."""
        for lane in self._lanes.values():
            yield from lane.sessions

    def snapshot(self, *, accept_pauses: int) -> Stats:
        """Everything counted so far, the bytes of live sessions included. Only what is not zero has a key."""
        to_target: dict[tuple[str, str], int] = {}
        to_client: dict[tuple[str, str], int] = {}
        active: dict[tuple[str, str], int] = {}
        failures: dict[tuple[str, str, DialFailure], int] = {}
        sessions = sum(forward.held for forward in self.forwards.values())
        ok = Counter({name: forward.closed.total() for name, forward in self.forwards.items()})
        for key, lane in self._lanes.items():
            sessions += (alive := len(lane.sessions))
            active[key] = alive
            ok[key[0]] += sum(session.phase is Phase.RELAYING for session in lane.sessions)
            to_target[key] = lane.to_target + sum(session.up.moved for session in lane.sessions)
            to_client[key] = lane.to_client + sum(session.down.moved for session in lane.sessions)
            failures |= {(*key, why): count for why, count in lane.failures.items()}
        return Stats(
            connections={(name, ConnectResult.OK): count for name, count in ok.items() if count}
            | {
                (name, result): count
                for name, forward in self.forwards.items()
                for result, count in forward.results.items()
                if count
            },
            active=active,
            closed={
                (name, reason): count
                for name, forward in self.forwards.items()
                for reason, count in forward.closed.items()
                if count
            },
            to_target={key: count for key, count in to_target.items() if count},
            to_client={key: count for key, count in to_client.items() if count},
            dial_failures=failures,
            last_resort={name: entry.last_resort for name, entry in self.forwards.items() if entry.last_resort},
            connect_seconds={
                name: histogram for name, entry in self.tunnels.items() if any((histogram := entry.histogram()).counts)
            },
            held={name: entry.held for name, entry in self.forwards.items() if entry.held},
            holds={
                (name, result): count for name, entry in self.forwards.items() for result, count in entry.holds.items()
            },
            hedges={
                (name, result): count for name, entry in self.forwards.items() for result, count in entry.hedges.items()
            },
            accept_pauses=accept_pauses,
            sessions=sessions,
        )
