"""What admin reads of the data plane and of the prober: their statistics, by shape.

admin and the others do not import each other, so the shape is said here again; mypy compares the two where app
joins them. Properties, because frozen values have no settable attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.model import CloseReason, ConnectResult, DialFailure, HedgeResult, HoldResult


class HistogramView(Protocol):
    """Counts of durations in seconds: `counts[i]` fell into (bounds[i-1], bounds[i]], the last beyond all bounds."""

    @property
    def bounds(self) -> tuple[float, ...]:
        """Upper bounds, ascending, one fewer than `counts`."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Not cumulative."""

    @property
    def total(self) -> float:
        """Sum of all observed values."""


class StatsView(Protocol):
    """An immutable copy of the data plane's counters since it started."""

    @property
    def connections(self) -> Mapping[tuple[str, ConnectResult], int]:
        """Accepted clients by (forward, result)."""

    @property
    def active(self) -> Mapping[tuple[str, str], int]:
        """Sessions now, by (forward, tunnel)."""

    @property
    def closed(self) -> Mapping[tuple[str, CloseReason], int]:
        """Ended sessions by (forward, reason)."""

    @property
    def to_target(self) -> Mapping[tuple[str, str], int]:
        """Bytes from clients to the target, by (forward, tunnel)."""

    @property
    def to_client(self) -> Mapping[tuple[str, str], int]:
        """Bytes from the target to clients, by (forward, tunnel)."""

    @property
    def dial_failures(self) -> Mapping[tuple[str, str, DialFailure], int]:
        """Failed dials by (forward, tunnel, reason)."""

    @property
    def last_resort(self) -> Mapping[str, int]:
        """Dials through a soft-DOWN tunnel because none was UP, by forward."""

    @property
    def connect_seconds(self) -> Mapping[str, HistogramView]:
        """How long dials that worked took, by tunnel."""

    @property
    def held(self) -> Mapping[str, int]:
        """Clients that wait for a tunnel now, by forward."""

    @property
    def holds(self) -> Mapping[tuple[str, HoldResult], int]:
        """Clients that waited for a tunnel, by (forward, what became of the wait)."""

    @property
    def hedges(self) -> Mapping[tuple[str, HedgeResult], int]:
        """Second dials raced against a first one, by (forward, what came of it)."""

    @property
    def accept_pauses(self) -> int:
        """Times that accepting paused for want of descriptors or memory."""

    @property
    def sessions(self) -> int:
        """Sessions now, established or being dialled."""


class ProbeStatsView(Protocol):
    """An immutable copy of what the prober counted since it started. A label is a probe's URL as it was written."""

    @property
    def durations(self) -> Mapping[tuple[str, str], HistogramView]:
        """How long probes that were answered took, by (tunnel, label)."""

    @property
    def failures(self) -> Mapping[tuple[str, str], int]:
        """Probes that failed, by (tunnel, label)."""

    @property
    def expiries(self) -> Mapping[tuple[str, str], float]:
        """When the certificate last seen expires, Unix seconds, by (tunnel, label)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingProbed:
    """The statistics of a prober that has not probed."""

    durations: Mapping[tuple[str, str], HistogramView] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], int] = field(default_factory=dict)
    expiries: Mapping[tuple[str, str], float] = field(default_factory=dict)
