"""Weighing: what one piece of evidence changes in what is believed, before anything is concluded from it. Pure.

Nothing here decides that a tunnel is UP or DOWN: that is `settling`, which looks at the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from gateway.model import AdminState, Doubt, Endpoint, Health, LinkFacts, ProbeOutcome
from gateway.policy import check, failback, pulse, quality, stall
from gateway.policy.aims import label_of
from gateway.policy.check import Check
from gateway.policy.evidence import (
    Connected,
    Counted,
    Doubted,
    Drilled,
    Evidence,
    Heard,
    Intent,
    KernelSeen,
    LargeLost,
    NamesSeen,
    NothingToShed,
    Probed,
    ReturnNow,
    TimePassed,
    Verdict,
)
from gateway.policy.kernel import judge
from gateway.policy.segments import clamped, grown
from gateway.policy.state import State, TunnelState
from gateway.policy.table import lost_tunnels

_TAKEN_BACK = frozenset({Doubt.UNANSWERED, Doubt.UNACKNOWLEDGED})
"""The doubts that a sign of life takes back."""


def weigh(state: State, evidence: Evidence, now: float) -> State:  # noqa: C901, PLR0911, PLR0912 - a table
    """`state` with `evidence` taken in. Tunnels and forwards that are not configured are ignored."""
    match evidence:
        case KernelSeen(snapshot=snapshot):
            links = snapshot.links
            seen = {name: _see(it, links.get(it.spec.interface)) for name, it in state.tunnels.items()}
            opening = now if state.kernel is None else state.opening_from
            after = replace(state, kernel=snapshot, tunnels=seen, opening_from=opening)
            if state.kernel is None or state.kernel.unrouted != snapshot.unrouted:
                after = replace(after, lost=lost_tunnels(after))
            return after
        case NamesSeen(addresses=addresses, through=through):
            after = replace(state, addresses={**state.addresses, **addresses}, through={**state.through, **through})
            return replace(after, lost=lost_tunnels(after))
        case Counted(at=at, packets=packets):
            counted = {name: _count(it, at, *packets[name]) for name, it in state.tunnels.items() if name in packets}
            return replace(state, tunnels={**state.tunnels, **counted})
        case Probed(tunnel=name):
            return _with(state, name, lambda tunnel: _probed(tunnel, evidence))
        case Heard(tunnel=name, target=target, at=at):
            known = target if target in state.layout.targets.get(name, ()) else None
            return _with(state, name, lambda tunnel: _heard(tunnel, known, at))
        case Doubted(tunnel=name, doubt=doubt, since=since):
            return _with(state, name, lambda tunnel: _doubted(tunnel, doubt, since))
        case LargeLost(tunnel=name, mss=mss):
            return _with(state, name, lambda tunnel: replace(tunnel, clamp=clamped(tunnel.clamp, mss)))
        case Verdict(tunnel=name, cause=cause):
            return _with(state, name, lambda tunnel: replace(tunnel, verdict=cause))
        case Intent(tunnel=name, admin=admin, until=until):
            waits = until if admin is AdminState.DRAINING else None
            return _with(state, name, lambda tunnel: replace(tunnel, admin=admin, drain_until=waits))
        case Drilled(tunnel=name, until=until):
            return _with(state, name, lambda tunnel: replace(tunnel, drill_until=until))
        case ReturnNow(tunnels=tunnels, forwards=forwards):
            return _return(state, tunnels, forwards)
        case NothingToShed(forward=forward, tunnel=name):
            return replace(state, sheds={key: at for key, at in state.sheds.items() if key != (forward, name)})
        case Connected() | TimePassed():
            return state
        case _:
            assert_never(evidence)


def _with(state: State, name: str, change: Callable[[TunnelState], TunnelState]) -> State:
    tunnel = state.tunnels.get(name)
    return state if tunnel is None else replace(state, tunnels={**state.tunnels, name: change(tunnel)})


# ---------------------------------------------------------------- the kernel's


def _see(tunnel: TunnelState, facts: LinkFacts | None) -> TunnelState:
    """The kernel says `facts` of the tunnel's device. What they are a change of is for `settling`."""
    cause = judge(facts, facts, source=tunnel.spec.source_address)
    another = facts is None or tunnel.facts is None or facts.index != tunnel.facts.index
    return replace(
        tunnel,
        facts=facts,
        fact_cause=cause,
        clamp=None if another else tunnel.clamp,  # another device, another path
        counters=None if another else tunnel.counters,
    )


def _count(tunnel: TunnelState, at: float, transmitted: int, received: int) -> TunnelState:
    counters = stall.count(tunnel.counters, at, transmitted, received)
    return replace(tunnel, counters=counters)


# ---------------------------------------------------------------- of probes and traffic


def _probed(tunnel: TunnelState, probe: Probed) -> TunnelState:
    settings = tunnel.spec.health
    spec = next((it for it in settings.probes or () if it.label == probe.label), None)
    one = tunnel.checks.get(probe.label) or Check(label=probe.label, target=probe.target, spec=spec)
    one = check.probed(one, probe, settings)
    tunnel = replace(tunnel, checks={**tunnel.checks, probe.label: one})
    if check.speaks_of_life(probe.outcome):
        tunnel = _lives(tunnel, probe.at)
        tunnel = replace(tunnel, quality=quality.answered(tunnel.quality, None if one.is_large else probe.rtt))
    elif probe.outcome is ProbeOutcome.FAILED and not one.is_large:
        lost = tunnel.quality if one.health is Health.DOWN else quality.lost(tunnel.quality)
        tunnel = replace(tunnel, pulse=pulse.unanswered(tunnel.pulse, probe.sent_at), quality=lost)
    return replace(tunnel, clamp=grown(tunnel.clamp, one, tunnel.pulse, settings)) if one.is_large else tunnel


def _heard(tunnel: TunnelState, target: Endpoint | None, at: float) -> TunnelState:
    if target is not None:
        settings = tunnel.spec.health
        labels = [label for label, it in tunnel.checks.items() if it.target == target] or [label_of(target)]
        heard = {
            label: check.heard(tunnel.checks.get(label) or Check(label=label, target=target), at, settings)
            for label in labels
        }
        tunnel = replace(tunnel, checks={**tunnel.checks, **heard})
    return _lives(tunnel, at)


def _lives(tunnel: TunnelState, at: float) -> TunnelState:
    doubts = {doubt: since for doubt, since in tunnel.doubts.items() if doubt not in _TAKEN_BACK or since >= at}
    return replace(tunnel, pulse=pulse.alive(tunnel.pulse, at, tunnel.spec.health), doubts=doubts)


def _doubted(tunnel: TunnelState, doubt: Doubt, since: float) -> TunnelState:
    """A doubt that is older than the latest sign of life is none of the tunnel's: perhaps one target's."""
    if tunnel.pulse.alive_at is not None and tunnel.pulse.alive_at > since:
        return tunnel
    return replace(tunnel, doubts={**tunnel.doubts, doubt: min(since, tunnel.doubts.get(doubt, since))})


# ---------------------------------------------------------------- the operator's


def _return(state: State, tunnels: frozenset[str], forwards: frozenset[str]) -> State:
    released = {
        name: replace(it, damping=failback.forgiven(it.damping))
        for name, it in state.tunnels.items()
        if name in tunnels
    }
    wanted = forwards & state.layout.by_forward.keys()
    return replace(
        state,
        tunnels={**state.tunnels, **released},
        eager=state.eager | wanted,
        sticky={name: tunnel for name, tunnel in state.sticky.items() if name not in wanted},
    )
