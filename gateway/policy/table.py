"""The routing table that a state makes: paths, choices, addresses. A new generation only when something differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

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
    strangers = _strangers(state)
    if not unrouted and not any(strangers.values()):
        return {}
    tunnels_of: dict[str, list[str]] = {}
    for name, tunnel in state.tunnels.items():
        tunnels_of.setdefault(tunnel.spec.interface, []).append(name)
    gone: dict[str, set[str]] = {}
    for interface, address in unrouted:
        gone.setdefault(address, set()).update(tunnels_of.get(interface, ()))
    lost: dict[str, frozenset[str]] = {}
    for host, addresses in state.addresses.items():
        blocked = [strangers[":" in address].union(gone.get(address, ())) for address in addresses]
        if blocked and (names := blocked[0].intersection(*blocked[1:])):
            lost[host] = names
    return lost


def _strangers(state: State) -> Mapping[bool, frozenset[str]]:
    """By whether an address is IPv6, the tunnels whose fixed source address is of the other family."""
    sources = [(name, it.spec.source_address) for name, it in state.tunnels.items()]
    return {
        False: frozenset(name for name, source in sources if isinstance(source, IPv6Address)),
        True: frozenset(name for name, source in sources if isinstance(source, IPv4Address)),
    }


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
