"""Reconcile: evidence in, the next state and what is to be done about it out. Pure.

    state, decision = step(state, evidence, now)

                weighing          settling           table            failover, fate, shedding
    evidence ──▶ what is known ──▶ health of all ──▶ who goes where ──▶ what becomes of sessions

The controller is the only caller that keeps the state. Everything it does to the world is in the `Decision`: what to
probe, a new routing table (each when it differs), sessions to abort, transitions and moves to log and count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from gateway.model import (
    NO_CHOICE,
    AdminState,
    Cause,
    CloseReason,
    Failover,
    Health,
    ProbePlan,
    Return,
    RoutingTable,
    Transition,
)
from gateway.policy import reasons, shedding
from gateway.policy.aims import probe_plans
from gateway.policy.evidence import Evidence
from gateway.policy.failover import Moves, moves
from gateway.policy.fate import Reprieve, fate, review, without
from gateway.policy.kernel import judge, sockets_died
from gateway.policy.opening import may_open, opening_due
from gateway.policy.selection import is_soft_down
from gateway.policy.settling import due, probed, settle
from gateway.policy.shedding import Batch, Sheds
from gateway.policy.state import State, TunnelState
from gateway.policy.table import paths_of, routing_table
from gateway.policy.weighing import weigh


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Reset the sessions of `forwards` on `tunnel`, for `reason`."""

    tunnel: str
    forwards: frozenset[str]
    reason: CloseReason = CloseReason.TUNNEL_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, in this order: probe by `plans` and apply `table` (if any), then the aborts, then `sheds`."""

    plans: Mapping[str, ProbePlan] | None = None
    table: RoutingTable | None = None
    aborts: tuple[Abort, ...] = ()
    sheds: tuple[Batch, ...] = ()
    transitions: tuple[Transition, ...] = ()
    failovers: tuple[Failover, ...] = ()
    returns: tuple[Return, ...] = ()


def step(state: State, evidence: Evidence, now: float) -> tuple[State, Decision]:
    """Weigh one piece of evidence. Never raises on evidence; tunnels that are not configured are ignored."""
    before = state
    state = weigh(state, evidence, now)
    if state.kernel is not None:
        state = replace(state, plans=probe_plans(before, state, paths_of(state)))
        state = probed(state) if state.plans is not before.plans else state
    state = settle(before, state, now)
    if not state.is_open and may_open(state, now):
        state = replace(state, is_open=True)
    table = routing_table(before, state)
    state = replace(state, table=table)
    transitions = (*_transitions(before, state, now), *_target_transitions(before, state, now))
    failovers: tuple[Failover, ...] = ()
    returns: tuple[Return, ...] = ()
    if table.choices is not before.table.choices or state.sticky is not before.sticky:
        falls = {it.tunnel: it.cause for it in transitions if it.target is None and it.new is Health.DOWN}
        moved = moves(state, falls, now)
        failovers, returns = moved.failovers, moved.returns
        state = replace(
            state,
            active=moved.active,
            left=moved.left,
            sticky={name: moved.active[name] for name in state.layout.manual if name in moved.active},
            eager=state.eager - {it.forward for it in failovers},
            sheds=_sheds(state, moved, now),
        )
    aborts, reprieves = _fates(before, state, now)
    batches, sheds = shedding.due(state.sheds, state.layout.shed_rates, now)
    return replace(state, reprieves=reprieves, sheds=sheds), Decision(
        plans=None if state.plans is before.plans else state.plans,
        table=None if table is before.table else table,
        aborts=(*aborts, *_evictions(before, state)),
        sheds=batches,
        transitions=transitions,
        failovers=failovers,
        returns=returns,
    )


def next_due(state: State, now: float) -> float | None:
    """The moment at which time alone changes something: step with `TimePassed` then, or at once if it has passed."""
    moments: list[float | None] = [reprieve.until for reprieve in state.reprieves]
    moments += [opening_due(state, now), *state.sheds.values()]
    for tunnel in state.tunnels.values():
        moments += due(tunnel)
    return min((moment for moment in moments if moment is not None), default=None)


# ---------------------------------------------------------------- what happened


def _transitions(before: State, after: State, now: float) -> Iterator[Transition]:
    for name, new in after.tunnels.items():
        old = before.tunnels[name]
        if old.health.health is not new.health.health and (cause := _cause(old, new)) is not None:
            yield Transition(
                tunnel=name,
                old=old.health.health,
                new=new.health.health,
                cause=cause,
                at=now,
                evidence=reasons.of_tunnel(new, cause, now),
                evidence_at=new.evidence_at,
            )


def _target_transitions(before: State, after: State, now: float) -> Iterator[Transition]:
    """Of targets behind a tunnel. The first UP is no news: nobody doubted it."""
    for name, tunnel in after.tunnels.items():
        old, new = before.tunnels[name].checks, tunnel.checks
        if new.down is old.down:
            continue
        for label in sorted(new.down ^ old.down):
            was, one = old.get(label), new.by_label[label]
            if one.target is not None:
                yield Transition(
                    tunnel=name,
                    old=Health.UNKNOWN if was is None else was.health,
                    new=one.health,
                    cause=Cause.TARGET_SILENT if one.health is Health.DOWN else Cause.RECOVERED,
                    at=now,
                    evidence=reasons.of_check(one, now),
                    evidence_at=one.pulse.silent_since,
                    target=one.target,
                )


def _cause(old: TunnelState, new: TunnelState) -> Cause | None:
    """Why a tunnel's health is no longer `old`: another device under its name before what that device is like."""
    if new.health.health is not Health.DOWN or new.health.cause is Cause.DRIVER:
        return new.health.cause
    return judge(old.facts, new.facts, source=new.spec.source_address) or new.health.cause


