"""Reads `[[tunnel]]` and `[defaults.tunnel]`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config import build, clients, health_rules
from gateway.config.clients import Client
from gateway.config.defaults import Raw, merged, without
from gateway.config.places import Place
from gateway.config.rules import Wrong, repeated, twice, where
from gateway.config.source import Source
from gateway.config.tunnel_tables import (
    TUNNEL_MODELS,
    InterfaceTunnel,
    ManagedTunnel,
    TunnelCommon,
    TunnelDefaults,
)
from gateway.config.twins import twins
from gateway.config.wording import shown
from gateway.model import TunnelKind, TunnelSpec

_KINDS: Final = " or ".join(f'"{kind}"' for kind in TunnelKind)


@dataclass(frozen=True, slots=True)
class Tunnels:
    """The tunnels that are right, in file order, and the names of all, so that a wrong one is still a known one."""

    specs: tuple[TunnelSpec, ...]
    names: tuple[str, ...]
    places: Mapping[str, Place]  # of those that are right, by name


def tunnels(source: Source, icmp_possible: Callable[[], bool]) -> Tunnels:
    """All tunnels of the file; what is wrong in them goes to the report. `icmp_possible` is asked only where needed."""
    defaults = source.table("defaults.tunnel", TunnelDefaults)
    place = source.places.table("defaults.tunnel")
    inherited = clients.inherited(source, defaults.value, defaults.raw, place)
    _judge(source, place, defaults.value, defaults.raw, defaults.wrong, icmp_possible)

    entries = source.array("tunnel")
    valid: list[tuple[InterfaceTunnel | ManagedTunnel, Client]] = []
    places: dict[str, Place] = {}
    for place, raw in entries:
        model = _model(source, raw, place)
        if model is None:
            continue
        if not isinstance(raw, dict):
            source.checked(model, raw, place)
            continue
        filled = merged(defaults.raw, raw, model.model_fields)
        checked = source.checked(model, filled, place)
        entry = checked.value
        _judge(source, place, entry or _rest(without(filled, checked.wrong)), raw, checked.wrong, icmp_possible)
        if entry is None:
            rest = source.rest(model, filled, checked.wrong)
            if rest is not None and not isinstance(rest, InterfaceTunnel):
                clients.client(source, rest, raw, inherited, place, wrong=checked.wrong_keys)  # for what it reports
        elif isinstance(entry, InterfaceTunnel):
            valid.append((entry, Client(None)))
        else:
            valid.append((entry, clients.client(source, entry, raw, inherited, place)))
        if entry is not None:
            places[entry.name] = place

    names = list(_texts(entries, "name"))
    for place, wrong in _repeated(entries, names):
        source.broken(place, (wrong,))
    ranks = build.ranks([entry.priority for entry, _ in valid])
    specs = tuple(
        build.tunnel(entry, rank=rank, vpn=client.vpn, dns=client.dns)
        for (entry, client), rank in zip(valid, ranks, strict=True)
    )
    for twin in twins(specs):
        source.report.warning(places[twin.tunnel], twin.key, twin.text)
    return Tunnels(
        specs=specs,
        places=places,
        names=tuple(name for _, name in names),
    )


def _model(source: Source, raw: object, place: Place) -> type[InterfaceTunnel | ManagedTunnel] | None:
    """The shape that the entry's kind asks for, or None if it cannot be told (then reported)."""
    if not isinstance(raw, dict):
        return InterfaceTunnel  # which says that a table is needed
    kind = raw.get("kind")
    if kind is None:
        source.report.problem(place, "kind", f"this key is needed: {_KINDS}")
    elif kind not in tuple(TunnelKind):
        source.report.problem(place, "kind", f"must be {_KINDS}", found=shown(kind))
    else:
        return TUNNEL_MODELS[TunnelKind(kind)]
    return None


def _rest(kept: Raw) -> TunnelCommon:
    """What is left of an entry without the keys that are wrong: enough to check the others."""
    return TunnelCommon.model_validate({key: kept[key] for key in TunnelCommon.model_fields if key in kept})


def _judge(
    source: Source,
    place: Place,
    entry: TunnelCommon,
    raw: Raw,
    wrong: Collection[tuple[str, ...]],
    icmp_possible: Callable[[], bool],
) -> None:
    """The rules on the keys that stand in this very table (`raw`), not in the defaults, which are checked alone."""
    if "dns" in raw:
        source.broken(place, twice("dns", entry.dns))
    written = raw.get("health")
    if isinstance(written, dict):
        bad = {path[1] for path in wrong if path[:1] == ("health",) and len(path) > 1}
        source.broken(place, health_rules.broken(entry.health, written, bad))
        source.broken(place, health_rules.impossible(entry.health, written, icmp_possible))
        for vain in health_rules.vain(entry.health, written, bad):
            source.report.warning(place, vain.key, vain.expected)


def _repeated(entries: list[tuple[Place, Any]], names: list[tuple[Place, str]]) -> Iterator[tuple[Place, Wrong]]:
    yield from repeated(names, "name", lambda before: f"names are unique, and {where(before)} has this one")
    written = list(_texts(entries, "interface"))
    yield from repeated(written, "interface", lambda before: f"{where(before)} is on this interface already")
    devices = {device: place for place, device in reversed(written)}
    for place, raw in entries:
        if isinstance(raw, Mapping) and raw.get("kind") != TunnelKind.INTERFACE and "interface" not in raw:
            name = raw.get("name")
            if isinstance(name, str) and name in devices:
                why = f"its device bears the same name, and {where(devices[name])} is on that one: set interface"
                yield place, Wrong("name", shown(name), why)


def _texts(entries: list[tuple[Place, Any]], key: str) -> Iterator[tuple[Place, str]]:
    """The entries that have `key`, as text."""
    for place, raw in entries:
        if isinstance(raw, Mapping) and isinstance(raw.get(key), str):
            yield place, raw[key]
