"""Selection: which tunnels one forward may try, right now and in which order.

1. Tunnels that are UP, enabled, have a route to the target, and behind which it answers, in the forward's order; those
   that are poorer than the operator allows, and those in their hold-down, come after the others.
2. None of these: the tunnels that are UP although the target does not answer behind them, as a last resort.
3. None of these: the best soft-DOWN tunnel, as a last resort: a wrong verdict must not make an outage. Not for a
   forward that is patient: its clients wait, or are refused.
4. Nothing. An UNKNOWN or hard-DOWN tunnel is never tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

from gateway.model import NO_CHOICE, AdminState, Cause, Choice, ForwardPolicy, Health

_NOBODY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What selection needs to know of a tunnel. `held`: in its hold-down; `drilled`: taken out on purpose.

    `poor`: beyond the operator's latency or loss.
    """

    health: Health
    cause: Cause | None
    admin: AdminState
    held: bool
    drilled: bool = False
    poor: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether the operator lets new sessions in."""
        return self.admin is AdminState.ENABLED and not self.drilled


def choose(
    order: Sequence[str],
    policy: ForwardPolicy,
    standings: Mapping[str, Standing],
    *,
    lost: AbstractSet[str] = _NOBODY,
    dead: AbstractSet[str] = _NOBODY,
    patient: bool = False,
) -> Choice:
    """The choice among the tunnels `order`.

    `lost` are those without a route to the target, `dead` those behind which it does not answer.
    """
    able = [name for name in order if name not in lost and standings[name].is_wanted]
    up = [name for name in able if standings[name].health is Health.UP]
    answering = [name for name in up if name not in dead]
    if answering:
        return Choice(tunnels=_in_order(answering, policy, standings))
    if up:
        return Choice(tunnels=_in_order(up, policy, standings), last_resort=True)
    soft = [name for name in able if is_soft_down(standings[name])]
    if not soft or patient:
        return NO_CHOICE
    best = next((name for name in soft if name not in dead), soft[0])
    return Choice(tunnels=(best,), last_resort=True)


def _in_order(up: Sequence[str], policy: ForwardPolicy, standings: Mapping[str, Standing]) -> tuple[str, ...]:
    """The best first. A balanced forward shares among the good ones: what the others are denied is their share."""
    good = [name for name in up if not standings[name].held and not standings[name].poor]
    if good and policy is ForwardPolicy.BALANCE:
        return tuple(good)
    poor = [name for name in up if standings[name].poor and not standings[name].held]
    return (*good, *poor, *(name for name in up if standings[name].held))


def is_soft_down(standing: Standing) -> bool:
    """DOWN by a verdict that may be wrong, not by a fact."""
    return standing.health is Health.DOWN and standing.cause is not None and not standing.cause.hard


def unheld(standings: Mapping[str, Standing]) -> dict[str, Standing]:
    """The same without hold-downs: for those who will not wait."""
    return {name: replace(standing, held=False) for name, standing in standings.items()}


def why_not(name: str, standing: Standing, *, lost: AbstractSet[str], dead: AbstractSet[str] = _NOBODY) -> str:
    """Why a tunnel is not the chosen one, in words for an operator."""
    for applies, reason in (
        (standing.admin is not AdminState.ENABLED, f"{standing.admin.value} by the operator"),
        (standing.drilled, "taken out on purpose, by a drill"),
        (standing.health is Health.UNKNOWN, "nothing is known of it yet"),
        (standing.health is Health.DOWN, f"down: {standing.cause.value if standing.cause else 'unknown cause'}"),
        (name in lost, "no route to the target"),
        (name in dead, "up, but the target does not answer behind it"),
        (standing.held, "up again, in its hold-down"),
        (standing.poor, "up, but its latency or loss is beyond what is allowed"),
    ):
        if applies:
            return reason
    return "up, standby"
