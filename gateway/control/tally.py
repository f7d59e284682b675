"""What probes came to, added up for whoever draws it. Counters never fall: an entry stays when its probe is gone."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from gateway.control.probes.answer import Answer
from gateway.model import Durations, ProbeOutcome

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: those of the data plane's connect histogram, so that the two can be laid over one another."""

Key = tuple[str, str]
"""Tunnel and label of the probe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberStats:
    """All probes since the start, by tunnel and label.

    `durations` are of those that were answered. `failures` are those that did not get what they asked for: nothing, or
    another answer; trouble of our own is not among them. `expiries`: when the certificate that was shown last expires,
    Unix time.
    """

    durations: Mapping[Key, Durations] = field(default_factory=dict)
    failures: Mapping[Key, int] = field(default_factory=dict)
    expiries: Mapping[Key, float] = field(default_factory=dict)


class Tally:
    """Adds up answers."""

    def __init__(self) -> None:
        self._counts: dict[Key, list[int]] = {}
        self._seconds: dict[Key, float] = defaultdict(float)
        self._failures: Counter[Key] = Counter()
        self._expiries: dict[Key, float] = {}

    def add(self, tunnel: str, label: str, answer: Answer) -> None:
        """Count one."""
        key = (tunnel, label)
        if answer.outcome in {ProbeOutcome.PASSED, ProbeOutcome.ANSWERED}:
            took = answer.at - answer.sent_at
            self._counts.setdefault(key, [0] * (len(BOUNDS) + 1))[bisect_left(BOUNDS, took)] += 1
            self._seconds[key] += took
        if answer.outcome in {ProbeOutcome.FAILED, ProbeOutcome.ANSWERED}:
            self._failures[key] += 1
        if answer.expiry_at_unix is not None:
            self._expiries[key] = answer.expiry_at_unix

    def stats(self) -> ProberStats:
        """An immutable copy."""
        durations = {
            key: Durations(bounds=BOUNDS, counts=tuple(counts), total=self._seconds[key])
            for key, counts in self._counts.items()
        }
        return ProberStats(
            durations=MappingProxyType(durations),
            failures=MappingProxyType(dict(self._failures)),
            expiries=MappingProxyType(dict(self._expiries)),
        )
