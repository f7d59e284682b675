"""The exact bytes, read against linux/wireguard.h by hand: there is no kernel WireGuard here to try them on."""

from __future__ import annotations

import base64
import socket
import struct
from ipaddress import ip_address, ip_network

from gateway.model import Secret
from gateway.tunnels.wireguard import messages
from gateway.tunnels.wireguard.device import Address, Peering, Reading
from gateway.tunnels.wireguard.messages import Told
from tests.tunnels.wireguard.keys import PEER, PRIVATE, PUBLIC, SHARED
from tests.tunnels.wireguard.wire import HEADER, NESTED, attribute, attributes, whole

IFNAME, PRIVATE_KEY, PUBLIC_KEY, DEVICE_FLAGS, PEERS = 2, 3, 4, 5, 8
PEER_KEY, PEER_SHARED, PEER_FLAGS, ENDPOINT, KEEPALIVE, HANDSHAKE, RX, TX, ALLOWED = range(1, 10)
FAMILY, ADDRESS, MASK = 1, 2, 3
GET, SET = 0, 1

V4 = Address(ip_address("10.91.1.2"), 51820)
V6 = Address(ip_address("2001:db8::1"), 51821)
ENDPOINT_V4 = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 51820, V4.ip.packed)
ENDPOINT_V6 = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16sI", 51821, 0, V6.ip.packed, 0)


def u16(value: int) -> bytes:
    return struct.pack("=H", value)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def u64(value: int) -> bytes:
    return struct.pack("=Q", value)


def raw(key: str) -> bytes:
    return base64.b64decode(key)


def _command(message: bytes) -> tuple[int, int, list[tuple[int, bytes]]]:
    command, version, _ = HEADER.unpack_from(message)
    return command, version, attributes(message[HEADER.size :])


def _members(value: bytes) -> list[dict[int, bytes]]:
    """An array: each member is a nested attribute, whose number means nothing."""
    members = []
    for kind, content in attributes(value):
        assert kind & NESTED
        members.append(dict(attributes(content)))
    return members


def test_a_new_peer():
    peering = Peering(
        private_key=Secret(PRIVATE),
        public_key=PEER,
        address=V4,
        preshared_key=Secret(SHARED),
        allowed_ips=(ip_network("192.168.100.0/24"), ip_network("fd00::/64")),
        keepalive=25,
    )
    command, version, found = _command(messages.begin("zone-d", peering))
    assert (command, version) == (SET, 1)
    device = dict(found)
    (peer,) = _members(device.pop(PEERS | NESTED))
    assert device == {IFNAME: b"zone-d\0", PRIVATE_KEY: raw(PRIVATE), DEVICE_FLAGS: u32(1)}  # REPLACE_PEERS
    allowed = _members(peer.pop(ALLOWED | NESTED))
    assert peer == {
        PEER_KEY: raw(PEER),
        PEER_FLAGS: u32(2),  # REPLACE_ALLOWEDIPS
        ENDPOINT: ENDPOINT_V4,
        KEEPALIVE: u16(25),
        PEER_SHARED: raw(SHARED),
    }
    assert allowed == [
        {FAMILY: u16(socket.AF_INET), ADDRESS: ip_address("192.168.100.0").packed, MASK: b"\x18"},
        {FAMILY: u16(socket.AF_INET6), ADDRESS: ip_address("fd00::").packed, MASK: b"\x40"},
    ]


def test_a_peer_without_a_shared_key_at_an_ipv6_address():
    peering = Peering(private_key=Secret(PRIVATE), public_key=PEER, address=V6)
    (peer,) = _members(dict(_command(messages.begin("zone-d", peering))[2])[PEERS | NESTED])
    assert peer[ENDPOINT] == ENDPOINT_V6
    assert len(ENDPOINT_V6) == 28  # sizeof(struct sockaddr_in6): of another length it is silently passed over
    assert PEER_SHARED not in peer


def test_changes_name_the_peer_and_make_none():
    for message, changed in (
        (messages.move("zone-d", PEER, V4), {ENDPOINT: ENDPOINT_V4}),
        (messages.keep_alive("zone-d", PEER, 0), {KEEPALIVE: u16(0)}),
    ):
        command, version, found = _command(message)
        device = dict(found)
        assert (command, version) == (SET, 1)
        assert _members(device.pop(PEERS | NESTED)) == [{PEER_KEY: raw(PEER), PEER_FLAGS: u32(4), **changed}]
        assert device == {IFNAME: b"zone-d\0"}


def test_no_peer_any_more():
    assert _command(messages.forget("zone-d")) == (SET, 1, [(IFNAME, b"zone-d\0"), (DEVICE_FLAGS, u32(1))])


def test_the_question():
    assert _command(messages.ask("zone-d")) == (GET, 1, [(IFNAME, b"zone-d\0")])


def answer(*, public_key: str | None = PUBLIC, peer: bytes | None = None) -> bytes:
    """What the kernel says of a device, in its order."""
    parts = [attribute(6, u16(40000)), attribute(7, u32(0)), attribute(1, u32(7)), attribute(IFNAME, b"zone-d\0")]
    if public_key is not None:
        parts += [attribute(PRIVATE_KEY, raw(PRIVATE)), attribute(PUBLIC_KEY, raw(public_key))]
    if peer is not None:
        parts.append(attribute(PEERS, attribute(0, peer)))
    return whole(GET, b"".join(parts))


ALLOWED_ONE = attribute(
    ALLOWED,
    attribute(
        0,
        attribute(MASK, b"\x18")
        + attribute(FAMILY, u16(socket.AF_INET))
        + attribute(ADDRESS, ip_address("192.168.100.0").packed),
    ),
)
MET = (
    attribute(PEER_KEY, raw(PEER))
    + attribute(PEER_SHARED, bytes(32))
    + attribute(HANDSHAKE, u64(1_700_000_000) + u64(500_000_000))
    + attribute(KEEPALIVE, u16(25))
    + attribute(TX, u64(180))
    + attribute(RX, u64(92))
    + attribute(10, u32(1))
    + attribute(ENDPOINT, ENDPOINT_V4)
    + ALLOWED_ONE
)
CONTINUED = attribute(PEER_KEY, raw(PEER)) + ALLOWED_ONE


def test_how_it_stands():
    told = messages.told([answer(peer=MET)])
    assert told == Told(public_key=PUBLIC, reading=Reading(handshake=1_700_000_000.5, transmitted=180, received=92))


def test_allowed_networks_that_did_not_fit_are_no_second_peer():
    more = whole(GET, attribute(PEERS, attribute(0, CONTINUED)))
    told = messages.told([answer(peer=MET), more])
    assert told == Told(public_key=PUBLIC, reading=Reading(handshake=1_700_000_000.5, transmitted=180, received=92))


def test_a_device_that_was_told_nothing_yet():
    assert messages.told([answer(public_key=None)]) == Told(public_key=None, reading=Reading())
