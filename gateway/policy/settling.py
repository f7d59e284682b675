"""Settling: what follows for the health of every tunnel, and of the targets behind it, from all that is believed. Pure.

    the driver's word, a fact (device, link, carrier, address)      DOWN at once; nothing before it counts any more
    silence of its probes, too few of them content, a stall         DOWN: a verdict, which may be wrong
    none of these                                                   UP after `rise` answers, or looks without probes

The one that says more goes first: a VPN client that is not connected knows why its device is gone, and a fact says more
than a verdict. No verdict is passed while traffic progresses: whatever the probes say, those who use the tunnel are
served.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import isinf

from gateway.model import AdminState, Cause, Doubt, Endpoint, Health
from gateway.policy import check, failback, health, pulse, quality, segments, stall
from gateway.policy.aims import is_probed
from gateway.policy.checks import Checks
from gateway.policy.failback import Damping
from gateway.policy.health import TunnelHealth
from gateway.policy.kernel import judge
from gateway.policy.state import HANDED_IN, POOR, State, TunnelState


def settle(before: State, state: State, now: float) -> State:
    """Bring every tunnel up to date: time has passed for all of them."""
    tunnels = {name: _settle(before.tunnels[name], it, now) for name, it in state.tunnels.items()}
    state = replace(state, tunnels=tunnels, eager=_eager(state, tunnels))
    return replace(state, dead=_dead(before, state))


def probed(state: State) -> State:
    """Say of each tunnel whether it is probed, as the plans have it. Of one that is no more, silence says nothing."""
    tunnels: dict[str, TunnelState] = {}
    for name, it in state.tunnels.items():
        wanted = is_probed(state.plans[name], has_targets=name in state.layout.targets)
        kept = it.pulse if wanted or not it.is_probed else pulse.restarted(it.pulse)
        tunnels[name] = it if it.is_probed is wanted else replace(it, is_probed=wanted, pulse=kept)
    return replace(state, tunnels=tunnels)


def due(tunnel: TunnelState) -> Iterator[float | None]:
    """The moments at which time alone changes the tunnel, as far as it is known now."""
    yield from (tunnel.damping.hold_until, tunnel.drain_until, tunnel.drill_until)
    settings = tunnel.spec.health
    if not tunnel.is_probed:
        yield health.due(tunnel.health, settings)
    if tunnel.is_seen and tunnel.awaited is not None:
        yield None if isinf(tunnel.awaited) else tunnel.awaited
    elif tunnel.is_seen and tunnel.health.health is not Health.DOWN:
        yield pulse.silent_at(tunnel.pulse, settings)
        if tunnel.heard_at is not None and not has_quorum(tunnel):
            yield tunnel.heard_at + settings.down_after


# ---------------------------------------------------------------- one tunnel


def _settle(before: TunnelState, tunnel: TunnelState, now: float) -> TunnelState:
    tunnel = _expire(tunnel, now)
    if not tunnel.is_seen:
        return tunnel
    if tunnel.awaits(now):
        return _settle_checks(before, _interrupted(tunnel), now)
    news = judge(before.facts, tunnel.facts, source=tunnel.spec.source_address)
    if news or tunnel.fact_cause or tunnel.verdict:
        tunnel = _interrupted(tunnel)
    tunnel = _settle_checks(before, tunnel, now)
    new = _health(tunnel, news, now)
    falls = new.health is Health.DOWN and (
        tunnel.health.health is not Health.DOWN or tunnel.health.cause is not new.cause
    )
    evidence_at = _first_evidence(tunnel, new.cause, now) if falls else tunnel.evidence_at
    return replace(
        tunnel,
        health=new,
        awaited=None,
        damping=_damping(tunnel, new, now),
        pulse=pulse.restarted(tunnel.pulse) if falls and new.cause is Cause.STALL else tunnel.pulse,
        doubts=_doubts(tunnel, now),
        evidence_at=evidence_at if new.health is Health.DOWN else None,
    )


def _expire(tunnel: TunnelState, now: float) -> TunnelState:
    """What the operator wanted for a time, and the time is over."""
    if tunnel.drain_until is not None and tunnel.drain_until <= now:
        tunnel = replace(tunnel, admin=AdminState.DISABLED, drain_until=None)
    if tunnel.drill_until is not None and tunnel.drill_until <= now:
        tunnel = replace(tunnel, drill_until=None)
    return tunnel


def _interrupted(tunnel: TunnelState) -> TunnelState:
    """A fact is against the tunnel: what probes and traffic said is history."""
    if not tunnel.pulse.run and HANDED_IN.isdisjoint(tunnel.doubts):
        return tunnel
    doubts = {doubt: since for doubt, since in tunnel.doubts.items() if doubt not in HANDED_IN}
    return replace(tunnel, pulse=pulse.restarted(tunnel.pulse), doubts=doubts)


def _health(tunnel: TunnelState, news: Cause | None, now: float) -> TunnelHealth:
    settings, state = tunnel.spec.health, tunnel.health
    if news is not None and news is not tunnel.fact_cause:
        state = health.stumble(state, news, now)
    hard = tunnel.verdict if tunnel.verdict is Cause.DRIVER else None
    lasting = hard or tunnel.fact_cause or tunnel.verdict or soft_cause(tunnel, now)
    if lasting is not None:
        return health.fail(state, lasting, now)
    if news is not None:
        return state
    return health.listen(state, tunnel.pulse, settings, now) if tunnel.is_probed else health.look(state, settings, now)


def _damping(tunnel: TunnelState, new: TunnelHealth, now: float) -> Damping:
    was_up, is_up = tunnel.health.health is Health.UP, new.health is Health.UP
    if was_up and not is_up and tunnel.admin is not AdminState.DISABLED:  # what was taken out may fall: it is no flap
        return failback.fallen(tunnel.damping, now)
    if is_up and not was_up:
        return failback.recovered(tunnel.damping, tunnel.spec.failback_delay, now)
    return failback.released(tunnel.damping, now)


# ---------------------------------------------------------------- verdicts


def soft_cause(tunnel: TunnelState, now: float) -> Cause | None:
    """The verdict against the tunnel at `now`, as far as its probes and its device's counters go."""
    settings = tunnel.spec.health
    if pulse.is_silent(tunnel.pulse, settings, now):
        return Cause.PROBES
    if not has_quorum(tunnel) and not _is_used(tunnel, now):
        return Cause.PROBES
    if stall.is_stalled(tunnel.counters, tunnel.pulse.alive_at, settings.stall_after):
        return Cause.STALL
    return None


