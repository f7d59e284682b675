"""Vitals: from tables of what the kernel says, and from real sockets through a veth pair whose far end plays faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from gateway.dataplane import tcp_info
from gateway.dataplane.tcp_info import TcpInfo
from gateway.dataplane.vitals import heard_at, large_lost, unacknowledged_since
from gateway.model import Endpoint, ListenAddress, PortMap, Vitals
from tests.control.namespace import in_namespace
from tests.dataplane.far_end import FarEnd
from tests.dataplane.rig import Peer, Rig, Target, eventually, free_port, running_rig
from tests.dataplane.test_dialer import silent_target
from tests.dataplane.test_tcp_info import QUIET

A, B = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)
NOW = 1000.0
WAITING = QUIET._replace(
    unacked=5, last_data_sent=900, last_ack_recv=2000, last_data_recv=2500, busy_time=30_000_000, backoff=3,
    retransmits=3, rto=1_632_000, bytes_sent=5 * 1448,
)  # fmt: skip
LARGE_LOST = WAITING._replace(snd_mss=1448, bytes_sent=10 * 1448, unacked=10)
LARGE_PASSED = QUIET._replace(bytes_sent=144_800, bytes_acked=144_801, delivered=100)


# ---------------------------------------------------------------- what the numbers say


def test_a_target_was_heard_when_any_of_its_sessions_heard_it() -> None:
    newer = QUIET._replace(last_data_recv=700)
    assert heard_at([(A, QUIET), (A, newer), (B, QUIET)], NOW) == {A: NOW - 0.7, B: NOW - 2.8}
    assert heard_at([], NOW) == {}


@pytest.mark.parametrize(
    ("readings", "since"),
    [
        ([], {}),
        ([(A, QUIET)], {}),
        ([(A, WAITING)], {A: NOW - 2.0}),
        ([(A, WAITING), (B, QUIET)], {A: NOW - 2.0}),
        ([(A, WAITING), (A, WAITING._replace(last_ack_recv=1500))], {A: NOW - 1.5}),  # nobody heard anything since
        ([(A, WAITING), (A, QUIET._replace(last_data_recv=100))], {}),  # the target lives: one connection is stuck
        ([(A, WAITING), (B, QUIET._replace(last_data_recv=100))], {A: NOW - 2.0}),
        ([(A, WAITING._replace(snd_wnd=0))], {}),
        ([(A, WAITING._replace(last_ack_recv=990))], {}),
        ([(A, WAITING._replace(rtt=400_000))], {A: NOW - 2.0}),
        ([(A, WAITING._replace(rtt=600_000))], {}),  # 4 round trips are not over
    ],
)
def test_a_target_waits_since_nobody_heard_of_it(
    readings: list[tuple[Endpoint, TcpInfo]], since: dict[Endpoint, float]
) -> None:
    assert unacknowledged_since(readings, heard_at(readings, NOW), NOW) == since


@pytest.mark.parametrize(
    ("infos", "mss"),
    [
        ([], None),
        ([QUIET, LARGE_PASSED], None),
        ([LARGE_LOST], 1448),
        ([LARGE_LOST, LARGE_LOST._replace(snd_mss=1300), QUIET], 1300),
        ([LARGE_LOST._replace(bytes_acked=201, delivered=4, bytes_sent=14_680)], 1448),  # small ones passed
        ([LARGE_LOST._replace(sacked=1)], 1448),  # the small end of what was sent passed
        ([LARGE_LOST._replace(sacked=4)], None),  # that many cannot all be small
        ([LARGE_LOST._replace(retransmits=2)], None),
        ([LARGE_LOST._replace(snd_mss=536)], None),
        ([LARGE_LOST._replace(bytes_sent=1000)], None),  # a small one is lost
        ([LARGE_LOST._replace(snd_wnd=0)], None),
        ([LARGE_LOST._replace(bytes_acked=144_801, bytes_sent=159_280, delivered=100)], None),  # large ones passed
        ([LARGE_LOST, LARGE_PASSED], None),  # chance, until it is more than that
        ([LARGE_LOST, LARGE_LOST, LARGE_PASSED], 1448),
        ([LARGE_LOST, LARGE_PASSED._replace(retransmits=4)], 1448),  # the hole came after these had passed
        ([LARGE_LOST._replace(bytes_sent=1500, unacked=2)], None),  # one large one, sent four times in all
        ([LARGE_LOST._replace(bytes_sent=1500, unacked=2, retransmits=5)], 1448),
        ([LARGE_LOST._replace(bytes_sent=1500, unacked=2)] * 2, 1448),
    ],
)
def test_large_segments_that_get_lost_again_and_again(infos: list[TcpInfo], mss: int | None) -> None:
    assert large_lost(infos) == mss


# ---------------------------------------------------------------- of an engine


async def test_a_tunnel_without_traffic_has_nothing_to_say(plain_rig: Rig) -> None:
    assert plain_rig.engine.vitals("unheard") == Vitals()
    plain_rig.forward(plain_rig.target().endpoint)
    assert plain_rig.engine.vitals("lo-a") == Vitals()


async def test_the_last_dial_that_worked_by_target_and_tunnel(rig: Rig) -> None:
    target, other = rig.target(), rig.target()
    ends = [rig.forward(target.endpoint), rig.forward(target.endpoint), rig.forward(other.endpoint)]
    before = monotonic()
    for at, it in zip(ends, (target, target, other), strict=True):
        await (await rig.connect(at)).echo(await it.accept())
    dialled = rig.engine.vitals("lo-a").dialled
    assert dialled.keys() == {target.endpoint, other.endpoint}
    assert all(before - 0.1 <= at <= monotonic() for at in dialled.values())
    await (await rig.connect(ends[0])).echo(await target.accept())
    again = rig.engine.vitals("lo-a").dialled
    assert again[target.endpoint] > dialled[target.endpoint]
    assert again[other.endpoint] == dialled[other.endpoint]
    assert rig.engine.vitals("lo-b").dialled == {}
    moved = Endpoint("127.0.0.1", free_port())
    rig.respecify(2, ports=(PortMap(listen=rig.forwards[2].ports[0].listen, target=moved),))
    assert rig.engine.vitals("lo-a").dialled.keys() == {target.endpoint}
    for lane in rig.engine._ledger.lanes():
        lane.connected_at -= 60.0
    assert rig.engine.vitals("lo-a").dialled == {}


async def test_a_forward_of_several_targets_does_not_say_which_was_dialled(plain_rig: Rig) -> None:
    target = plain_rig.target()
    at = plain_rig.forward(target.endpoint)
    more = PortMap(listen=ListenAddress("127.0.0.1", free_port()), target=Endpoint("127.0.0.1", 1))
    plain_rig.respecify(ports=(*plain_rig.forwards[0].ports, more))
    await (await plain_rig.connect(at)).echo(await target.accept())
    assert plain_rig.engine.vitals("lo-a").dialled == {}
    await eventually(lambda: target.endpoint in plain_rig.engine.vitals("lo-a").heard)


async def test_the_earliest_dial_under_way_by_target(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as one, silent_target("127.0.0.2") as other:
        before = monotonic()
        clients = [await rig.connect(rig.forward(endpoint, connect_timeout=30.0)) for endpoint in (one, one, other)]
        await eventually(lambda: rig.engine.sessions == 3)
        unanswered = rig.engine.vitals("lo-a").unanswered
        assert unanswered == {
            target: min(it.dialled_at for it in rig.sessions if it.plan.ports.target == target)
            for target in (one, other)
        }
        assert all(before - 0.1 <= at <= monotonic() for at in unanswered.values())
        assert rig.engine.vitals("lo-b").unanswered == {}
        for client in clients:
            client.reset()
        await rig.idle()
    assert rig.engine.vitals("lo-a").unanswered == {}


async def test_of_a_thousand_sessions_few_are_asked(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    target = plain_rig.target()
    at = plain_rig.forward(target.endpoint)
    for _ in range(1000):
        client, _ = await plain_rig.pair(at, target)
        await client.send(b"x")
    await eventually(lambda: plain_rig.engine.vitals("lo-a").rtt is not None)
    asked = 0

    def counted(sock: object) -> TcpInfo:
        nonlocal asked
        asked += 1
        return QUIET

    monkeypatch.setattr(tcp_info, "read", counted)
    vitals = plain_rig.engine.vitals("lo-a")
    assert 0 < asked <= 80
    assert vitals.heard.keys() == {target.endpoint}
    assert vitals.rtt == QUIET.rtt / 1e6


# ---------------------------------------------------------------- through a tunnel

Look = Callable[[], Vitals]


def through_a_tunnel(scenario: Callable[[Rig, FarEnd], Awaitable[None]]) -> None:
    async def inside() -> None:
        with FarEnd() as far:
            async with running_rig() as rig:
                rig.offer(far.path(rig))
                await scenario(rig, far)

    in_namespace(inside)


async def throughout(seconds: float, check: Callable[[], None]) -> None:
    """`check` time and again for so long."""
    until = monotonic() + seconds
    while monotonic() < until:
        check()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def flowing(source: Peer, sink: Peer | None) -> AsyncIterator[None]:
    """As much as goes flows from `source`; `sink` takes it, None: nobody does."""
    loop = asyncio.get_running_loop()

    async def send() -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await loop.sock_sendall(source.sock, bytes(1 << 16))

    async def take(sink: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(sink.sock, 1 << 18):
                pass

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send())] + ([group.create_task(take(sink))] if sink else [])
        yield
        for task in tasks:
            task.cancel()


async def sampled(rig: Rig, target: Target) -> None:
    await eventually(lambda: target.endpoint in rig.engine.vitals("tun-a").heard)


@pytest.mark.lab
def test_a_healthy_bulk_transfer_is_heard_all_the_time_and_waits_for_nothing() -> None:
    async def scenario(rig: Rig, far: FarEnd) -> None:
        target = far.target(rig)
        client, server = await rig.pair(rig.forward(target.endpoint), target)
        async with flowing(client, server):
            await sampled(rig, target)

            def healthy() -> None:
                vitals = rig.engine.vitals("tun-a")
                assert monotonic() - vitals.heard[target.endpoint] < 0.5
                assert vitals.unacknowledged_since == {}
                assert vitals.large_lost is None
                assert vitals.rtt is not None
                assert 0 < vitals.rtt < 0.5

            await throughout(2.0, healthy)

    through_a_tunnel(scenario)


@pytest.mark.lab
@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "silent before"])
def test_a_black_hole_shows_since_when_it_swallows(bulk: bool) -> None:
    """Bulk: since the last acknowledgement. Who was silent before: since it sent, though it heard nothing for long."""

    async def scenario(rig: Rig, far: FarEnd) -> None:
        target = far.target(rig)
        client, server = await rig.pair(rig.forward(target.endpoint), target)
        await client.echo(server)
        await sampled(rig, target)
        if bulk:
            async with flowing(client, server):
                await eventually(lambda: rig.sessions[0].up.moved > 1 << 20)
                earliest = monotonic()
                far.black_hole()
                began = monotonic()
                await eventually(lambda: rig.engine.vitals("tun-a").unacknowledged_since)
        else:
            await eventually(lambda: monotonic() - rig.engine.vitals("tun-a").heard[target.endpoint] > 2.0)
            far.black_hole()
            earliest = began = monotonic()
            await client.send(b"anybody there?")
            await eventually(lambda: rig.engine.vitals("tun-a").unacknowledged_since)
        noticed = monotonic() - began

        def right() -> None:
            vitals = rig.engine.vitals("tun-a")
            assert earliest - 0.1 < vitals.unacknowledged_since[target.endpoint] < began + 0.1
            assert vitals.heard[target.endpoint] < began + 0.1

        right()
        assert 0.9 < noticed < 4.0
        await throughout(1.5, right)

    through_a_tunnel(scenario)


@pytest.mark.lab
def test_a_reader_that_does_not_read_is_no_black_hole() -> None:
    async def scenario(rig: Rig, far: FarEnd) -> None:
        target = far.target(rig)
        client, _ = await rig.pair(rig.forward(target.endpoint), target)
        async with flowing(client, None):
            await sampled(rig, target)
            await eventually(lambda: tcp_info.read(rig.upstream).snd_wnd == 0)

            def patient() -> None:
                vitals = rig.engine.vitals("tun-a")
                assert vitals.unacknowledged_since == {}
                assert vitals.large_lost is None

            await throughout(5.0, patient)

    through_a_tunnel(scenario)


@pytest.mark.lab
def test_a_path_mtu_hole_swallows_large_segments_while_small_sessions_live() -> None:
    async def scenario(rig: Rig, far: FarEnd) -> None:
        far.swallow_larger_than(1200)
        target = far.target(rig)
        at = rig.forward(target.endpoint)
        small, small_server = await rig.pair(at, target)
        large, large_server = await rig.pair(at, target)
        await large.echo(large_server)  # what is small passes
        await large.send(bytes(100_000))
        began = monotonic()

        async def chat() -> None:
            while True:
                await small.echo(small_server)
                await asyncio.sleep(0.05)

        async with asyncio.TaskGroup() as group:
            chatting = group.create_task(chat())
            await eventually(lambda: rig.engine.vitals("tun-a").large_lost)
            assert 1.0 < monotonic() - began < 4.0
            upstream = next(it.down.source for it in rig.sessions if it.up.moved > 1000)
            mss = upstream.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
            vitals = rig.engine.vitals("tun-a")
            assert vitals.large_lost == mss > 1200
            assert monotonic() - vitals.heard[target.endpoint] < 0.5
            assert vitals.unacknowledged_since == {}  # the target lives
            chatting.cancel()

        rig.offer(rig.path("tun-a", interface="tun-a", ifindex=far.path(rig).ifindex, mss=1100))  # what policy does
        rig.apply()
        clamped, clamped_server = await rig.pair(at, target)
        await clamped.send(bytes(100_000))
        assert len(await clamped_server.receive_exactly(100_000)) == 100_000

    through_a_tunnel(scenario)
