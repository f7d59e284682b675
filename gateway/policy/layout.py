"""The layout of the forwards: which of them always get the same choice, worked out once a configuration.

Ten thousand forwards have a handful of tunnel orders. A choice is made for each group of like forwards, and for the
few whose target has lost a route; the rest is filling in a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Endpoint, ForwardPolicy, ForwardSpec

Key = tuple[str, Endpoint]
"""(forward name, target): what the routing table's choices are found by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Forwards that choose alike while no target has lost a route."""

    tunnels: tuple[str, ...]
    policy: ForwardPolicy
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All groups, and by host the keys that lead to it, each with its group."""

    groups: tuple[Group, ...]
    by_host: Mapping[str, tuple[tuple[Group, Key], ...]]


def lay_out(forwards: tuple[ForwardSpec, ...]) -> Layout:
    """The layout of `forwards`."""
    alike: dict[tuple[tuple[str, ...], ForwardPolicy], list[Key]] = {}
    for forward in forwards:
        keys = alike.setdefault((forward.tunnels, forward.policy), [])
        keys += ((forward.name, ports.target) for ports in forward.ports)
    groups = tuple(Group(tunnels=order, policy=policy, keys=tuple(keys)) for (order, policy), keys in alike.items())
    by_host: dict[str, list[tuple[Group, Key]]] = {}
    for group in groups:
        for key in group.keys:
            by_host.setdefault(key[1].host, []).append((group, key))
    return Layout(groups=groups, by_host={host: tuple(keys) for host, keys in by_host.items()})
