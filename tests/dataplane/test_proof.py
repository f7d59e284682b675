"""Proof before a dial: the device is there, is the one its name stands for, and is up; or nothing leaves at all.

In namespaces of their own, with tun devices whose other end the test holds: what leaves by a device, it can read.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import closing
from time import monotonic

import pytest

from gateway.dataplane.proof import PathProof, Refusal
from gateway.dataplane.sockopt import SO_BINDTOIFINDEX
from gateway.model import ConnectResult, DialFailure, Endpoint, Path
from tests.control.namespace import Tun, in_namespace, ip
from tests.dataplane.rig import LO, Rig, eventually, running_rig

TARGET = "192.168.100.30"
Change = Callable[[Tun], object]


def path_of(tun: Tun) -> Path:
    return Path(tunnel=tun.name, interface=tun.name, ifindex=tun.index)


def packets_to_the_target(tun: Tun) -> int:
    """How many packets for the target's network left by `tun` since it was asked last."""
    count = 0
    os.set_blocking(tun._fd, False)
    while True:
        try:
            packet = os.read(tun._fd, 65536)
        except BlockingIOError:
            return count
        count += packet[0] >> 4 == 4 and packet[16:20] == socket.inet_aton(TARGET)


def renamed_and_replaced(tun: Tun) -> Tun:
    """The operator renames the device, and another one takes its name."""
    ip(f"link set {tun.name} down", f"link set {tun.name} name other", "link set other up")
    return Tun(tun.name, "10.20.0.3/24")


def without_carrier(tun: Tun) -> None:
    """The flags follow the carrier by up to a second when a link changes twice in a row; asking for it hurries them."""
    tun.carrier(False)
    ip(f"link show {tun.name}")


FAULTS: dict[str, tuple[Change, Refusal]] = {
    "gone": (lambda tun: ip(f"link del {tun.name}"), Refusal.DEVICE_GONE),
    "replaced": (renamed_and_replaced, Refusal.DEVICE_REPLACED),
    "down": (lambda tun: tun.up(False), Refusal.LINK_DOWN),
    "no carrier": (without_carrier, Refusal.CARRIER_LOST),
}


def with_tunnel(scenario: Callable[[Tun], Awaitable[None]]) -> None:
    """Run `scenario` where `tun-a` leads to the target's network, and so does a default route by another device."""

    async def inside() -> None:
        with closing(Tun("eth0", "203.0.113.2/24")) as outside, closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            ip("route add default dev eth0", "route add 192.168.100.0/24 dev tun-a")
            await scenario(tun)
            assert packets_to_the_target(outside) == 0

    in_namespace(inside)


# ---------------------------------------------------------------- the question


def test_lo_is_proven() -> None:
    with PathProof() as proof:
        assert proof.refusal(Path(tunnel="t", interface="lo", ifindex=LO)) is None


@pytest.mark.parametrize(
    ("interface", "index", "refusal"),
    [("lo", LO + 1, Refusal.DEVICE_REPLACED), ("no-such-dev", 1, Refusal.DEVICE_GONE), ("", 1, Refusal.DEVICE_GONE)],
)
def test_what_is_not_there_is_not_proven(interface: str, index: int, refusal: Refusal) -> None:
    with PathProof() as proof:
        assert proof.refusal(Path(tunnel="t", interface=interface, ifindex=index)) is refusal


@pytest.mark.lab
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_refusal(fault: str) -> None:
    change, refusal = FAULTS[fault]

    async def scenario(tun: Tun) -> None:
        path = path_of(tun)
        with PathProof() as proof:
            assert proof.refusal(path) is None
            left = change(tun)
            assert proof.refusal(path) is refusal
            if isinstance(left, Tun):
                left.close()

    with_device(scenario)


def with_device(scenario: Callable[[Tun], Awaitable[None]]) -> None:
    async def inside() -> None:
        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            await scenario(tun)

    in_namespace(inside)


# ---------------------------------------------------------------- the dial


async def _serves_by_lo(rig: Rig, tun: Tun) -> Endpoint:
    """A forward to the target by `tun-a` and then `lo-b`, where somebody answers for it."""
    ip(f"addr add {TARGET}/32 dev lo")
    rig.offer(path_of(tun), rig.path("lo-b"))
    target = rig.target(TARGET)
    return rig.forward(target.endpoint, tunnels=("tun-a", "lo-b"), connect_timeout=2.0)


@pytest.mark.lab
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_proven_is_not_dialled_and_the_next_tunnel_is(fault: str) -> None:
    change, _ = FAULTS[fault]

    async def scenario(tun: Tun) -> None:
        async with running_rig() as rig:
            at = await _serves_by_lo(rig, tun)
            (target,) = [it for it in rig._owned if hasattr(it, "endpoint")]
            left = change(tun)
            started = monotonic()
            client, server = await rig.pair(at, target)
            assert monotonic() - started < 1.0
            await client.echo(server)
            assert [(it.tunnel, it.reason) for it in rig.dial_failures] == [("tun-a", DialFailure.NOT_PROVEN)]
            assert rig.stats.dial_failures == {("forward-0", "tun-a", DialFailure.NOT_PROVEN): 1}
            if fault != "gone":  # a descriptor without a device cannot be read
                assert packets_to_the_target(tun) == 0
            if isinstance(left, Tun):
                assert packets_to_the_target(left) == 0
                left.close()

    with_device(scenario)