def has_quorum(tunnel: TunnelState) -> bool:
    """Whether as many of the configured probes as there must be are content, or not yet known not to be."""
    settings = tunnel.spec.health
    asked = [it.label for it in settings.probes or () if not check.is_large(it)]
    down = sum(label in tunnel.checks.down for label in asked)
    return len(asked) - down >= min(settings.reliability, len(asked))


def _is_used(tunnel: TunnelState, now: float) -> bool:
    """Whether traffic has progressed so lately that the tunnel must not fall. It does not raise one that has fallen."""
    if tunnel.health.health is Health.DOWN or tunnel.heard_at is None:
        return False
    return now < tunnel.heard_at + tunnel.spec.health.down_after


def _first_evidence(tunnel: TunnelState, cause: Cause | None, now: float) -> float:
    """When the first evidence of `cause` came."""
    if cause is Cause.PROBES:
        silences = [tunnel.pulse.silent_since] if has_quorum(tunnel) else tunnel.checks.silences()
        return min((at for at in silences if at is not None), default=now)
    if cause is Cause.STALL and tunnel.counters is not None and tunnel.counters.since is not None:
        return tunnel.counters.since
    return now


def _doubts(tunnel: TunnelState, now: float) -> Mapping[Doubt, float]:
    """The doubts that hold at `now`: those of thresholds and counters are worked out, the others were handed in."""
    holding = quality.judge(tunnel.quality, tunnel.spec.health, POOR & tunnel.doubts.keys())
    if stall.is_doubtful(tunnel.counters, tunnel.pulse.alive_at):
        holding |= {Doubt.STALL}
    kept = {doubt: since for doubt, since in tunnel.doubts.items() if doubt in holding or doubt in HANDED_IN}
    new = {doubt: now for doubt in holding if doubt not in kept}
    doubts = {**kept, **new}
    return tunnel.doubts if doubts == tunnel.doubts else doubts


# ---------------------------------------------------------------- what is behind it


def _settle_checks(before: TunnelState, tunnel: TunnelState, now: float) -> TunnelState:
    """The checks, and what the large ones among them mean for segments."""
    settings = tunnel.spec.health
    lives = tunnel.pulse.alive_at != before.pulse.alive_at
    checks = tunnel.checks.settled(tunnel.pulse, settings, now, lives=lives)
    if checks is tunnel.checks:
        return tunnel
    clamp = tunnel.clamp
    if checks.down is not tunnel.checks.down:
        failing, failed = _large_down(tunnel, checks), _large_down(tunnel, tunnel.checks)
        clamp = clamp if failing is failed else segments.probed(clamp, large_pass=not failing)
    return replace(tunnel, checks=checks, clamp=clamp)


def _large_down(tunnel: TunnelState, checks: Checks) -> bool:
    return any(check.is_large(it) and it.label in checks.down for it in tunnel.spec.health.probes or ())


def _dead(before: State, state: State) -> Mapping[Endpoint, frozenset[str]]:
    """By target, the tunnels behind which it does not answer. Worked out again only when a check fell, or rose."""
    if all(it.checks.down is before.tunnels[name].checks.down for name, it in state.tunnels.items()):
        return state.dead
    dead: dict[Endpoint, set[str]] = {}
    for name, tunnel in state.tunnels.items():
        for target in tunnel.checks.dead():
            dead.setdefault(target, set()).add(name)
    found = {target: frozenset(names) for target, names in dead.items()}
    return state.dead if found == state.dead else found


def _eager(state: State, tunnels: Mapping[str, TunnelState]) -> frozenset[str]:
    """The forwards that will not wait, as long as there is something that they would have to wait for."""
    held = {name for name, it in tunnels.items() if it.damping.hold_until is not None}
    eager = {
        name
        for name in state.eager
        if any(not held.isdisjoint(group.tunnels) for group, _ in state.layout.by_forward[name])
    }
    return state.eager if eager == state.eager else frozenset(eager)
