"""Selection: which tunnels one forward may try, right now and in which order.

1. Tunnels that are UP, enabled, and have a route to the target, in the forward's order; those in their hold-down last.
2. None of these: the best soft-DOWN tunnel, as a last resort: a wrong verdict must not make an outage.
3. Nothing: the client is refused. An UNKNOWN or hard-DOWN tunnel is never tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gateway.model import NO_CHOICE, AdminState, Cause, Choice, ForwardPolicy, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What selection needs to know of a tunnel. `held`: in its hold-down."""

    health: Health
    cause: Cause | None
    admin: AdminState
    held: bool


def choose(
    order: Sequence[str],
    policy: ForwardPolicy,
    standings: Mapping[str, Standing],
    lost: AbstractSet[str] = frozenset(),
) -> Choice:
    """The choice among the tunnels `order`; `lost` are those without a route to the target."""
    able = [name for name in order if name not in lost and standings[name].admin is AdminState.ENABLED]
    up = [name for name in able if standings[name].health is Health.UP]
    free = [name for name in up if not standings[name].held]
    if free and policy is ForwardPolicy.BALANCE:
        return Choice(tunnels=tuple(free))  # a share of new sessions is what the hold-down withholds
    if up:
        return Choice(tunnels=(*free, *(name for name in up if standings[name].held)))
    for name in able:
        if is_soft_down(standings[name]):
            return Choice(tunnels=(name,), last_resort=True)
    return NO_CHOICE


def is_soft_down(standing: Standing) -> bool:
    """DOWN by a verdict that may be wrong, not by a fact."""
    return standing.health is Health.DOWN and standing.cause is not None and not standing.cause.hard


def why_not(name: str, standing: Standing, lost: AbstractSet[str]) -> str:
    """Why a tunnel is not the chosen one, in words for an operator."""
    if standing.admin is not AdminState.ENABLED:
        return f"{standing.admin.value} by the operator"
    if standing.health is Health.UNKNOWN:
        return "nothing is known of it yet"
    if standing.health is Health.DOWN:
        return f"down: {standing.cause.value if standing.cause else 'unknown cause'}"
    if name in lost:
        return "no route to the target"
    if standing.held:
        return "up again, in its hold-down"
    return "up, standby"
