"""Rules and routes as the kernel takes them: one message each (rtnetlink(7)), marked as ours by their protocol.

For the thread of `netlink`. An entry that is there already, or is gone already, is well: others may change things, too,
and the kernel takes the routes of a device away with the device.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import rt_type

from gateway.tunnels.routes.plan import (
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

_UNREACHABLE: Final = rt_type["unreachable"]
_FAMILIES: Final = {Family.V4: socket.AF_INET, Family.V6: socket.AF_INET6}
_THERE: Final = frozenset({errno.EEXIST})
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EPFNOSUPPORT})
"""A kernel without IPv6 has no IPv6 that could leak."""


def carry_out(ipr: IPRoute, operations: Iterable[Operation]) -> None:
    """Do these, in order. Raises NetlinkError for what the kernel refuses."""
    for operation in operations:
        try:
            _ask(ipr, operation)
        except NetlinkError as error:
            if not _harmless(operation, error.code):
                raise


def clean(ipr: IPRoute, is_ours: Callable[[int], bool]) -> int:
    """Remove rules and routes that carry our mark, from tables that are ours; how many there were.

    In the order in which nothing can leak: what leads somewhere, then the rules, then what leads nowhere.
    """
    routes, rules = [], []
    for family in _FAMILIES.values():
        routes += [each for each in _dump(partial(ipr.get_routes, family=family, proto=PROTOCOL)) if _marked(each)]
        rules += [each for each in _dump(partial(ipr.get_rules, family=family)) if _rule_marked(each)]
    routes = [each for each in routes if is_ours(each.get("RTA_TABLE"))]
    somewhere = [each for each in routes if each["type"] != _UNREACHABLE]
    nowhere = [each for each in routes if each["type"] == _UNREACHABLE]
    removals = [
        *(partial(ipr.route, "del", **_route_words(each)) for each in somewhere),
        *(partial(ipr.rule, "del", **_rule_words(each)) for each in rules if is_ours(each.get("FRA_TABLE"))),
        *(partial(ipr.route, "del", **_route_words(each)) for each in nowhere),
    ]
    return sum(map(_removed, removals))


# ---------------------------------------------------------------- messages


def _ask(ipr: IPRoute, operation: Operation) -> None:
    match operation.entry, operation.action:
        case ((OifRule() | SourceRule()), action):
            ipr.rule("add" if action is Action.ADD else "del", **words(operation.entry))
        case ((Unreachable() | Route()), action):
            ipr.route("replace" if action is Action.ADD else "del", **words(operation.entry))


def words(entry: Entry) -> dict[str, object]:
    """What is said of an entry, in pyroute2's words."""
    common: dict[str, object] = {"family": _FAMILIES[entry.family], "table": entry.table}
    rule = {**common, "priority": PRIORITY, "protocol": PROTOCOL, "action": "to_tbl"}
    route = {**common, "proto": PROTOCOL}
    match entry:
        case OifRule():
            return {**rule, "oifname": entry.interface}
        case SourceRule():
            return {**rule, "src": str(entry.source), "src_len": entry.source.max_prefixlen}
        case Unreachable():
            return {**route, "dst": "default", "type": "unreachable", "priority": UNREACHABLE_METRIC}
        case Route():
            found = {**route, "dst": str(entry.destination), "oif": entry.index}
            if entry.family is Family.V4:
                return {**found, "prefsrc": str(entry.source), "scope": "link"}
            return found  # IPv6 takes the device's address by itself, and would not have one yet that is tentative


def _harmless(operation: Operation, code: int) -> bool:
    if operation.entry.family is Family.V6 and code in _NO_FAMILY:
        return True
    return code in (_THERE if operation.action is Action.ADD else _GONE)


# ---------------------------------------------------------------- what was left behind


def _marked(route: Any) -> bool:
    return bool(route["proto"] == PROTOCOL)


def _rule_marked(rule: Any) -> bool:
    return bool(rule.get("FRA_PROTOCOL") == PROTOCOL)


def _dump(ask: Callable[[], Iterable[Any]]) -> list[Any]:
    try:
        return list(ask())
    except NetlinkError as error:
        if error.code in _NO_FAMILY:
            return []
        raise


def _removed(remove: Callable[[], object]) -> bool:
    try:
        remove()
    except NetlinkError as error:
        if error.code in _GONE:
            return False
        raise
    return True


def _rule_words(rule: Any) -> dict[str, object]:
    """A rule of ours that the kernel has shown, as it is asked for."""
    found: dict[str, object] = {
        "family": rule["family"],
        "table": rule.get("FRA_TABLE"),
        "priority": rule.get("FRA_PRIORITY"),
        "protocol": PROTOCOL,
        "action": "to_tbl",
    }
    if (name := rule.get("FRA_OIFNAME")) is not None:
        found["oifname"] = name
    if (source := rule.get("FRA_SRC")) is not None:
        found |= {"src": source, "src_len": rule["src_len"]}
    return found


def _route_words(route: Any) -> dict[str, object]:
    destination = route.get("RTA_DST")
    found: dict[str, object] = {
        "family": route["family"],
        "table": route.get("RTA_TABLE"),
        "proto": PROTOCOL,
        "dst": "default" if destination is None else f"{destination}/{route['dst_len']}",
    }
    if destination is None:
        found |= {"type": "unreachable", "priority": UNREACHABLE_METRIC}
    else:
        found |= {"oif": route.get("RTA_OIF"), "scope": route["scope"]}
    return found
