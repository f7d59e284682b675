"""Failover: which forwards' new sessions leave a tunnel that failed them, and where they go.

active a ──▶ a is no longer offered, b is      failover a → b, for what a fell of
         ──▶ nothing is offered                 an outage; why a was left is kept
                   ──▶ a is offered again       no failover
                   ──▶ b is offered             failover a → b, for what a fell of then
         ──▶ b is offered first, a still is     a failback, or its hold-down: no failover
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import NO_CHOICE, Cause, Failover, ForwardSpec, Health
from gateway.policy.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The failovers of one step, and `State.active` and `State.left` after it."""

    failovers: tuple[Failover, ...]
    active: Mapping[str, str]
    left: Mapping[str, Cause]


def moves(state: State, falls: Mapping[str, Cause]) -> Moves:
    """What the choices in `state.table`, which have just changed, mean for each forward.

    `falls` are the tunnels that fell in this step, and what made them: it may be over already.
    """
    failovers: list[Failover] = []
    active, left = dict(state.active), dict(state.left)
    choices = state.table.choices
    for forward in state.forwards:
        name = forward.name
        tunnels = choices.get((name, forward.ports[0].target), NO_CHOICE).tunnels
        old = active.get(name)
        if old is not None and old not in tunnels:
            cause = left.pop(name, None) or falls.get(old) or _why_left(state, forward, old)
            if not tunnels:
                if cause is not None:
                    left[name] = cause
                continue
            if cause is not None:
                failovers.append(Failover(forward=name, from_tunnel=old, to_tunnel=tunnels[0], cause=cause))
        else:
            left.pop(name, None)
        if tunnels:
            active[name] = tunnels[0]
    return Moves(failovers=tuple(failovers), active=active, left=left)


def _why_left(state: State, forward: ForwardSpec, tunnel: str) -> Cause | None:
    """What is wrong with a tunnel that is no longer offered; None for nothing: the operator wished it so."""
    health = state.tunnels[tunnel].health
    if health.health is Health.DOWN:
        return health.cause
    if tunnel in state.lost.get(forward.ports[0].target.host, ()):
        return Cause.NO_ROUTE
    return None
