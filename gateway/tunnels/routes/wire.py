"""Rules and routes as messages of rtnetlink(7), both ways. Pure.

Packed and read by hand: a tunnel may lead to thousands of targets, and pyroute2 needs 0.8 ms for each route, in which
the data plane waits for the interpreter's lock; this takes 0.02. Tests hold the bytes against pyroute2's own.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, rtnl
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL

from gateway.model import IPAddress, IPNetwork
from gateway.tunnels.routes.plan import (
    METRIC,
    PRIORITY,
    UNREACHABLE_METRIC,
    Action,
    Entry,
    Family,
    OifRule,
    Operation,
    Route,
    SourceRule,
    Unreachable,
)

PROTOCOL: Final = 0x67
"""Of our routes and rules: whose they are. Nobody else's, as far as /etc/iproute2/rt_protos knows."""

HEADER: Final = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""

_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_HEAD: Final = struct.Struct("=BBBBBBBBI")
"""rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags; fib_rule_hdr: family, dst_len, src_len,
tos, table, two unused, action, flags."""
_NUMBER: Final = struct.Struct("=I")

_UNICAST: Final[int] = rtnl.rt_type["unicast"]
_UNREACHABLE: Final[int] = rtnl.rt_type["unreachable"]
_ON_LINK: Final[int] = rtnl.rt_scope["link"]

_RTA_DST, _RTA_OIF, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 6, 7, 15
_FRA_SRC, _FRA_PRIORITY, _FRA_TABLE, _FRA_OIFNAME, _FRA_PROTOCOL = 2, 6, 15, 17, 21
_TYPE: Final = 0x3FFF  # an attribute's type without NLA_F_NESTED and NLA_F_NET_BYTEORDER

_FAMILIES: Final = {Family.V4: socket.AF_INET, Family.V6: socket.AF_INET6}
_BY_NUMBER: Final = {int(number): family for family, number in _FAMILIES.items()}


class Message(NamedTuple):
    """A message but for its sequence number."""

    kind: int
    flags: int
    body: bytes


def order(operation: Operation) -> Message:
    """What has the kernel carry out one operation, and acknowledge it."""
    entry, adds = operation.entry, operation.action is Action.ADD
    match entry:
        case OifRule() | SourceRule():
            kind, how = (rtnl.RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL) if adds else (rtnl.RTM_DELRULE, 0)
            body = _rule(entry)
        case Unreachable() | Route():
            kind, how = (rtnl.RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE) if adds else (rtnl.RTM_DELROUTE, 0)
            body = _route(entry)
    return Message(kind, NLM_F_REQUEST | NLM_F_ACK | how, body)


def rules(family: Family) -> Message:
    """Asks for all rules."""
    return Message(rtnl.RTM_GETRULE, NLM_F_REQUEST | NLM_F_DUMP, _HEAD.pack(_FAMILIES[family], 0, 0, 0, 0, 0, 0, 0, 0))


