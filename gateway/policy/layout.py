"""The layout of the forwards: which of them always get the same choice, worked out once a configuration.

Ten thousand forwards have a handful of tunnel orders. A choice is made for each group of like forwards, and for the
few whose target has lost a route; the rest is filling in a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.model import Endpoint, Failback, ForwardPolicy, ForwardSpec, WhenDown
from gateway.policy.shedding import rates_of

Key = tuple[str, Endpoint]
"""(forward name, target): what the routing table's choices are found by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Forwards that choose alike while nothing is the matter with their targets.

    `patient`: while nothing is healthy their clients wait, or are refused; nobody dials as a last resort.
    """

    tunnels: tuple[str, ...]
    policy: ForwardPolicy
    patient: bool
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All groups; by host the keys that lead to it, and by forward its keys, each with its group.

    `firsts` are all forwards with the key of their first port, which speaks for them. `targets` are by tunnel those of
    the forwards that use it, `manual` the forwards that wait for their operator, `shed_rates` the sessions a second
    that a forward moves back after its failback, if any.
    """

    groups: tuple[Group, ...]
    by_host: Mapping[str, tuple[tuple[Group, Key], ...]]
    by_forward: Mapping[str, tuple[tuple[Group, Key], ...]]
    firsts: tuple[tuple[ForwardSpec, Key], ...]
    targets: Mapping[str, Mapping[Endpoint, None]]
    manual: frozenset[str]
    shed_rates: Mapping[str, float]


def lay_out(forwards: tuple[ForwardSpec, ...]) -> Layout:
    """The layout of `forwards`."""
    alike: dict[tuple[tuple[str, ...], ForwardPolicy, bool], list[Key]] = {}
    targets: dict[str, dict[Endpoint, None]] = {}
    for forward in forwards:
        keys = alike.setdefault((forward.tunnels, forward.policy, _is_patient(forward)), [])
        keys += ((forward.name, ports.target) for ports in forward.ports)
        for name in forward.tunnels:
            targets.setdefault(name, {}).update(dict.fromkeys(ports.target for ports in forward.ports))
    groups = tuple(
        Group(tunnels=order, policy=policy, patient=patient, keys=tuple(keys))
        for (order, policy, patient), keys in alike.items()
    )
    by_host: dict[str, list[tuple[Group, Key]]] = {}
    by_forward: dict[str, list[tuple[Group, Key]]] = {}
    for group in groups:
        for key in group.keys:
            by_host.setdefault(key[1].host, []).append((group, key))
            by_forward.setdefault(key[0], []).append((group, key))
    return Layout(
        groups=groups,
        by_host={host: tuple(keys) for host, keys in by_host.items()},
        by_forward={name: tuple(keys) for name, keys in by_forward.items()},
        firsts=tuple((forward, (forward.name, forward.ports[0].target)) for forward in forwards),
        targets=targets,
        manual=frozenset(forward.name for forward in forwards if forward.failback is Failback.MANUAL),
        shed_rates=rates_of(forwards),
    )


def _is_patient(forward: ForwardSpec) -> bool:
    return forward.hold_timeout > 0 or forward.when_down is WhenDown.REFUSE