def _failure(old: TunnelState, new: TunnelState) -> Cause | None:
    """What failed the sessions of a tunnel in this step; None when nothing new did, or when it cannot have any.

    A tunnel has sessions while it is UP, and as a last resort while it is soft-DOWN: a hard cause that comes on top
    of a soft one ends them, though health stays what it is.
    """
    if old.health.health is not Health.UP and not is_soft_down(old.standing):
        return None
    if old.drill_until is None and new.drill_until is not None:
        return Cause.DRILL
    fact = judge(old.facts, new.facts, source=new.spec.source_address)
    if fact is not None:
        return fact
    fell = old.health.health is Health.UP and new.health.health is Health.DOWN
    cause = new.health.cause
    return cause if cause is not None and (fell or (new.health.health is Health.DOWN and cause.hard)) else None


# ---------------------------------------------------------------- what becomes of sessions


def _evictions(before: State, state: State) -> Iterator[Abort]:
    """A tunnel that the operator has disabled, or whose drain is over, keeps no session."""
    for name, tunnel in state.tunnels.items():
        if tunnel.admin is AdminState.DISABLED and before.tunnels[name].admin is not AdminState.DISABLED:
            forwards = frozenset(forward.name for forward in state.forwards if name in forward.tunnels)
            if forwards:
                yield Abort(tunnel=name, forwards=forwards, reason=CloseReason.DRAIN)


def _fates(before: State, state: State, now: float) -> tuple[tuple[Abort, ...], tuple[Reprieve, ...]]:
    """Aborts that are due, from failures and from reprieves that have run out, and the reprieves that go on."""
    failures = {
        name: cause
        for name, tunnel in state.tunnels.items()
        if (cause := _failure(before.tunnels[name], tunnel)) is not None
    }
    if not failures and not state.reprieves:
        return (), ()
    served = _served(state)
    doomed: dict[str, frozenset[str]] = {}
    reprieves = [replace(it, revocable=it.revocable and not _died(before, state, it.tunnel)) for it in state.reprieves]
    for name, cause in failures.items():
        revocable = not _died(before, state, name)
        verdict = fate(name, cause, state.forwards, served=served, revocable=revocable, now=now)
        doomed[name] = verdict.now
        waiting = frozenset[str]().union(*(it.forwards for it in reprieves if it.tunnel == name))
        reprieves += (without(it, waiting) for it in verdict.later)
    going_on: list[Reprieve] = []
    for reprieve in reprieves:
        verdict = review(reprieve, state.tunnels[reprieve.tunnel].standing, served, now)
        doomed[reprieve.tunnel] = doomed.get(reprieve.tunnel, frozenset()) | verdict.now
        going_on += (it for it in verdict.later if it.forwards)
    aborts = tuple(Abort(tunnel=name, forwards=forwards) for name, forwards in doomed.items() if forwards)
    return aborts, tuple(going_on)


def _served(state: State) -> frozenset[str]:
    """The forwards whose new sessions have a tunnel that is UP."""
    choices = state.table.choices
    return frozenset(
        forward.name
        for forward, key in state.layout.firsts
        if (choice := choices.get(key, NO_CHOICE)).tunnels and not choice.last_resort
    )


def _sheds(state: State, moved: Moves, now: float) -> Sheds:
    """Sheds after the `moved`: a forward that has nowhere better to go keeps what it has."""
    served = _served(state) if state.sheds else frozenset()
    taken = {name: tunnel for name, tunnel in moved.active.items() if name in served}
    kept = shedding.kept(state.sheds, moved.failovers, taken)
    return shedding.begun(kept, moved.returns, state.layout.shed_rates, now)


def _died(before: State, state: State, tunnel: str) -> bool:
    """Whether the sockets of this tunnel died in this step."""
    new = state.tunnels[tunnel]
    return sockets_died(before.tunnels[tunnel].facts, new.facts, source=new.spec.source_address)