def routes(family: Family, table: int | None) -> Message:
    """Asks for our routes in a table; None: in all. The socket needs NETLINK_GET_STRICT_CHK, else others come, too."""
    body = _HEAD.pack(_FAMILIES[family], 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
    if table is not None:
        body += _attribute(_RTA_TABLE, _NUMBER.pack(table))
    return Message(rtnl.RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, body)


# ---------------------------------------------------------------- packing


def _rule(rule: OifRule | SourceRule) -> bytes:
    match rule:
        case OifRule():
            length, which = 0, _attribute(_FRA_OIFNAME, rule.interface.encode() + b"\0")
        case SourceRule():
            length, which = rule.source.max_prefixlen, _attribute(_FRA_SRC, rule.source.packed)
    return (
        _HEAD.pack(_FAMILIES[rule.family], 0, length, 0, 0, 0, 0, FR_ACT_TO_TBL, 0)
        + which
        + _attribute(_FRA_PRIORITY, _NUMBER.pack(PRIORITY))
        + _attribute(_FRA_TABLE, _NUMBER.pack(rule.table))
        + _attribute(_FRA_PROTOCOL, bytes((PROTOCOL,)))
    )


def _route(route: Unreachable | Route) -> bytes:
    table = _attribute(_RTA_TABLE, _NUMBER.pack(route.table))
    match route:
        case Unreachable():
            return (
                _HEAD.pack(_FAMILIES[route.family], 0, 0, 0, 0, PROTOCOL, 0, _UNREACHABLE, 0)
                + table
                + _attribute(_RTA_PRIORITY, _NUMBER.pack(UNREACHABLE_METRIC))
            )
        case Route():
            family, destination = route.family, route.destination
            scope = _ON_LINK if family is Family.V4 else 0  # IPv6 has none
            source = b"" if route.source is None else _attribute(_RTA_PREFSRC, route.source.packed)
            return (
                _HEAD.pack(_FAMILIES[family], destination.prefixlen, 0, 0, 0, PROTOCOL, scope, _UNICAST, 0)
                + table
                + _attribute(_RTA_PRIORITY, _NUMBER.pack(METRIC))
                + _attribute(_RTA_DST, destination.network_address.packed)
                + _attribute(_RTA_OIF, _NUMBER.pack(route.index))
                + source
            )


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


# ---------------------------------------------------------------- reading


def read(kind: int, body: bytes) -> Entry | None:
    """What one answer shows; None if it is not ours, or nothing that we would install."""
    family = _BY_NUMBER.get(body[0])
    if family is None:
        return None
    if kind == rtnl.RTM_NEWRULE:
        return _read_rule(family, body)
    return _read_route(family, body) if kind == rtnl.RTM_NEWROUTE else None


def _read_rule(family: Family, body: bytes) -> OifRule | SourceRule | None:
    action = _HEAD.unpack_from(body)[7]
    found = dict(_attributes(body))
    ours = found.get(_FRA_PROTOCOL) == bytes((PROTOCOL,)) and found.get(_FRA_PRIORITY) == _NUMBER.pack(PRIORITY)
    if not ours or action != FR_ACT_TO_TBL or _FRA_TABLE not in found:
        return None
    table = _number(found[_FRA_TABLE])
    if _FRA_OIFNAME in found:
        return OifRule(table=table, family=family, interface=found[_FRA_OIFNAME].rstrip(b"\0").decode())
    return SourceRule(table=table, source=_address(found[_FRA_SRC])) if _FRA_SRC in found else None


def _read_route(family: Family, body: bytes) -> Unreachable | Route | None:
    _, length, _, _, _, protocol, _, kind, _ = _HEAD.unpack_from(body)
    if protocol != PROTOCOL:
        return None
    found = dict(_attributes(body))
    table, source = _number(found[_RTA_TABLE]), found.get(_RTA_PREFSRC)
    if kind == _UNREACHABLE and not length:
        return Unreachable(table=table, family=family)
    if kind != _UNICAST or _RTA_OIF not in found:
        return None
    return Route(
        table=table,
        destination=_network(family, found.get(_RTA_DST, b""), length),
        index=_number(found[_RTA_OIF]),
        source=None if source is None else _address(source),
    )


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    offset = _HEAD.size
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        yield kind & _TYPE, body[offset + _ATTRIBUTE.size : offset + length]
        offset += max(_ATTRIBUTE.size, (length + 3) & ~3)


def _number(value: bytes) -> int:
    number: int = _NUMBER.unpack(value)[0]
    return number


def _address(packed: bytes) -> IPAddress:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)  # noqa: PLR2004 - bytes


def _network(family: Family, packed: bytes, length: int) -> IPNetwork:
    """A destination of length 0 is not in the message at all."""
    return (
        IPv4Network((packed or bytes(4), length)) if family is Family.V4 else IPv6Network((packed or bytes(16), length))
    )
