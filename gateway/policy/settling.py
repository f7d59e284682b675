"""Settling: what follows for the health of every tunnel, and of the targets behind it, from all that is believed. Pure.

    a fact (device, link, carrier, address), the driver's word      DOWN at once; nothing before it counts any more
    silence of its probes, too few of them content, a stall         DOWN: a verdict, which may be wrong
    none of these                                                   UP after `rise` answers, or looks without probes

A fact goes before a verdict: it says more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.model import AdminState, Cause, Doubt, Endpoint, Health
from gateway.policy import check, failback, health, pulse, quality, stall
from gateway.policy.aims import is_probed
from gateway.policy.health import TunnelHealth
from gateway.policy.kernel import judge
from gateway.policy.state import POOR, State, TunnelState


def settle(before: State, state: State, now: float) -> State:
    """Bring every tunnel up to date: time has passed for all of them."""
    tunnels = {name: _settle(before.tunnels[name], it, now) for name, it in state.tunnels.items()}
    state = replace(state, tunnels=tunnels)
    return replace(state, dead=_dead(before, state))


def probed(state: State) -> State:
    """Say of each tunnel whether it is probed, as the plans have it."""
    tunnels = {
        name: it if it.is_probed is (wanted := is_probed(state.plans[name])) else replace(it, is_probed=wanted)
        for name, it in state.tunnels.items()
    }
    return replace(state, tunnels=tunnels)


def _settle(before: TunnelState, tunnel: TunnelState, now: float) -> TunnelState:
    tunnel = _expire(tunnel, now)
    if not tunnel.is_seen:
        return tunnel
    news = judge(before.facts, tunnel.facts, source=tunnel.spec.source_address)
    fact = news or tunnel.fact_cause or tunnel.verdict
    if fact is not None and tunnel.pulse.run:
        tunnel = replace(tunnel, pulse=pulse.restarted(tunnel.pulse))
    if tunnel.checks is not before.checks or tunnel.pulse is not before.pulse:
        tunnel = _settle_checks(before, tunnel, now)
    new = _health(tunnel, news, now)
    damping = failback.released(tunnel.damping, now)
    old = before.health
    if old.health is Health.UP and new.health is not Health.UP:
        damping = failback.fallen(damping, now)
    elif old.health is not Health.UP and new.health is Health.UP:
        damping = failback.recovered(damping, tunnel.spec.failback_delay, now)
    evidence_at = tunnel.evidence_at if new.health is Health.DOWN else None
    if new.health is Health.DOWN and (old.health is not Health.DOWN or old.cause is not new.cause):
        evidence_at = _first_evidence(tunnel, new.cause, now)
    return replace(tunnel, health=new, damping=damping, doubts=_doubts(tunnel, now), evidence_at=evidence_at)


def _health(tunnel: TunnelState, news: Cause | None, now: float) -> TunnelHealth:
    settings, state = tunnel.spec.health, tunnel.health
    if news is not None and news is not tunnel.fact_cause:
        state = health.stumble(state, news, now)
    lasting = tunnel.fact_cause or tunnel.verdict or soft_cause(tunnel, now)
    if lasting is not None:
        return health.fail(state, lasting, now)
    if news is not None:
        return state
    return health.listen(state, tunnel.pulse, settings, now) if tunnel.is_probed else health.look(state, settings, now)


def soft_cause(tunnel: TunnelState, now: float) -> Cause | None:
    """The verdict against the tunnel at `now`, as far as its probes and its device's counters go."""
    settings = tunnel.spec.health
    if pulse.is_silent(tunnel.pulse, settings, now) or not has_quorum(tunnel):
        return Cause.PROBES
    if stall.is_stalled(tunnel.counters, tunnel.pulse.alive_at, settings.stall_after):
        return Cause.STALL
    return None


def has_quorum(tunnel: TunnelState) -> bool:
    """Whether as many of the configured probes as there must be are content, or not yet known not to be."""
    settings = tunnel.spec.health
    asked = [it for it in settings.probes or () if not check.is_large(it)]
    if not asked:
        return True
    down = sum(one.health is Health.DOWN for it in asked if (one := tunnel.checks.get(it.label)) is not None)
    return len(asked) - down >= min(settings.reliability, len(asked))


def _settle_checks(before: TunnelState, tunnel: TunnelState, now: float) -> TunnelState:
    """Only those that have changed, or are silent and wait for a sign of life of the tunnel."""
    settings, alive_at = tunnel.spec.health, tunnel.pulse.alive_at
    changed = {
        label: new
        for label, one in tunnel.checks.items()
        if (before.checks.get(label) is not one or one.pulse.silent_since is not None)
        and (new := check.settle(one, settings, now, tunnel_alive_at=alive_at)) is not one
    }
    return replace(tunnel, checks={**tunnel.checks, **changed}) if changed else tunnel


def _doubts(tunnel: TunnelState, now: float) -> Mapping[Doubt, float]:
    """The doubts that hold at `now`: those of thresholds and counters are worked out, the others were handed in."""
    holding = quality.judge(tunnel.quality, tunnel.spec.health, POOR & tunnel.doubts.keys())
    if stall.is_doubtful(tunnel.counters, tunnel.pulse.alive_at):
        holding |= {Doubt.STALL}
    kept = {doubt: since for doubt, since in tunnel.doubts.items() if doubt in holding or doubt not in _WORKED_OUT}
    new = {doubt: now for doubt in holding if doubt not in kept}
    doubts = {**kept, **new}
    return tunnel.doubts if doubts == tunnel.doubts else doubts


_WORKED_OUT = POOR | {Doubt.STALL}


def _first_evidence(tunnel: TunnelState, cause: Cause | None, now: float) -> float:
    """When the first evidence of `cause` came."""
    if cause is Cause.PROBES and tunnel.pulse.silent_since is not None:
        return tunnel.pulse.silent_since
    if cause is Cause.STALL and tunnel.counters is not None and tunnel.counters.since is not None:
        return tunnel.counters.since
    return now


def _expire(tunnel: TunnelState, now: float) -> TunnelState:
    """What the operator wanted for a time, and the time is over."""
    if tunnel.drain_until is not None and tunnel.drain_until <= now:
        tunnel = replace(tunnel, admin=AdminState.DISABLED, drain_until=None)
    if tunnel.drill_until is not None and tunnel.drill_until <= now:
        tunnel = replace(tunnel, drill_until=None)
    return tunnel


def _dead(before: State, state: State) -> Mapping[Endpoint, frozenset[str]]:
    """By target, the tunnels behind which it does not answer. Worked out again only when a check changed its health."""
    if all(_same_checks(before.tunnels[name], it) for name, it in state.tunnels.items()):
        return state.dead
    dead: dict[Endpoint, set[str]] = {}
    for name, tunnel in state.tunnels.items():
        for one in tunnel.checks.values():
            if one.target is not None and one.health is Health.DOWN:
                dead.setdefault(one.target, set()).add(name)
    found = {target: frozenset(names) for target, names in dead.items()}
    return state.dead if found == state.dead else found


def _same_checks(before: TunnelState, tunnel: TunnelState) -> bool:
    if before.checks is tunnel.checks:
        return True
    return all(
        (old := before.checks.get(label)) is one or (old is not None and old.health is one.health)
        for label, one in tunnel.checks.items()
    )
