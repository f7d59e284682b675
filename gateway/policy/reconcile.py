"""Reconcile: evidence in, the next state and what is to be done about it out. Pure.

    state, decision = step(state, evidence, now)

The controller is the only caller that keeps the state. Everything it does to the world is in the `Decision`: a new
routing table (when it differs), sessions to abort, transitions and failovers to log and count.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.model import NO_CHOICE, Cause, Failover, Health, LinkFacts, RoutingTable, Transition
from gateway.policy import failback, health
from gateway.policy.evidence import Evidence, KernelSeen, NamesSeen, TimePassed, Verdict
from gateway.policy.failover import moves
from gateway.policy.fate import Reprieve, fate, review, without
from gateway.policy.kernel import judge, sockets_died
from gateway.policy.selection import is_soft_down
from gateway.policy.state import State, TunnelState
from gateway.policy.table import lost_tunnels, routing_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Reset the sessions of `forwards` on `tunnel`."""

    tunnel: str
    forwards: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, in this order: apply `table` (if any), then the aborts (at most one a tunnel)."""

    table: RoutingTable | None = None
    aborts: tuple[Abort, ...] = ()
    transitions: tuple[Transition, ...] = ()
    failovers: tuple[Failover, ...] = ()


def step(state: State, evidence: Evidence, now: float) -> tuple[State, Decision]:
    """Weigh one piece of evidence. Never raises on evidence; tunnels that are not configured are ignored."""
    before = state
    state = _weigh(state, evidence, now)
    table = routing_table(before, state)
    state = replace(state, table=table)
    transitions = _transitions(before, state, now)
    failovers: tuple[Failover, ...] = ()
    if table.choices is not before.table.choices:
        moved = moves(state, {it.tunnel: it.cause for it in transitions})
        failovers = moved.failovers
        state = replace(state, active=moved.active, left=moved.left)
    aborts, reprieves = _fates(before, state, now)
    return replace(state, reprieves=reprieves), Decision(
        table=None if table is before.table else table,
        aborts=aborts,
        transitions=transitions,
        failovers=failovers,
    )


def next_due(state: State) -> float | None:
    """The moment at which time alone changes something: step with `TimePassed` then, or at once if it has passed."""
    moments = [reprieve.until for reprieve in state.reprieves]
    for tunnel in state.tunnels.values():
        waits = health.due(tunnel.health, tunnel.spec.health), tunnel.damping.hold_until
        moments += [moment for moment in waits if moment is not None]
    return min(moments, default=None)


# ---------------------------------------------------------------- what is believed


def _weigh(state: State, evidence: Evidence, now: float) -> State:
    """Take in what is new, then bring every tunnel up to date: time passes for all of them."""
    before = state
    match evidence:
        case KernelSeen(snapshot=snapshot):
            links = snapshot.links
            seen = {name: _see(it, links.get(it.spec.interface)) for name, it in state.tunnels.items()}
            state = replace(state, kernel=snapshot, tunnels=seen)
            if before.kernel is None or before.kernel.unrouted != snapshot.unrouted:
                state = replace(state, lost=lost_tunnels(state))
        case NamesSeen(addresses=addresses):
            state = replace(state, addresses={**state.addresses, **addresses})
            state = replace(state, lost=lost_tunnels(state))
        case Verdict(tunnel=name, cause=cause):
            if name in state.tunnels:
                state = replace(state, tunnels={**state.tunnels, name: replace(state.tunnels[name], verdict=cause)})
        case TimePassed():
            pass
    return replace(state, tunnels={name: _settle(before.tunnels[name], it, now) for name, it in state.tunnels.items()})


def _see(tunnel: TunnelState, facts: LinkFacts | None) -> TunnelState:
    """The kernel says `facts` of the tunnel's device. What they are a change of is for `_settle`."""
    return replace(tunnel, facts=facts, fact_cause=judge(facts, facts, source=tunnel.spec.source_address))


def _settle(before: TunnelState, tunnel: TunnelState, now: float) -> TunnelState:
    """Bring health up to date: with what the step from the last facts to these means, then with what lasts."""
    if not tunnel.is_seen:
        return tunnel
    old = tunnel.health
    news = judge(before.facts, tunnel.facts, source=tunnel.spec.source_address)
    state = old
    if news is not None and news is not tunnel.fact_cause:
        state = health.stumble(state, news, now)
    lasting = tunnel.fact_cause or tunnel.verdict  # a fact before what was concluded
    if lasting is not None:
        state = health.fail(state, lasting, now)
    elif news is None:
        state = health.look(state, tunnel.spec.health, now)
    damping = failback.released(tunnel.damping, now)
    if old.health is Health.UP and state.health is not Health.UP:
        damping = failback.fallen(damping, now)
    elif old.health is not Health.UP and state.health is Health.UP:
        damping = failback.recovered(damping, tunnel.spec.failback_delay, now)
    return replace(tunnel, health=state, damping=damping)


# ---------------------------------------------------------------- what happened


def _transitions(before: State, after: State, now: float) -> tuple[Transition, ...]:
    return tuple(
        Transition(tunnel=name, old=old.health.health, new=new.health.health, cause=cause, at=now)
        for name, new in after.tunnels.items()
        if (old := before.tunnels[name]).health.health is not new.health.health
        and (cause := _cause(old, new)) is not None
    )


def _cause(old: TunnelState, new: TunnelState) -> Cause | None:
    """Why a tunnel's health is no longer `old`: another device under its name before what that device is like."""
    if new.health.health is not Health.DOWN:
        return new.health.cause
    return judge(old.facts, new.facts, source=new.spec.source_address) or new.health.cause


def _failure(old: TunnelState, new: TunnelState) -> Cause | None:
    """What failed the sessions of a tunnel in this step; None when nothing new did, or when it cannot have any.

    A tunnel has sessions while it is UP, and as a last resort while it is soft-DOWN: a hard cause that comes on top
    of a soft one ends them, though health stays what it is.
    """
    if old.health.health is not Health.UP and not is_soft_down(old.standing):
        return None
    fact = judge(old.facts, new.facts, source=new.spec.source_address)
    if fact is not None:
        return fact
    fell = old.health.health is Health.UP and new.health.health is Health.DOWN
    cause = new.health.cause
    return cause if cause is not None and (fell or (new.health.health is Health.DOWN and cause.hard)) else None


# ---------------------------------------------------------------- what becomes of sessions


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
        for forward in state.forwards
        if (choice := choices.get((forward.name, forward.ports[0].target), NO_CHOICE)).tunnels
        and not choice.last_resort
    )


def _died(before: State, state: State, tunnel: str) -> bool:
    """Whether the sockets of this tunnel died in this step."""
    new = state.tunnels[tunnel]
    return sockets_died(before.tunnels[tunnel].facts, new.facts, source=new.spec.source_address)
