"""Opening: when the gateway lets its first clients in.

Listeners that open before anything is known turn clients away for want of a look; listeners that wait for a tunnel
that is dead are an outage. So: at once when nothing is UNKNOWN any more; after a second when every forward has a tunnel
that is UP, though a better one may still be silent; and then in any case.
"""

from __future__ import annotations

from typing import Final

from gateway.model import Health
from gateway.policy.state import State

SERVED_WAIT: Final = 1.0
LONGEST_WAIT: Final = 2.5
"""Seconds since the first look at the kernel."""


def may_open(state: State, now: float) -> bool:
    """Whether clients are to be let in at `now`."""
    if state.opening_from is None:
        return False
    if now >= state.opening_from + LONGEST_WAIT:
        return True
    if all(it.health.health is not Health.UNKNOWN for it in state.tunnels.values()):
        return True
    return now >= state.opening_from + SERVED_WAIT and all(
        any(state.tunnels[name].health.health is Health.UP for name in group.tunnels) for group in state.layout.groups
    )


def opening_due(state: State, now: float) -> float | None:
    """The next moment at which time alone lets clients in."""
    if state.is_open or state.opening_from is None:
        return None
    served = state.opening_from + SERVED_WAIT
    return served if now < served else state.opening_from + LONGEST_WAIT
