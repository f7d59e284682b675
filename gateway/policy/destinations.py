"""Destinations: what is to be reached through each tunnel whose routes are the gateway's. Pure.

The targets of the forwards that use it, what its configured probes ask, and its name servers. The addresses of a name
change, and sessions with the old ones may last: these stay for as long as an idle session may.

Addresses are text as long as may be: with ten thousand names, hashing networks would hold up the relay.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from gateway.model import ForwardSpec, IPNetwork, RoutesMode, TunnelSpec
from gateway.policy.state import is_address

LINGER: Final = 3600.0
"""Seconds for which an address is still routed that its name does not have any more: `idle_timeout`'s default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one tunnel leads to: `fixed` whatever happens, and whatever `names` stand for. `asks_itself`: has `dns`."""

    fixed: frozenset[str]
    names: frozenset[str]
    asks_itself: bool


def needs(forwards: Iterable[ForwardSpec], tunnels: Iterable[TunnelSpec]) -> Mapping[str, Needs]:
    """The needs of each tunnel whose routes are managed. Worked out once a configuration."""
    managed = {spec.name: spec for spec in tunnels if spec.routes is RoutesMode.MANAGED}
    hosts: dict[str, set[str]] = {
        name: {probe.host for probe in spec.health.probes or ()} | {server.host for server in spec.dns}
        for name, spec in managed.items()
    }
    for forward in forwards:
        for tunnel in managed.keys() & set(forward.tunnels):
            hosts[tunnel].update(ports.target.host for ports in forward.ports)
    return {name: _needs(hosts[name], asks_itself=bool(spec.dns)) for name, spec in managed.items()}


def destinations(
    wanted: Mapping[str, Needs],
    system: Mapping[str, tuple[str, ...]],
    through: Mapping[tuple[str, str], tuple[str, ...]],
) -> Mapping[str, frozenset[str]]:
    """By tunnel, where `wanted` is. Names are as the system has them, or the tunnel's own name servers."""
    return {
        tunnel: it.fixed.union(
            *(through.get((tunnel, name), ()) if it.asks_itself else system.get(name, ()) for name in it.names)
        )
        for tunnel, it in wanted.items()
    }


def kept(seen: Mapping[str, float], wanted: frozenset[str], now: float) -> Mapping[str, float]:
    """When each address was wanted last: those of `wanted` now, others as `seen` has it, but not for ever."""
    lingering = {address: at for address, at in seen.items() if now - at < LINGER}
    return lingering | dict.fromkeys(wanted, now)


def networks(known: frozenset[IPNetwork], before: Collection[str], after: Collection[str]) -> frozenset[IPNetwork]:
    """The networks of the addresses `after`, given those of `before`, which are `known`."""
    old, new = frozenset(before), frozenset(after)
    return known.difference(map(ip_network, old - new)).union(map(ip_network, new - old))


def _needs(hosts: Iterable[str], *, asks_itself: bool) -> Needs:
    literal = {host for host in hosts if is_address(host)}
    return Needs(fixed=frozenset(literal), names=frozenset(hosts) - literal, asks_itself=asks_itself)