@pytest.mark.lab
def test_with_no_other_tunnel_the_client_is_reset_and_nothing_leaves_by_the_default_route() -> None:
    async def scenario(tun: Tun) -> None:
        async with running_rig() as rig:
            rig.offer(path_of(tun))
            at = rig.forward(Endpoint(TARGET, 8080), tunnels=("tun-a",))
            tun.up(False)  # takes its routes along: the default route is all that leads to the target now
            for _ in range(3):
                client = await rig.connect(at)
                await client.receive_until_reset()
            assert rig.stats.connections == {("forward-0", ConnectResult.DIAL_FAILED): 3}
            assert rig.stats.dial_failures == {("forward-0", "tun-a", DialFailure.NOT_PROVEN): 3}

    with_tunnel(scenario)


@pytest.mark.lab
def test_a_dial_leaves_by_its_tunnel_and_by_nothing_else_whatever_happens_to_the_device() -> None:
    async def scenario(tun: Tun) -> None:
        async with running_rig() as rig:
            rig.offer(path_of(tun))
            at = rig.forward(Endpoint(TARGET, 8080), tunnels=("tun-a",), connect_timeout=3.0)
            await rig.connect(at)
            await eventually(lambda: rig.engine.sessions)
            assert rig.upstream.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX) == tun.index
            assert packets_to_the_target(tun) == 1
            ip("link set tun-a down")  # the SYN is due again in a second, and the dial is given up in three
            await rig.idle()
            assert rig.stats.connections == {("forward-0", ConnectResult.DIAL_FAILED): 1}

    with_tunnel(scenario)


@pytest.mark.lab
def test_what_times_out_by_one_tunnel_goes_on_by_the_next_with_early_bytes_intact() -> None:
    async def scenario(tun: Tun) -> None:
        ip(f"route add {TARGET}/32 dev tun-a")
        async with running_rig() as rig:
            at = await _serves_by_lo(rig, tun)
            (target,) = [it for it in rig._owned if hasattr(it, "endpoint")]
            client = await rig.connect(at)
            await client.send(b"early")
            server = await target.accept()
            assert await server.receive() == b"early"
            await client.echo(server)
            assert [(it.tunnel, it.reason) for it in rig.dial_failures] == [("tun-a", DialFailure.TIMED_OUT)]
            assert packets_to_the_target(tun) >= 1
            assert rig.stats.active == {("forward-0", "tun-a"): 0, ("forward-0", "lo-b"): 1}

    with_device(scenario)


@pytest.mark.lab
def test_unreachable_said_by_the_far_side_goes_on_at_once() -> None:
    """The other end of the tunnel answers the SYN with ICMP "host unreachable"."""

    async def scenario(tun: Tun) -> None:
        ip(f"route add {TARGET}/32 dev tun-a")
        async with running_rig() as rig:
            at = await _serves_by_lo(rig, tun)
            (target,) = [it for it in rig._owned if hasattr(it, "endpoint")]
            client = await rig.connect(at)
            await client.send(b"early")
            await eventually(lambda: rig.engine.sessions)
            os.set_blocking(tun._fd, False)
            started = monotonic()
            await eventually(lambda: _answers_unreachable(tun))
            server = await target.accept()
            assert monotonic() - started < 1.0
            assert await server.receive() == b"early"
            assert [(it.tunnel, it.reason) for it in rig.dial_failures] == [("tun-a", DialFailure.UNREACHABLE)]

    with_device(scenario)


def _answers_unreachable(tun: Tun) -> bool:
    try:
        packet = os.read(tun._fd, 65536)
    except BlockingIOError:
        return False
    if packet[16:20] != socket.inet_aton(TARGET):
        return False
    icmp = struct.pack("!BBHI", 3, 1, 0, 0) + packet[:28]
    icmp = icmp[:2] + struct.pack("!H", _checksum(icmp)) + icmp[4:]
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), 0, 0, 64, 1, 0, socket.inet_aton("10.20.0.1"), packet[12:16]
    )
    os.write(tun._fd, header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + icmp)
    return True


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


@pytest.mark.lab
def test_the_mss_of_a_tunnel_is_in_its_syn_also_on_a_socket_that_was_used_before() -> None:
    async def scenario(tun: Tun) -> None:
        async with running_rig() as rig:
            rig.offer(Path(tunnel="tun-a", interface="tun-a", ifindex=tun.index, mss=1111))
            at = rig.forward(Endpoint(TARGET, 8080), tunnels=("tun-a",), connect_timeout=5.0)
            client = await rig.connect(at)
            await eventually(lambda: rig.engine.sessions)
            assert _mss_of_the_syn(tun) == 1111
            client.reset()
            await rig.idle()

    with_tunnel(scenario)


def _mss_of_the_syn(tun: Tun) -> int:
    os.set_blocking(tun._fd, False)
    while True:
        packet = os.read(tun._fd, 65536)
        if packet[0] >> 4 == 4 and packet[9] == 6:
            kind, length, mss = struct.unpack_from("!BBH", packet, 40)
            assert (kind, length) == (2, 4)
            return int(mss)
