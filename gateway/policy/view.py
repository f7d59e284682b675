"""The picture of the state that people and Prometheus are shown. Pure; made only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import (
    NO_CHOICE,
    Cause,
    Choice,
    ControlView,
    Durations,
    ForwardPolicy,
    ForwardSpec,
    ForwardView,
    Health,
    ProbeView,
    TunnelView,
)
from gateway.policy import reasons
from gateway.policy.check import Check
from gateway.policy.failback import is_held
from gateway.policy.outlook import next_step
from gateway.policy.selection import Standing, why_not
from gateway.policy.state import State, TunnelState


class Viewer:
    """Makes pictures of one state after another, and keeps of the last one what is the same in the next.

    With ten thousand forwards and targets a picture takes a tenth of a second to make, and people ask every second,
    while a step touches one target.
    """

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()
        self._forwards: tuple[ForwardView, ...] = ()
        self._probes: dict[str, dict[str, tuple[Check, ProbeView]]] = {}  # by tunnel and label

    def view(
        self,
        state: State,
        now: float,
        *,
        transitions: Mapping[tuple[str, Cause], int],
        failovers: Mapping[tuple[str, str, str, str], int],
        failbacks: Mapping[tuple[str, str, str], int],
        failover_seconds: Durations | None,
    ) -> ControlView:
        """The picture of `state` at `now`, with what the controller has counted."""
        return ControlView(
            tunnels=tuple(_tunnel(it, now, self._probes_of(it)) for it in state.tunnels.values()),
            forwards=self._forwards_of(state),
            transitions=dict(transitions),
            failovers=dict(failovers),
            failbacks=dict(failbacks),
            failover_seconds=failover_seconds,
        )

    def _forwards_of(self, state: State) -> tuple[ForwardView, ...]:
        standings = {name: tunnel.standing for name, tunnel in state.tunnels.items()}
        seen = (state.forwards, state.table, standings, state.lost, state.dead, state.sticky)
        if seen != self._seen:
            self._seen = seen
            self._forwards = tuple(_forward(state, forward, standings) for forward in state.forwards)
        return self._forwards

    def _probes_of(self, tunnel: TunnelState) -> tuple[ProbeView, ...]:
        known = self._probes.get(tunnel.spec.name, {})
        made: dict[str, tuple[Check, ProbeView]] = {}
        for check in tunnel.checks:
            old = known.get(check.label)
            made[check.label] = old if old is not None and old[0] is check else (check, _probe(check))
        self._probes[tunnel.spec.name] = made
        return tuple(probe for _, probe in made.values())


def _tunnel(tunnel: TunnelState, now: float, probes: tuple[ProbeView, ...]) -> TunnelView:
    state, spec = tunnel.health, tunnel.spec
    return TunnelView(
        name=spec.name,
        kind=spec.kind,
        health=state.health,
        admin=tunnel.admin,
        cause=state.cause,
        since=state.since,
        hold_until=tunnel.damping.hold_until if is_held(tunnel.damping, now) else None,
        interface=spec.interface,
        addresses=tunnel.facts.addresses if tunnel.facts is not None else (),
        evidence=reasons.of_tunnel(tunnel, state.cause, now) if state.cause is not None else "",
        doubts=tuple(tunnel.doubts),
        alive_at=tunnel.pulse.alive_at,
        rtt=tunnel.quality.rtt,
        loss=tunnel.quality.loss,
        flaps=tunnel.damping.remaining_falls(now),
        mss=tunnel.clamp,
        drill_until=tunnel.drill_until,
        drain_until=tunnel.drain_until,
        next=next_step(tunnel),
        probes=probes,
    )


def _probe(check: Check) -> ProbeView:
    return ProbeView(
        label=check.label,
        target=check.target,
        health=check.health,
        run=check.pulse.run,
        last_at=check.last_at,
        last_outcome=check.last_outcome,
        alive_at=check.pulse.alive_at,
        rtt=check.quality.rtt,
        loss=check.quality.loss,
    )


def _forward(state: State, forward: ForwardSpec, standings: Mapping[str, Standing]) -> ForwardView:
    """One forward; where it maps a range, its first port speaks for all: they share their host."""
    ports = forward.ports[0]
    target = ports.target
    choice = state.table.choices.get((forward.name, target), NO_CHOICE)
    lost, dead = state.lost.get(target.host, frozenset()), state.dead.get(target, frozenset())
    chosen = _chosen(forward, choice)
    active = choice.tunnels[0] if choice.tunnels else None
    why = {name: why_not(name, standings[name], lost=lost, dead=dead) for name in forward.tunnels if name not in chosen}
    stays = state.sticky.get(forward.name)
    if stays is not None and stays == active:
        better = forward.tunnels[: forward.tunnels.index(stays)]
        why |= {name: "up, waits for the operator's failback" for name in better if why.get(name) == "up, standby"}
    resolved = any(state.table.addresses_through(name, target.host) for name in forward.tunnels)
    if not resolved:
        why[""] = f"the target's name {target.host!r} has not been resolved"
    elif choice.last_resort:
        is_up = active is not None and standings[active].health is Health.UP
        trouble = "the target answers behind none that is up" if is_up else "no tunnel is up"
        why[""] = f"{trouble}: the active one is a last resort"
    elif active is None:
        why[""] = "no tunnel can be used"
    return ForwardView(
        name=forward.name,
        active=active,
        servable=active is not None and resolved,
        why=why,
        listens=tuple(str(it.listen) for it in forward.ports),
        target=str(target),
        policy=forward.policy,
        failback=forward.failback,
        offered=choice.tunnels,
        last_resort=choice.last_resort,
    )


def _chosen(forward: ForwardSpec, choice: Choice) -> tuple[str, ...]:
    """The tunnels that new sessions take now: a balanced forward's all, otherwise the first."""
    return choice.tunnels if forward.policy is ForwardPolicy.BALANCE else choice.tunnels[:1]
