"""Which rules and routes a tunnel needs, and in which order one set becomes another. Pure.

At no moment may a packet of a tunnel find its way by another table: what guards comes first and goes last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from gateway.model import IPAddress, IPNetwork

PRIORITY: Final = 150
"""Of our rules: before strongSwan's (220) and the main table's (32766)."""

METRIC: Final = 1024
"""Of routes through devices: what IPv6 has anyway."""

UNREACHABLE_METRIC: Final = 4278198272
"""Of the default that leads nowhere: worse than any other route's."""


class Family(IntEnum):
    """The version of the Internet Protocol."""

    V4 = 4
    V6 = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class OifRule:
    """What is bound to the device `interface` looks its way up in `table`."""

    table: int
    family: Family
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """What has `source` as its own address looks its way up in `table`."""

    table: int
    source: IPAddress

    @property
    def family(self) -> Family:
        """The source's."""
        return Family(self.source.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """The default of `table` that leads nowhere."""

    table: int
    family: Family


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`destination` through the device with `index`, from its own address `source`.

    None is what the kernel leaves of an IPv6 route whose address is deleted; we want none of these.
    """

    table: int
    destination: IPNetwork
    index: int
    source: IPAddress | None

    @property
    def family(self) -> Family:
        """The destination's."""
        return Family(self.destination.version)


Entry = Unreachable | OifRule | SourceRule | Route


class Action(Enum):
    """What is done with an entry."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step."""

    action: Action
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The device of a tunnel as it is now: its index, and the addresses that are the tunnel's own."""

    index: int
    addresses: tuple[IPAddress, ...]


def plan(
    table: int,
    interface: str,
    opened: Opened | None,
    destinations: Iterable[IPNetwork],
    fixed: IPAddress | None = None,
) -> frozenset[Entry]:
    """All that a tunnel should have. Not `opened`: only what keeps its traffic from leaving elsewhere.

    Destinations of a family in which it has no address are left out: nothing could answer them. `fixed` is the address
    that the tunnel's sockets are bound to by the configuration, its own or not.
    """
    own = () if opened is None else tuple(each for each in opened.addresses if _tells(each))
    entries: set[Entry] = set()
    for family in Family:
        entries |= {
            Unreachable(table=table, family=family),
            OifRule(table=table, family=family, interface=interface),
        }
    entries |= {SourceRule(table=table, source=each) for each in (*own, fixed) if each is not None}
    if opened is not None:
        wanted = tuple(destinations)
        for source in _primaries(own, fixed):
            entries |= {
                Route(table=table, destination=each, index=opened.index, source=source)
                for each in _together(wanted, source.version)
            }
    return frozenset(entries)


def shared(addresses: Mapping[str, Iterable[IPAddress]]) -> dict[IPAddress, tuple[str, ...]]:
    """The addresses that several tunnels have, and which: source rules cannot tell these tunnels apart."""
    holders: defaultdict[IPAddress, list[str]] = defaultdict(list)
    for tunnel, held in addresses.items():
        for address in filter(_tells, dict.fromkeys(held)):
            holders[address].append(tunnel)
    return {address: tuple(tunnels) for address, tunnels in holders.items() if len(tunnels) > 1}


def _tells(address: IPAddress) -> bool:
    """Whether an address tells one tunnel from another. IPv6's link-local ones are there on every device."""
    return Family(address.version) is Family.V4 or not address.is_link_local


def _primaries(own: tuple[IPAddress, ...], fixed: IPAddress | None) -> Iterator[IPAddress]:
    """The address of each family to send from: the fixed one if the tunnel has it, else its first."""
    for family in Family:
        found = [each for each in own if each.version == family]
        if found:
            yield fixed if fixed in found else found[0]


def _together(networks: Iterable[IPNetwork], version: int) -> Iterator[IPNetwork]:
    """Those of one family; what is a network together is one: the same coverage by fewer routes."""
    if version == Family.V4:
        yield from collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    else:
        yield from collapse_addresses(each for each in networks if isinstance(each, IPv6Network))


_ORDER: Final = (Unreachable, OifRule, SourceRule, Route)
"""In which entries come; they go the other way round."""


def steps(have: frozenset[Entry], want: frozenset[Entry]) -> tuple[Operation, ...]:
    """How `have` becomes `want`. A route that takes the place of another is added only: adding replaces."""
    replaced = {_place(each) for each in want - have}
    going = sorted((each for each in have - want if _place(each) not in replaced), key=_rank, reverse=True)
    coming = sorted(want - have, key=_rank)
    return (
        *(Operation(action=Action.ADD, entry=each) for each in coming),
        *(Operation(action=Action.REMOVE, entry=each) for each in going),
    )


def as_far_as_it_goes(have: frozenset[Entry], want: frozenset[Entry]) -> frozenset[Entry]:
    """What of `want` there can be while the device is not up: the kernel takes no more routes through it then."""
    return frozenset(each for each in want if each in have or not isinstance(each, Route))


def _rank(entry: Entry) -> int:
    return _ORDER.index(type(entry))


def _place(entry: Entry) -> object:
    """What of an entry says which one it is: two routes to one destination are one."""
    return (entry.table, entry.destination) if isinstance(entry, Route) else entry
