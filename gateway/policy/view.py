"""The picture of the state that people and Prometheus are shown. Pure; made only when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import NO_CHOICE, Cause, Choice, ControlView, ForwardPolicy, ForwardSpec, ForwardView, TunnelView
from gateway.policy.failback import is_held
from gateway.policy.selection import why_not
from gateway.policy.state import State


def view(
    state: State,
    now: float,
    *,
    transitions: Mapping[tuple[str, Cause], int],
    failovers: Mapping[tuple[str, str, str, str], int],
) -> ControlView:
    """The picture of `state` at `now`, with what the controller has counted."""
    return ControlView(
        tunnels=tuple(
            TunnelView(
                name=name,
                kind=tunnel.spec.kind,
                health=tunnel.health.health,
                admin=tunnel.admin,
                cause=tunnel.health.cause,
                since=tunnel.health.since,
                hold_until=tunnel.damping.hold_until if is_held(tunnel.damping, now) else None,
            )
            for name, tunnel in state.tunnels.items()
        ),
        forwards=tuple(_forward(state, forward) for forward in state.forwards),
        transitions=dict(transitions),
        failovers=dict(failovers),
    )


def _forward(state: State, forward: ForwardSpec) -> ForwardView:
    """One forward; where it maps a range, its first port speaks for all: they share their host."""
    target = forward.ports[0].target
    choice = state.table.choices.get((forward.name, target), NO_CHOICE)
    lost = state.lost.get(target.host, frozenset())
    chosen = _chosen(forward, choice)
    active = choice.tunnels[0] if choice.tunnels else None
    why = {name: why_not(name, state.tunnels[name].standing, lost) for name in forward.tunnels if name not in chosen}
    resolved = bool(state.addresses.get(target.host))
    if not resolved:
        why[""] = f"the target's name {target.host!r} has not been resolved"
    elif choice.last_resort:
        why[""] = "no tunnel is up: the active one is a last resort"
    elif active is None:
        why[""] = "no tunnel can be used"
    return ForwardView(name=forward.name, active=active, servable=active is not None and resolved, why=why)


def _chosen(forward: ForwardSpec, choice: Choice) -> tuple[str, ...]:
    """The tunnels that new sessions take now: a balanced forward's all, otherwise the first."""
    return choice.tunnels if forward.policy is ForwardPolicy.BALANCE else choice.tunnels[:1]
