"""Reads `[[forward]]` and `[defaults.forward]`.

An entry that is wrong in one key is still checked in the others, so that one run shows everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.config import build
from gateway.config.defaults import Raw, merged, without
from gateway.config.endpoints import Listen, pair
from gateway.config.places import Place
from gateway.config.rules import (
    HEDGE_KEYS,
    TIMER_KEYS,
    WAITING_KEYS,
    Wrong,
    hedge,
    repeated,
    tunnel_names,
    user_timeout,
    waiting,
    where,
)
from gateway.config.source import Source
from gateway.config.tables import ForwardDefaults, ForwardEntry, PartialForward
from gateway.config.tunnels import Tunnels
from gateway.config.wording import shown
from gateway.model import ForwardSpec, PortMap

_KEYS = frozenset(ForwardEntry.model_fields)
_NO_RACE: Final = "comes to nothing: a second dial takes another tunnel, and there is only one"


@dataclass(frozen=True, slots=True)
class Forwards:
    """The forwards that are right, in file order, and every listen address that could be read."""

    specs: tuple[ForwardSpec, ...]
    listens: tuple[tuple[Place, Listen], ...]


def forwards(source: Source, tunnels: Tunnels) -> Forwards:
    """All forwards of the file; what is wrong in them goes to the report."""
    known = dict.fromkeys(tunnels.names)
    every = build.by_rank(tunnels.specs)
    defaults = source.table("defaults.forward", ForwardDefaults)
    place = source.places.table("defaults.forward")
    source.broken(place, _rules(defaults.value, defaults.raw, defaults.wrong_keys, known))
    _warn(source, defaults.value, defaults.raw, known, place)

    specs: list[ForwardSpec] = []
    listens: list[tuple[Place, Listen]] = []
    names: list[tuple[Place, str]] = []
    for place, raw in source.array("forward"):
        if not isinstance(raw, dict):
            source.checked(ForwardEntry, raw, place)
            continue
        filled = merged(defaults.raw, raw, _KEYS)
        checked = source.checked(ForwardEntry, filled, place)
        entry = checked.value or PartialForward.model_validate(without(filled, checked.wrong))
        source.broken(place, _rules(entry, raw, checked.wrong_keys, known))
        _warn(source, entry, raw, known, place)
        if entry.name is not None:
            names.append((place, entry.name))
        if entry.listen is not None:
            listens.append((place, entry.listen))
        ports = _ports(source, entry, raw, place)
        if isinstance(entry, ForwardEntry):
            specs.append(build.forward(entry, ports, every=every))
    for place, wrong in repeated(names, "name", lambda before: f"names are unique, and {where(before)} has this one"):
        source.broken(place, (wrong,))
    return Forwards(tuple(specs), tuple(listens))


def _rules(entry: ForwardDefaults, raw: Raw, wrong: Collection[str], known: Collection[str]) -> Iterator[Wrong]:
    """The rules on the keys that stand in this very table (`raw`), not in the defaults, which are checked alone."""

    def concerns(keys: frozenset[str]) -> bool:
        return not keys.isdisjoint(raw) and keys.isdisjoint(wrong)

    if concerns(TIMER_KEYS):
        yield from user_timeout(build.keepalive(entry), entry.tcp_user_timeout)
    if concerns(WAITING_KEYS):
        yield from waiting(entry.when_down, entry.hold_timeout)
    if concerns(HEDGE_KEYS):
        yield from hedge(entry.hedge_after, entry.connect_timeout)
    if "tunnels" in raw:
        yield from tunnel_names(entry.tunnels or (), known)


def _warn(source: Source, entry: ForwardDefaults, raw: Raw, known: Collection[str], place: Place) -> None:
    if "hedge_after" in raw and entry.hedge_after and len(known if entry.tunnels is None else entry.tunnels) == 1:
        source.report.warning(place, "hedge_after", _NO_RACE)


def _ports(source: Source, entry: ForwardEntry | PartialForward, raw: Raw, place: Place) -> tuple[PortMap, ...]:
    """The listen addresses with their targets; none, and a problem, where the two do not fit together."""
    if entry.listen is None or entry.target is None:
        return ()
    try:
        return pair(entry.listen, entry.target)
    except ValueError as error:
        source.report.problem(place, "target", str(error), found=shown(raw["target"]))
        return ()
