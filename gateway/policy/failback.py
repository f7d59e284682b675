"""Failback: how long a tunnel that came back is kept waiting before new sessions return to it.

The hold-down starts at `failback_delay`, doubles with each flap (at most ten minutes) and is halved again for every
five minutes in which the tunnel stayed up. It never applies at start, and whether it matters is for `selection` to
say: only while another tunnel is UP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Final

LONGEST_HOLD: Final = 600.0
"""Seconds that doubling stops at. A `failback_delay` beyond that is what its author wants, and is not doubled."""

STABLE_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Damping:
    """Falls that still count against a tunnel, as of `stable_since` (its last recovery).

    `hold_until` is None once the hold-down is over; `free_since` is when it ended, or will.
    """

    falls: int = 0
    stable_since: float = 0.0
    hold_until: float | None = None
    free_since: float = 0.0

    def remaining_falls(self, now: float) -> int:
        """How many falls still count at `now`, if the tunnel has been up since `stable_since`."""
        return max(0, self.falls - int(max(0.0, now - self.stable_since) // STABLE_SECONDS))


def fallen(damping: Damping, now: float) -> Damping:
    """The tunnel left UP at `now`."""
    return Damping(falls=damping.remaining_falls(now) + 1, stable_since=now)


def recovered(damping: Damping, delay: float, now: float) -> Damping:
    """The tunnel came back at `now`: new sessions wait until `hold_until`, if they have somewhere else to go.

    A tunnel that was never UP before has no falls, and no hold.
    """
    falls = min(damping.falls, _most_falls(delay))
    if falls == 0:
        return Damping(stable_since=now, free_since=now)
    until = now + min(_longest(delay), delay * 2.0 ** (falls - 1))
    return Damping(falls=falls, stable_since=now, hold_until=until, free_since=until)


def is_held(damping: Damping, now: float) -> bool:
    """Whether the hold-down is running at `now`."""
    return damping.hold_until is not None and now < damping.hold_until


def released(damping: Damping, now: float) -> Damping:
    """`damping` without a hold-down that is over at `now`."""
    if damping.hold_until is None or is_held(damping, now):
        return damping
    return replace(damping, hold_until=None)


def forgiven(damping: Damping, now: float) -> Damping:
    """`damping` without its hold-down: the operator knows better. What it fell counts on."""
    return replace(damping, hold_until=None, free_since=min(now, damping.free_since))


def _longest(delay: float) -> float:
    return max(LONGEST_HOLD, delay)


def _most_falls(delay: float) -> int:
    """The falls that make the longest hold. More would lengthen nothing, and take five minutes each to be forgiven."""
    return 1 + ceil(log2(_longest(delay) / delay)) if delay > 0 else 0
