"""The narrow interface of the data plane: frozen messages in, frozen messages out.

Nothing else crosses this line, so that the engine can live in this process or in several workers: every value here
pickles, no call returns a live object, and the counters of several workers' `Stats` add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.model import (
    CloseReason,
    ConnectResult,
    DialFailure,
    Endpoint,
    HedgeResult,
    HoldResult,
    RoutingTable,
    Vitals,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortTunnel:
    """Reset the sessions of these forwards that ride on `tunnel`, now, for `reason`; no other session is touched."""

    tunnel: str
    forwards: frozenset[str]
    reason: CloseReason = CloseReason.TUNNEL_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed:
    """Reset at most `sessions` sessions of `forward` on `tunnel`, the longest idle first, so that they move back."""

    forward: str
    tunnel: str
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Cumulative-free bucket counts: `counts[i]` fell into (bounds[i-1], bounds[i]], the last beyond all bounds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float  # sum of the observed values, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Everything the data plane counted since it started. Keys are names from the configuration and enums."""

    connections: Mapping[tuple[str, ConnectResult], int] = field(default_factory=dict)  # forward, result
    active: Mapping[tuple[str, str], int] = field(default_factory=dict)  # forward, tunnel
    closed: Mapping[tuple[str, CloseReason], int] = field(default_factory=dict)  # forward, reason
    to_target: Mapping[tuple[str, str], int] = field(default_factory=dict)  # forward, tunnel: bytes
    to_client: Mapping[tuple[str, str], int] = field(default_factory=dict)  # forward, tunnel: bytes
    dial_failures: Mapping[tuple[str, str, DialFailure], int] = field(default_factory=dict)  # forward, tunnel, why
    last_resort: Mapping[str, int] = field(default_factory=dict)  # forward
    connect_seconds: Mapping[str, Histogram] = field(default_factory=dict)  # tunnel
    held: Mapping[str, int] = field(default_factory=dict)  # forward: clients that wait now
    holds: Mapping[tuple[str, HoldResult], int] = field(default_factory=dict)  # forward, what became of the wait
    hedges: Mapping[tuple[str, HedgeResult], int] = field(default_factory=dict)  # forward, what the race came to
    accept_pauses: int = 0  # times that accepting stopped: the limit of sessions, descriptors or memory
    sessions: int = 0  # now: established, being dialled, or waiting for a tunnel


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed:
    """Evidence: one dial through `tunnel` failed for `reason`."""

    forward: str
    tunnel: str
    target: Endpoint
    reason: DialFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOutrun:
    """Evidence: a dial through `tunnel`, unanswered since `since` (monotonic), has lost its race to another tunnel."""

    forward: str
    tunnel: str
    target: Endpoint
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstConnect:
    """The first dial that worked since `DataPlane.await_connect` asked for it. `at` is monotonic."""

    forward: str
    tunnel: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """One finished session, for the session log. Durations in seconds, from accept to end.

    A client that never got an upstream has a `result` other than OK, and a `reason` only if something else than the
    dial ended it: the client itself, or the gateway's own end.
    """

    forward: str
    client: str
    listen: str
    target: str
    tunnel: str | None
    result: ConnectResult
    reason: CloseReason | None
    to_target: int
    to_client: int
    duration: float


class DataPlane(Protocol):
    """What the rest of the gateway may ask of the data plane. Called from the event loop's thread only."""

    @property
    def sessions(self) -> int:
        """How many sessions there are now, established or being dialled; cheap, unlike `stats`."""

    def apply(self, table: RoutingTable) -> None:
        """Make `table` the truth for all later accepts; listeners open and close by difference.

        Dials under way on a tunnel that the table no longer offers go on to the next one at once.
        Raises ListenError when new listen addresses cannot be bound: then nothing was changed.
        """

    def abort(self, order: AbortTunnel) -> int:
        """Reset the sessions named by `order`; how many there were."""

    def shed(self, order: Shed) -> int:
        """Reset the sessions named by `order`; how many there were."""

    def vitals(self, tunnel: str) -> Vitals:
        """What the tunnel's traffic says of it now: bounded work, however many sessions there are."""

    def await_connect(self, forward: str, tunnel: str) -> None:
        """Say the next successful dial of `forward` through `tunnel`, once (`on_first_connect`)."""

    def drain(self) -> None:
        """Close every listener; sessions go on."""

    def stop(self) -> int:
        """Close every listener and reset every session; how many there were. Nothing is left open."""

    def stats(self) -> Stats:
        """An immutable copy of all counters, live sessions' bytes included."""
