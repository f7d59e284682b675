"""Weighing: what one piece of evidence changes in what is believed, before anything is concluded from it. Pure.

Nothing here decides that a tunnel is UP or DOWN: that is `settling`, which looks at the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import Final, TypeVar, assert_never

from gateway.model import AdminState, Doubt, Endpoint, Health, HealthSettings, LinkFacts, ProbeOutcome, ProbeSpec
from gateway.policy import check, failback, pulse, quality, stall
from gateway.policy.aims import label_of
from gateway.policy.check import Check
from gateway.policy.evidence import (
    Connected,
    Counted,
    Doubted,
    Drained,
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
from gateway.policy.segments import clamped
from gateway.policy.state import HANDED_IN, State, TunnelState
from gateway.policy.table import lost_tunnels

_K = TypeVar("_K")
_V = TypeVar("_V")


_FRESH: Final = 2.0
"""Seconds: a sign of life that is younger says that a tunnel in which large segments vanish is not dead as a whole."""


_TO_SHOW: Final = 1.0
"""Seconds: the driver's news of the first connection may come before the kernel has been read anew."""


def weigh(state: State, evidence: Evidence, now: float) -> State:  # noqa: C901, PLR0911, PLR0912 - a table
    """`state` with `evidence` taken in. Tunnels and forwards that are not configured are ignored."""
    match evidence:
        case KernelSeen(snapshot=snapshot):
            links = snapshot.links
            seen = {name: _see(it, links.get(it.spec.interface)) for name, it in state.tunnels.items()}
            opening = now if state.kernel is None else state.opening_from
            after = replace(state, kernel=snapshot, tunnels=seen, opening_from=opening)
            rerouted = state.kernel is None or state.kernel.unrouted != snapshot.unrouted
            return _lost(after) if rerouted else after
        case NamesSeen(addresses=addresses, through=through):
            joined, joined_through = _joined(state.addresses, addresses), _joined(state.through, through)
            if joined is state.addresses and joined_through is state.through:
                return state
            return _lost(replace(state, addresses=joined, through=joined_through))
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
        case LargeLost(tunnel=name, mss=mss, at=at):
            return _with(state, name, lambda tunnel: _large_lost(tunnel, mss, at))
        case Verdict(tunnel=name):
            return _with(state, name, lambda tunnel: _judged(tunnel, evidence, now))
        case Intent(tunnel=name, admin=admin, until=until):
            waits = until if admin is AdminState.DRAINING else None
            return _with(state, name, lambda tunnel: replace(tunnel, admin=admin, drain_until=waits))
        case Drained(tunnel=name):
            return _with(state, name, _drained)
        case Drilled(tunnel=name, until=until):
            return _with(state, name, lambda tunnel: replace(tunnel, drill_until=until))
        case ReturnNow(tunnels=tunnels, forwards=forwards):
            return _return(state, tunnels, forwards, now)
        case NothingToShed(forward=forward, tunnel=name):
            return replace(state, sheds={key: at for key, at in state.sheds.items() if key != (forward, name)})
        case Connected() | TimePassed():
            return state
        case _:
            assert_never(evidence)


def _with(state: State, name: str, change: Callable[[TunnelState], TunnelState]) -> State:
    tunnel = state.tunnels.get(name)
    return state if tunnel is None else replace(state, tunnels={**state.tunnels, name: change(tunnel)})


def _drained(tunnel: TunnelState) -> TunnelState:
    if tunnel.admin is not AdminState.DRAINING:
        return tunnel
    return replace(tunnel, admin=AdminState.DISABLED, drain_until=None)


def _lost(state: State) -> State:
    """With the tunnels that do not lead to a target: the same mapping, when they are the same."""
    lost = lost_tunnels(state)
    return state if lost == state.lost else replace(state, lost=lost)


