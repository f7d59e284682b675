"""The routing table that a state makes: paths, choices, addresses. A new generation only when something differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.model import Choice, Endpoint, Path, RoutingTable
from gateway.policy.layout import Group
from gateway.policy.selection import Standing, choose
from gateway.policy.state import State, TunnelState


def routing_table(before: State, state: State) -> RoutingTable:
    """The table for `state`, which followed on `before`; the old one, identically, when nothing differs.

    Before the kernel has been seen the old one stays: listeners that open turn nobody away for want of a look.
    """
    old = state.table
    if state.kernel is None:
        return old
    paths = {name: path for name, tunnel in state.tunnels.items() if (path := _path(tunnel)) is not None}
    choices = _choices(before, state)
    if paths == old.paths and choices == old.choices and state.addresses == old.addresses:
        return old
    return replace(
        old,
        generation=old.generation + 1,
        paths=paths,
        choices=old.choices if choices == old.choices else choices,
        addresses=old.addresses if state.addresses == old.addresses else state.addresses,
    )


def lost_tunnels(state: State) -> Mapping[str, frozenset[str]]:
    """By target host, the tunnels by which none of its addresses can be reached; hosts that lost none are absent."""
    unrouted = state.kernel.unrouted if state.kernel is not None else frozenset()
    tunnels = tuple(state.tunnels.values())
    bound = any(tunnel.spec.source_address is not None for tunnel in tunnels)
    suspects = {address for _, address in unrouted}
    lost: dict[str, frozenset[str]] = {}
    for host, addresses in state.addresses.items():
        if not addresses or (not bound and suspects.isdisjoint(addresses)):
            continue
        names = frozenset(
            tunnel.spec.name
            for tunnel in tunnels
            if all(
                (tunnel.spec.interface, address) in unrouted or not _same_family(tunnel, address)
                for address in addresses
            )
        )
        if names:
            lost[host] = names
    return lost


def _same_family(tunnel: TunnelState, address: str) -> bool:
    """A tunnel with a fixed source address leads to targets of that address's family alone."""
    source = tunnel.spec.source_address
    return source is None or (source.version == 6) == (":" in address)  # noqa: PLR2004 - IPv6


def _path(tunnel: TunnelState) -> Path | None:
    """The tunnel as a socket sees it, while its device is fit to be used."""
    if tunnel.facts is None or tunnel.fact_cause is not None:
        return None
    spec = tunnel.spec
    return Path(
        tunnel=spec.name,
        interface=spec.interface,
        ifindex=tunnel.facts.index,
        source_address=spec.source_address,
        mss=spec.mss,
    )


def _choices(before: State, state: State) -> Mapping[tuple[str, Endpoint], Choice]:
    """A choice for each (forward, target): one a group, and one for each target that lacks a route somewhere."""
    standings = _standings(state)
    if before.kernel is not None and state.lost == before.lost and standings == _standings(before):
        return state.table.choices
    choices: dict[tuple[str, Endpoint], Choice] = {}
    for group in state.layout.groups:
        choices |= dict.fromkeys(group.keys, choose(group.tunnels, group.policy, standings))
    answers: dict[tuple[int, frozenset[str]], Choice] = {}
    for host, lost in state.lost.items():
        for group, key in state.layout.by_host.get(host, ()):
            choices[key] = _remembered(answers, group, standings, lost)
    return choices


def _standings(state: State) -> dict[str, Standing]:
    return {name: tunnel.standing for name, tunnel in state.tunnels.items()}


def _remembered(
    answers: dict[tuple[int, frozenset[str]], Choice],
    group: Group,
    standings: Mapping[str, Standing],
    lost: frozenset[str],
) -> Choice:
    """A target that loses its route seldom does so alone: most answers have been given."""
    question = id(group), lost
    if question not in answers:
        answers[question] = choose(group.tunnels, group.policy, standings, lost)
    return answers[question]
