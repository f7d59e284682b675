"""A prober in virtual time, as far as evidence goes: what it asks, when, and what comes of it.

It asks every `interval`; what is unanswered after `suspect_after` has it ask every `fast_interval` until something is
answered, or all that haste could tell is known. `lost(sent_at)` says of each probe whether it, or its answer, is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from gateway.model import HealthSettings


@dataclass(frozen=True, slots=True)
class Ended:
    """One probe is over at `at`."""

    at: float
    sent_at: float
    is_answered: bool


def conversation(
    lost: Callable[[float], bool],
    settings: HealthSettings,
    *,
    until: float,
    phase: float = 0.0,
    rtt: float = 0.02,
) -> Iterator[Ended]:
    """All probes that end before `until`, in the order in which they end."""
    regular, fast, alive_at = phase, inf, -inf
    haste_ends = -inf  # minus infinity: there is none, nor was any since the latest answer
    suspecting: list[tuple[float, float]] = []  # when an unanswered probe makes the path suspect, and when it was sent
    ending: list[tuple[float, float, bool]] = []

    def send(now: float) -> None:
        if lost(now):
            heappush(ending, (now + settings.timeout, now, False))
        else:
            heappush(ending, (now + rtt, now, True))
        heappush(suspecting, (now + settings.suspect_after, now))

    while True:
        ends = ending[0][0] if ending else inf
        suspects = suspecting[0][0] if suspecting else inf
        now = min(regular, fast, ends, suspects)
        if now >= until:
            return
        if now == ends:
            at, sent_at, is_answered = heappop(ending)
            if is_answered:
                alive_at, fast, haste_ends = at, inf, -inf
            yield Ended(at, sent_at, is_answered)
        elif now == suspects:
            _, sent_at = heappop(suspecting)
            if sent_at > alive_at and haste_ends == -inf:
                fast, haste_ends = now, sent_at + settings.down_after + settings.timeout
        elif now == fast:
            send(now)
            fast = now + settings.fast_interval if now < haste_ends else inf
        else:
            if fast == inf:  # fast ones stand in
                send(now)
            regular = now + settings.interval
