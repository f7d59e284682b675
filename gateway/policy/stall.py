"""Stall: a device that sends and sends and receives nothing, for a while.

It needs no probe, so it is what is left where there are none. Reading after reading the transmitted packets must have
risen and the received ones must not: a device that is merely idle, or speaks to itself now and then, is never stalled.
Once it is, sessions leave it, and soon nothing is sent any more; then nothing speaks against it any more either, and
it is given another chance, which damping makes rarer each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_FEWEST: Final = 5
"""Packets that must have gone out unanswered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The last reading of a device, and since when it only sends. `sent`: packets since then."""

    at: float
    transmitted: int
    received: int
    since: float | None = None
    sent: int = 0


def count(before: Counters | None, at: float, transmitted: int, received: int) -> Counters:
    """A new reading. Counters that fall are another device's: it starts over."""
    now = Counters(at=at, transmitted=transmitted, received=received)
    if before is None or transmitted <= before.transmitted or received != before.received:
        return now
    return Counters(
        at=at,
        transmitted=transmitted,
        received=received,
        since=before.at if before.since is None else before.since,
        sent=before.sent + transmitted - before.transmitted,
    )


def is_doubtful(counters: Counters | None, alive_at: float | None) -> bool:
    """Whether the device only sends, and nothing else says that its path lives."""
    return (
        counters is not None
        and counters.since is not None
        and counters.sent >= _FEWEST
        and (alive_at is None or alive_at < counters.since)
    )


def is_stalled(counters: Counters | None, alive_at: float | None, stall_after: float) -> bool:
    """Whether it has been so for `stall_after` seconds."""
    return (
        is_doubtful(counters, alive_at)
        and counters is not None
        and counters.since is not None
        and counters.at - counters.since >= stall_after
    )
