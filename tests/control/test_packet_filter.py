"""The program as the kernel runs it: a datagram's bytes stand for a packet's, from its network header on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from gateway.control.packet_filter import answers_to, attach

OWN = ("10.1.0.2", "10.1.0.3", "fd01::2", "fd01::ffff:3")


def packet(destination: str, *, flags: int = 0x12, protocol: int = 6, options: int = 0, fragment: int = 0) -> bytes:
    tcp = bytes(13) + bytes([flags]) + bytes(6)
    address = ip_address(destination)
    if address.version == 6:
        return bytes([0x60, 0, 0, 0, 0, len(tcp), protocol, 64]) + bytes(16) + address.packed + tcp
    head = bytes([0x45 + options, 0, 0, 0, 0, 0]) + fragment.to_bytes(2, "big") + bytes([64, protocol, 0, 0])
    return head + bytes(4) + address.packed + bytes(4 * options) + tcp


@contextmanager
def filtered(addresses: tuple[str, ...]) -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver, answers_to(addresses))
        receiver.setblocking(False)
        yield sender, receiver


def passes(sender: socket.socket, receiver: socket.socket, data: bytes) -> bool:
    try:
        sender.send(data)
        return bool(receiver.recv(100))
    except (BlockingIOError, PermissionError):  # a datagram that its receiver's filter refuses is the sender's error
        return False


@pytest.mark.parametrize(
    ("data", "accepted"),
    [
        *((packet(address), True) for address in OWN),
        (packet("10.1.0.2", flags=0x52), True),  # with ECN's echo
        (packet("10.1.0.2", options=10), True),
        (packet("10.1.0.2", options=10, flags=0x10), False),
        (packet("10.1.0.2", flags=0x02), False),
        (packet("10.1.0.2", flags=0x10), False),
        (packet("10.1.0.2", flags=0x14), False),
        (packet("10.1.0.2", protocol=17), False),
        (packet("10.1.0.2", fragment=0x4000), True),  # Don't Fragment
        (packet("10.1.0.2", fragment=0x2000), True),  # the first fragment
        (packet("10.1.0.2", fragment=0x0001), False),
        (packet("10.1.0.4"), False),
        (packet("fd01::2", flags=0x10), False),
        (packet("fd01::2", protocol=17), False),
        (packet("fd01::3"), False),
        (packet("fd01::1:2"), False),
        (packet("fd02::2"), False),
        (packet("fd01:0:1::2"), False),
        (b"\x00" * 60, False),  # neither IPv4 nor IPv6
        (packet("10.1.0.2")[:30], False),
        (b"\x45", False),
    ],
)
def test_what_is_let_through(data: bytes, accepted: bool):
    with filtered(OWN) as (sender, receiver):
        assert passes(sender, receiver, data) is accepted


@pytest.mark.parametrize("own", [(), ("10.1.0.2",), ("fd01::2",)])
def test_a_family_without_addresses_is_not_let_through(own: tuple[str, ...]):
    with filtered(own) as (sender, receiver):
        for address in OWN:
            assert passes(sender, receiver, packet(address)) is (address in own)


def test_many_addresses_are_cut_off_rather_than_refused_by_the_kernel():
    many = tuple(f"10.0.0.{n}" for n in range(40)) + tuple(f"fd00::{n:x}" for n in range(40))
    with filtered(many) as (sender, receiver):
        assert [passes(sender, receiver, packet(f"10.0.0.{n}")) for n in (0, 15, 16, 39)] == [True, True, False, False]
        assert [passes(sender, receiver, packet(f"fd00::{n:x}")) for n in (0, 15, 16)] == [True, True, False]
