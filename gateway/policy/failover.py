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

from gateway.model import NO_CHOICE, Cause, Choice, Endpoint, Failover, ForwardPolicy, ForwardSpec, Health, Return
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
    evidence = _Evidence(state, now)
    for forward, key in state.layout.firsts:
        name = forward.name
        choice = state.table.choices.get(key, NO_CHOICE)
        old = active.get(name)
        if not choice.tunnels:
            if old is not None and name not in left and (cause := falls.get(old) or _why_left(state, key[1], old)):
                left[name] = cause
            continue
        new = active[name] = choice.tunnels[0]
        fell = left.pop(name, None)
        if old is None or old == new:
            continue
        match _move(state, forward, choice, old, fell or falls.get(old)):
            case Return() as back:
                returns.append(back)
            case Cause() as cause:
                failovers.append(_failover(forward, old, new, cause, evidence))
    return Moves(failovers=tuple(failovers), returns=tuple(returns), active=active, left=left)


class _Evidence:
    """When the first evidence for leaving a tunnel came; asked once for all the forwards that leave it alike."""

    def __init__(self, state: State, now: float) -> None:
        self._state = state
        self._now = now
        self._known: dict[tuple[str, Endpoint | None], float] = {}

    def at(self, tunnel: str, cause: Cause, target: Endpoint) -> float:
        """The moment of the first evidence of `cause`, which forwards to `target` leave `tunnel` for."""
        question = tunnel, target if cause is Cause.TARGET_SILENT else None
        if question not in self._known:
            self._known[question] = self._first(*question)
        return self._known[question]

    def _first(self, tunnel: str, target: Endpoint | None) -> float:
        state = self._state.tunnels[tunnel]
        known = state.evidence_at if target is None else state.checks.silent_since(target)
        return self._now if known is None else known


def _failover(forward: ForwardSpec, old: str, new: str, cause: Cause, evidence: _Evidence) -> Failover:
    return Failover(
        forward=forward.name,
        from_tunnel=old,
        to_tunnel=new,
        cause=cause,
        evidence_at=evidence.at(old, cause, forward.ports[0].target),
    )


def _move(state: State, forward: ForwardSpec, choice: Choice, old: str, fell: Cause | None) -> Cause | Return | None:
    """What it is to leave `old`, which fell for `fell` if it did: a failover for a cause, a return, or neither."""
    if old not in choice.tunnels:
        return fell or _why_left(state, forward.ports[0].target, old)
    if forward.policy is ForwardPolicy.BALANCE or choice.last_resort:
        return None
    new = choice.tunnels[0]
    if not POOR.isdisjoint(state.tunnels[old].doubts) and POOR.isdisjoint(state.tunnels[new].doubts):
        return Cause.QUALITY
    if forward.tunnels.index(new) < forward.tunnels.index(old):
        return Return(forward=forward.name, from_tunnel=old, to_tunnel=new)
    return fell  # it is back from an outage that ends elsewhere, for it is in its hold-down


def _why_left(state: State, target: Endpoint, tunnel: str) -> Cause | None:
    """What is wrong with a tunnel that is no longer offered; None for nothing: the operator wished it so."""
    it = state.tunnels[tunnel]
    if it.health.health is Health.DOWN:
        return it.health.cause
    if it.drill_until is not None:
        return Cause.DRILL
    if tunnel in state.lost.get(target.host, ()):
        return Cause.NO_ROUTE
    if tunnel in state.dead.get(target, ()):
        return Cause.TARGET_SILENT
    return None