def _joined(known: Mapping[_K, _V], news: Mapping[_K, _V]) -> Mapping[_K, _V]:
    """`known` with `news`; identically, when there are none."""
    return {**known, **news} if any(known.get(key) != value for key, value in news.items()) else known


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
    before = tunnel.checks.get(probe.label) or Check(label=probe.label, target=probe.target, spec=spec)
    one = check.probed(before, probe, settings)
    tunnel = replace(tunnel, checks=tunnel.checks.put(one))
    if check.speaks_of_life(probe.outcome):
        rtt = None if one.is_large else probe.rtt
        return replace(_lives(tunnel, probe.at), quality=quality.answered(tunnel.quality, rtt))
    if probe.outcome is ProbeOutcome.LOCAL or one.is_large:
        return tunnel
    if not check.is_alone(one, tunnel.pulse, settings):
        tunnel = replace(tunnel, quality=quality.lost(tunnel.quality))
    if one.health is Health.DOWN and _lately(tunnel, probe.sent_at):
        return tunnel
    return replace(tunnel, pulse=pulse.unanswered(tunnel.pulse, probe.sent_at))


def _large_lost(tunnel: TunnelState, mss: int, at: float) -> TunnelState:
    """In a dead tunnel everything is lost, and not only the large."""
    alive_at = tunnel.pulse.alive_at
    if alive_at is None or at - alive_at > _FRESH:
        return tunnel
    return replace(tunnel, clamp=clamped(tunnel.clamp, mss))


def _lately(tunnel: TunnelState, at: float) -> bool:
    """Whether the tunnel had shown life within an interval before `at`.

    If it had, it is for other targets to fall silent: one that is known to be dead must not be the first evidence
    against it, nor stand in the way of its rise.
    """
    alive_at = tunnel.pulse.alive_at
    return alive_at is not None and at - alive_at < tunnel.spec.health.interval


def _heard(tunnel: TunnelState, target: Endpoint | None, at: float) -> TunnelState:
    tunnel = replace(tunnel, heard_at=at if tunnel.heard_at is None else max(at, tunnel.heard_at))
    if target is not None:
        settings = tunnel.spec.health
        asking = _asking(target, settings)
        heard = (check.heard(tunnel.checks.get(it.label) or it, at, settings) for it in asking)
        tunnel = replace(tunnel, checks=tunnel.checks.put(*heard))
    return _lives(tunnel, at)


def _asking(target: Endpoint, settings: HealthSettings) -> list[Check]:
    """The checks of `target` as they begin: the configured ones, or that of the forward's target itself."""
    configured = [it for it in settings.probes or () if it.endpoint == target]
    specs: list[ProbeSpec | None] = [*configured] or [None]
    return [Check(label=it.label if it is not None else label_of(target), target=target, spec=it) for it in specs]


def _lives(tunnel: TunnelState, at: float) -> TunnelState:
    doubts = {doubt: since for doubt, since in tunnel.doubts.items() if doubt not in HANDED_IN or since >= at}
    return replace(tunnel, pulse=pulse.alive(tunnel.pulse, at, tunnel.spec.health), doubts=doubts)


def _doubted(tunnel: TunnelState, doubt: Doubt, since: float) -> TunnelState:
    """A doubt that is older than the latest sign of life is none of the tunnel's: perhaps one target's."""
    if doubt not in HANDED_IN or (tunnel.pulse.alive_at is not None and tunnel.pulse.alive_at > since):
        return tunnel
    return replace(tunnel, doubts={**tunnel.doubts, doubt: min(since, tunnel.doubts.get(doubt, since))})


# ---------------------------------------------------------------- the driver's


def _judged(tunnel: TunnelState, verdict: Verdict, now: float) -> TunnelState:
    """The driver's word. A first attempt takes as long as it takes; then the kernel has a moment to show the device."""
    if verdict.cause is not None:
        awaited = inf if verdict.first else None
    else:
        awaited = None if tunnel.awaited is None else min(tunnel.awaited, now + _TO_SHOW)
    return replace(tunnel, verdict=verdict.cause, said=verdict.detail, awaited=awaited)


# ---------------------------------------------------------------- the operator's


def _return(state: State, tunnels: frozenset[str], forwards: frozenset[str], now: float) -> State:
    released = {
        name: replace(it, damping=failback.forgiven(it.damping, now))
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
