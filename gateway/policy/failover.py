"""Failover: which forwards' new sessions leave a tunnel that failed them, and where they go; and who returns.

active a ──▶ a is no longer offered, b is      failover a → b, for what a fell of
         ──▶ nothing is offered                 an outage; why a was left is kept
                   ──▶ a is offered again       no failover
                   ──▶ b is offered             failover a → b, for what a fell of then
         ──▶ b is offered first, a still is     a return to b, if b is the better one; if a is poor, a failover
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import NO_CHOICE, Cause, Choice, Failover, ForwardPolicy, ForwardSpec, Health, Return
from gateway.policy.state import POOR, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The failovers and returns of one step, and `State.active` and `State.left` after it."""

    failovers: tuple[Failover, ...]
    returns: tuple[Return, ...]
    active: Mapping[str, str]
    left: Mapping[str, Cause]


def moves(state: State, falls: Mapping[str, Cause], now: float) -> Moves:
    """What the choices in `state.table`, which have just changed, mean for each forward.

    `falls` are the tunnels that fell in this step, and what made them: it may be over already.
    """
    failovers: list[Failover] = []
    returns: list[Return] = []
    active, left = dict(state.active), dict(state.left)
    choices = state.table.choices
    for forward in state.forwards:
        name = forward.name
        choice = choices.get((name, forward.ports[0].target), NO_CHOICE)
        tunnels = choice.tunnels
        old = active.get(name)
        if old is not None and old not in tunnels:
            cause = left.pop(name, None) or falls.get(old) or _why_left(state, forward, old)
            if not tunnels:
                if cause is not None:
                    left[name] = cause
                continue
            if cause is not None:
                failovers.append(_failover(state, forward, old, tunnels[0], cause, now))
        else:
            left.pop(name, None)
            if old is not None and old != tunnels[0]:
                match _move(state, forward, choice, old):
                    case Cause() as cause:
                        failovers.append(_failover(state, forward, old, tunnels[0], cause, now))
                    case Return() as back:
                        returns.append(back)
        if tunnels:
            active[name] = tunnels[0]
    return Moves(failovers=tuple(failovers), returns=tuple(returns), active=active, left=left)


def _failover(state: State, forward: ForwardSpec, old: str, new: str, cause: Cause, now: float) -> Failover:
    evidence_at = state.tunnels[old].evidence_at
    if cause is Cause.TARGET_SILENT:
        target = forward.ports[0].target
        silences = [it.pulse.silent_since for it in state.tunnels[old].checks.values() if it.target == target]
        evidence_at = min((at for at in silences if at is not None), default=None)
    return Failover(
        forward=forward.name,
        from_tunnel=old,
        to_tunnel=new,
        cause=cause,
        evidence_at=now if evidence_at is None else evidence_at,
    )


def _move(state: State, forward: ForwardSpec, choice: Choice, old: str) -> Cause | Return | None:
    """What it is to leave a tunnel that is still offered."""
    if forward.policy is ForwardPolicy.BALANCE or choice.last_resort:
        return None
    new = choice.tunnels[0]
    if not POOR.isdisjoint(state.tunnels[old].doubts) and POOR.isdisjoint(state.tunnels[new].doubts):
        return Cause.QUALITY
    if forward.tunnels.index(new) < forward.tunnels.index(old):
        return Return(forward=forward.name, from_tunnel=old, to_tunnel=new)
    return None


def _why_left(state: State, forward: ForwardSpec, tunnel: str) -> Cause | None:
    """What is wrong with a tunnel that is no longer offered; None for nothing: the operator wished it so."""
    it = state.tunnels[tunnel]
    target = forward.ports[0].target
    if it.health.health is Health.DOWN:
        return it.health.cause
    if it.drill_until is not None:
        return Cause.DRILL
    if tunnel in state.lost.get(target.host, ()):
        return Cause.NO_ROUTE
    if tunnel in state.dead.get(target, ()):
        return Cause.TARGET_SILENT
    return None
