"""Messages about rules and routes: pyroute2 reads what we pack, and we read what it packs."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest
from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from gateway.tunnels.routes import wire
from gateway.tunnels.routes.plan import Action, Entry, Family, OifRule, Operation, Route, SourceRule, Unreachable

T = 0x670001
HOST, NET6 = ip_network("192.168.100.30/32"), ip_network("fd01::/64")
V4, V6 = ip_address("10.10.1.2"), ip_address("fd00::2")

ENTRIES: list[tuple[Entry, dict[str, object], dict[str, object]]] = [
    (
        OifRule(table=T, family=Family.V6, interface="zone-a"),
        {"family": socket.AF_INET6, "action": 1, "src_len": 0},
        {"FRA_OIFNAME": "zone-a", "FRA_PRIORITY": 150, "FRA_TABLE": T, "FRA_PROTOCOL": 103, "FRA_SRC": None},
    ),
    (
        SourceRule(table=T, source=V4),
        {"family": socket.AF_INET, "action": 1, "src_len": 32},
        {"FRA_SRC": "10.10.1.2", "FRA_PRIORITY": 150, "FRA_TABLE": T, "FRA_PROTOCOL": 103, "FRA_OIFNAME": None},
    ),
    (
        Unreachable(table=T, family=Family.V4),
        {"family": socket.AF_INET, "proto": 103, "type": 7, "dst_len": 0},
        {"RTA_TABLE": T, "RTA_PRIORITY": 4278198272, "RTA_DST": None, "RTA_OIF": None},
    ),
    (
        Route(table=T, destination=HOST, index=7, source=V4),
        {"family": socket.AF_INET, "proto": 103, "type": 1, "dst_len": 32, "scope": 253},
        {"RTA_TABLE": T, "RTA_PRIORITY": 1024, "RTA_DST": "192.168.100.30", "RTA_OIF": 7, "RTA_PREFSRC": "10.10.1.2"},
    ),
    (
        Route(table=T, destination=NET6, index=7, source=V6),
        {"family": socket.AF_INET6, "proto": 103, "type": 1, "dst_len": 64, "scope": 0},
        {"RTA_TABLE": T, "RTA_DST": "fd01::", "RTA_OIF": 7, "RTA_PREFSRC": "fd00::2"},
    ),
]
KINDS = {OifRule: fibmsg, SourceRule: fibmsg, Unreachable: rtmsg, Route: rtmsg}
ADDED = {fibmsg: rtnl.RTM_NEWRULE, rtmsg: rtnl.RTM_NEWROUTE}
REMOVED = {fibmsg: rtnl.RTM_DELRULE, rtmsg: rtnl.RTM_DELROUTE}


@pytest.mark.parametrize(("entry", "fields", "attributes"), ENTRIES)
def test_pyroute2_understands_what_we_ask_for(entry, fields, attributes):
    for action, numbers in ((Action.ADD, ADDED), (Action.REMOVE, REMOVED)):
        message = wire.order(Operation(action=action, entry=entry))
        kind = KINDS[type(entry)]
        assert message.kind == numbers[kind]
        length = wire.HEADER.size + len(message.body)
        decoded = kind(wire.HEADER.pack(length, message.kind, message.flags, 1, 0) + message.body)
        decoded.decode()
        assert {name: decoded[name] for name in fields} == fields
        assert {name: decoded.get(name) for name in attributes} == attributes


@pytest.mark.parametrize(("entry", "fields", "attributes"), ENTRIES)
def test_we_understand_what_we_ask_for(entry, fields, attributes):
    message = wire.order(Operation(action=Action.ADD, entry=entry))
    assert wire.read(message.kind, message.body) == entry


def _body(kind: type, fields: dict[str, object], attributes: dict[str, object]) -> bytes:
    message = kind()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = [(name, value) for name, value in attributes.items() if value is not None]
    message.encode()
    return bytes(message.data[wire.HEADER.size :])


@pytest.mark.parametrize(("entry", "fields", "attributes"), ENTRIES)
def test_we_understand_what_pyroute2_says(entry, fields, attributes):
    kind = KINDS[type(entry)]
    assert wire.read(ADDED[kind], _body(kind, fields, attributes)) == entry


@pytest.mark.parametrize(("entry", "fields", "attributes"), ENTRIES)
def test_what_is_not_ours_is_not_seen(entry, fields, attributes):
    kind = KINDS[type(entry)]
    others = {name: 4 if name == "proto" else value for name, value in fields.items()}
    marks = {name: 4 if name == "FRA_PROTOCOL" else value for name, value in attributes.items()}
    assert wire.read(ADDED[kind], _body(kind, others, marks)) is None
    assert wire.read(rtnl.RTM_NEWLINK, _body(kind, fields, attributes)) is None


def test_what_ipv6_leaves_of_a_route_whose_address_went_is_seen():
    _, fields, attributes = ENTRIES[-1]
    read = wire.read(rtnl.RTM_NEWROUTE, _body(rtmsg, fields, attributes | {"RTA_PREFSRC": None}))
    assert read == Route(table=T, destination=NET6, index=7, source=None)


def test_unreachable_of_ipv6_is_shown_with_the_loopback_device():
    body = _body(rtmsg, {"family": socket.AF_INET6, "proto": 103, "type": 7}, {"RTA_TABLE": T, "RTA_OIF": 1})
    assert wire.read(rtnl.RTM_NEWROUTE, body) == Unreachable(table=T, family=Family.V6)
