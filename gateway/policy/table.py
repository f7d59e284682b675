"""The routing table that a state makes: paths, choices, addresses. A new generation only when something differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeVar

from gateway.model import Cause, Choice, Health, Path, RoutingTable
from gateway.policy.layout import Group, Key
from gateway.policy.selection import Standing, choose, unheld
from gateway.policy.state import State, TunnelState, is_address

_K = TypeVar("_K")
_V = TypeVar("_V")
_NOBODY: Final[frozenset[str]] = frozenset()


def routing_table(before: State, state: State) -> RoutingTable:
    """The table for `state`, which followed on `before`; the old one, identically, when nothing differs.

    Until clients may be let in the old one stays: listeners that open turn nobody away for want of a look.
    """
    old = state.table
    if not state.is_open:
        return old
    paths = paths_of(state)
    choices = _choices(before, state)
    new = replace(
        old,
        generation=old.generation + 1,
        paths=_same(old.paths, paths),
        choices=_same(old.choices, choices),
        addresses=_same(old.addresses, state.addresses),
        tunnel_addresses=_same(old.tunnel_addresses, state.through),
    )
    differs = (
        new.paths is not old.paths
        or new.choices is not old.choices
        or new.addresses is not old.addresses
        or new.tunnel_addresses is not old.tunnel_addresses
    )
    return new if differs else old


def _same(old: Mapping[_K, _V], new: Mapping[_K, _V]) -> Mapping[_K, _V]:
    """The old one, identically, when they are equal: whoever watches it sees at a glance that nothing has changed."""
    return old if new is old or new == old else new


def paths_of(state: State) -> dict[str, Path]:
    """The paths of the tunnels whose device is fit to be used."""
    return {name: path for name, tunnel in state.tunnels.items() if (path := _path(tunnel)) is not None}


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
    asks_itself = frozenset(name for name, it in state.tunnels.items() if it.spec.dns)
    for host, addresses in state.addresses.items():
        blocked = [strangers[":" in address].union(gone.get(address, ())) for address in addresses]
        names = blocked[0].intersection(*blocked[1:]) if blocked else _NOBODY
        if names and asks_itself and not is_address(host):  # they have addresses of their own for it
            names -= asks_itself
        if names:
            lost[host] = names
    for (name, host), addresses in state.through.items():
        if addresses and all(name in strangers[":" in it] or name in gone.get(it, ()) for it in addresses):
            lost[host] = lost.get(host, _NOBODY) | {name}
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
    spec, health = tunnel.spec, tunnel.health
    came_back = health.health is Health.UP and health.cause is Cause.RECOVERED
    return Path(
        tunnel=spec.name,
        interface=spec.interface,
        ifindex=tunnel.facts.index,
        source_address=spec.source_address,
        mss=min((mss for mss in (spec.mss, tunnel.clamp) if mss is not None), default=None),
        weight=spec.weight,
        slow_start=spec.slow_start,
        ramp_from=tunnel.damping.free_since if came_back and spec.slow_start > 0 else None,
    )


def _choices(before: State, state: State) -> Mapping[Key, Choice]:
    """A choice for each (forward, target): one a group, and one for each that something is the matter with."""
    standings = {name: tunnel.standing for name, tunnel in state.tunnels.items()}
    if (
        before.is_open
        and state.lost is before.lost
        and state.dead is before.dead
        and state.sticky is before.sticky
        and state.eager is before.eager
        and standings == {name: tunnel.standing for name, tunnel in before.tunnels.items()}
    ):
        return state.table.choices
    chooser = _Chooser(state, standings)
    poor = {name for name, standing in standings.items() if standing.poor}
    choices: dict[Key, Choice] = {}
    for group in state.layout.groups:
        choices |= dict.fromkeys(group.keys, chooser.choice(group))
    for group, key in _peculiar(state):
        choices[key] = chooser.choice(
            group,
            lost=state.lost.get(key[1].host, _NOBODY),
            dead=state.dead.get(key[1], _NOBODY),
            eager=key[0] in state.eager,
        )
    for name, tunnel in state.sticky.items():
        for _, key in state.layout.by_forward.get(name, ()):
            choices[key] = _staying(choices[key], tunnel, poor)
    return choices


def _peculiar(state: State) -> Iterator[tuple[Group, Key]]:
    """The keys that do not choose as their group does."""
    for host in state.lost:
        yield from state.layout.by_host.get(host, ())
    for host in {target.host for target in state.dead}:
        for group, key in state.layout.by_host.get(host, ()):
            if key[1] in state.dead:
                yield group, key
    for name in state.eager:
        yield from state.layout.by_forward.get(name, ())


def _staying(choice: Choice, tunnel: str, poor: AbstractSet[str]) -> Choice:
    """`choice` with `tunnel` first, if it is there at all: a forward with manual failback stays where it is well."""
    if tunnel not in choice.tunnels[1:] or (tunnel in poor and choice.tunnels[0] not in poor):
        return choice
    return replace(choice, tunnels=(tunnel, *(name for name in choice.tunnels if name != tunnel)))


class _Chooser:
    """Chooses, and remembers: a target that loses its route, or falls silent, seldom does so alone."""

    def __init__(self, state: State, standings: Mapping[str, Standing]) -> None:
        self._standings = standings
        self._unheld = unheld(standings) if state.eager else standings
        self._answers: dict[tuple[int, frozenset[str], frozenset[str], bool], Choice] = {}

    def choice(
        self,
        group: Group,
        *,
        lost: frozenset[str] = frozenset(),
        dead: frozenset[str] = frozenset(),
        eager: bool = False,
    ) -> Choice:
        """The choice of a forward of `group` whose target is lost and dead behind these tunnels."""
        question = id(group), lost, dead, eager
        if question not in self._answers:
            self._answers[question] = choose(
                group.tunnels,
                group.policy,
                self._unheld if eager else self._standings,
                lost=lost,
                dead=dead,
                patient=group.patient,
            )
        return self._answers[question]
