"""Clients that wait for a tunnel: who does, for how long, and what becomes of them."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from time import monotonic

import pytest
from structlog.testing import capture_logs

from gateway.dataplane.engine import EngineOptions
from gateway.dataplane.native import unread
from gateway.dataplane.session import Phase
from gateway.model import CloseReason, ConnectResult, DialFailure, Endpoint, HoldResult, ListenAddress, PortMap
from tests.control.namespace import ip
from tests.dataplane.rig import OPTIONS, Peer, Rig, Target, eventually, open_descriptors, running_rig
from tests.dataplane.test_dialer import QUICKLY, failures, results, silent_target
from tests.dataplane.test_listener import no_descriptors_left
from tests.dataplane.test_proof import TARGET, _answers_unreachable, path_of, with_device

NEVER = 60.0


def holds(rig: Rig) -> dict[HoldResult, int]:
    return {result: count for (_, result), count in rig.stats.holds.items()}


def held(rig: Rig) -> int:
    count = sum(rig.stats.held.values())
    assert count == len(rig.engine._holds.held)
    return count


def without_tunnels(rig: Rig, **settings: object) -> tuple[Endpoint, Target]:
    """A forward that lets clients wait, and has no tunnel now."""
    target = rig.target()
    at = rig.forward(target.endpoint, **{"hold_timeout": NEVER, **settings})
    rig.offer()
    rig.apply()
    return at, target


async def waiting(rig: Rig, at: Endpoint, count: int = 1) -> list[Peer]:
    """`count` more clients that wait, in their order."""
    already = held(rig)
    clients = [await rig.connect(at) for _ in range(count)]
    await eventually(lambda: held(rig) == already + count)
    return clients


def a_tunnel_comes(rig: Rig, name: str = "lo-a") -> None:
    rig.offer(rig.path(name))
    rig.apply()


# ---------------------------------------------------------------- the wait and its end


async def test_a_client_waits_and_is_served_by_the_table_that_has_a_tunnel(rig: Rig) -> None:
    at, target = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    await client.send(b"early")
    assert (rig.engine.sessions, rig.stats.sessions, rig.stats.held) == (1, 1, {"forward-0": 1})
    assert results(rig) == {}
    a_tunnel_comes(rig)
    server = await target.accept()
    assert await server.receive_exactly(5) == b"early"
    await client.echo(server)
    assert rig.stats.held == {}
    assert holds(rig) == {HoldResult.SERVED: 1}
    assert results(rig) == {ConnectResult.OK: 1}
    client.finish_sending()
    server.finish_sending()
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


async def test_nothing_is_read_of_a_client_that_waits(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    await client.send(bytes(5000))
    (session,) = rig.engine._holds.held
    await eventually(lambda: session.watched)
    await client.send(bytes(5000))
    await eventually(lambda: unread(session.up.source.fileno()) == 10_000)
    a_tunnel_comes(rig)
    assert await (await target.accept()).receive_exactly(10_000) == bytes(10_000)


async def test_a_name_without_an_address_is_waited_for(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(Endpoint("db.corp", target.endpoint.port), hold_timeout=NEVER)
    rig.apply(addresses={})
    (client,) = await waiting(rig, at)
    rig.addresses = {"db.corp": ("127.0.0.1",)}
    rig.apply()
    await client.echo(await target.accept())


async def test_after_hold_timeout_the_client_is_reset(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig, hold_timeout=0.2)
    before = open_descriptors()
    started = monotonic()
    client = await rig.connect(at)
    await client.send(b"hello")
    await client.receive_until_reset()
    assert 0.2 <= monotonic() - started < 0.2 + QUICKLY
    assert holds(rig) == {HoldResult.TIMED_OUT: 1}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}
    (ended,) = rig.ended
    assert (ended.result, ended.reason, ended.tunnel) == (ConnectResult.NO_TUNNEL, None, None)
    assert ended.duration >= 0.2
    client.close()
    assert open_descriptors() == before
    assert (rig.engine.sessions, held(rig)) == (0, 0)
    a_tunnel_comes(rig)
    assert target.saw_nobody()


async def test_a_wait_is_not_idleness(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig, idle_timeout=3.0)
    (client,) = await waiting(rig, at)
    (session,) = rig.engine._holds.held
    session.last_active -= 5  # so long has it waited
    a_tunnel_comes(rig)
    server = await target.accept()
    await eventually(lambda: session.phase is Phase.RELAYING)
    rig.engine._sweep_timer.cancel()
    rig.engine._sweep()
    await server.send(b"hello")
    assert await client.receive() == b"hello"


async def test_without_hold_timeout_nobody_waits(plain_rig: Rig) -> None:
    rig = plain_rig
    at, _ = without_tunnels(rig, hold_timeout=0.0)
    await (await rig.connect(at)).receive_until_reset()
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}
    assert rig.stats.holds == {}


async def test_a_reload_that_ends_waiting_ends_the_waits(plain_rig: Rig) -> None:
    rig = plain_rig
    at, _ = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    rig.respecify(hold_timeout=0.0)
    await client.receive_until_reset()
    assert holds(rig) == {HoldResult.TIMED_OUT: 1}


async def test_more_than_hold_max_are_reset(rig: Rig) -> None:
    at, target = without_tunnels(rig, hold_max=2)
    clients = await waiting(rig, at, 2)
    await (await rig.connect(at)).receive_until_reset()
    assert holds(rig) == {HoldResult.LIMITED: 1}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}
    clients[0].reset()
    await eventually(lambda: held(rig) == 1)
    clients += await waiting(rig, at)  # there is room again
    a_tunnel_comes(rig)
    for client in clients[1:]:
        await client.echo(await target.accept())


async def test_a_client_that_resets_while_it_waits_has_left(rig: Rig) -> None:
    at, _ = without_tunnels(rig)
    before = open_descriptors()
    for says in (b"", b"never mind"):
        (client,) = await waiting(rig, at)
        await client.send(says)
        client.reset()
        await rig.idle()
    assert holds(rig) == {HoldResult.LEFT: 2}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 2}
    assert {ended.reason for ended in rig.ended} == {CloseReason.CLIENT_RESET}
    assert open_descriptors() == before


async def test_a_client_that_half_closes_while_it_waits_gets_its_answer(rig: Rig) -> None:
    at, target = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    await client.send(b"question")
    client.finish_sending()
    (session,) = rig.engine._holds.held
    await eventually(lambda: session.up.read_on)
    a_tunnel_comes(rig)
    server = await target.accept()
    assert await server.receive_all() == b"question"
    await server.send(b"answer")
    server.finish_sending()
    assert await client.receive_all() == b"answer"
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


async def test_a_dial_of_last_resort_after_a_wait_is_counted(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    rig.offer(rig.path("lo-a"), last_resort=True)
    rig.apply()
    await client.echo(await target.accept())
    assert rig.stats.last_resort == {"forward-0": 1}


# ---------------------------------------------------------------- many


async def test_a_thousand_are_served_in_their_order_and_in_bounded_turns(rig: Rig) -> None:
    at, target = without_tunnels(rig)
    clients = await waiting(rig, at, 1000)
    numbers = {client.address.port: number for number, client in enumerate(clients)}
    a_tunnel_comes(rig)
    dialled = 1000 - held(rig)
    assert 0 < dialled < 1000
    for _ in clients:
        await target.accept()
    turns: dict[float, list[int]] = {}
    for session in rig.sessions:
        turns.setdefault(session.begun_at, []).append(numbers[session.up.source.getpeername()[1]])
    assert max(map(len, turns.values())) <= 128
    assert [number for moment in sorted(turns) for number in sorted(turns[moment])] == list(range(1000))
    assert holds(rig) == {HoldResult.SERVED: 1000}


async def test_the_tunnel_goes_again_while_they_are_being_served(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig)
    clients = await waiting(rig, at, 500)
    a_tunnel_comes(rig)
    rig.offer()
    rig.apply()
    left = held(rig)
    assert left >= 500 - 128  # those whose turn had not come, and perhaps those whose dial was not over
    await asyncio.sleep(0)
    assert held(rig) == left
    a_tunnel_comes(rig, "lo-b")
    accepted = 0
    while accepted < left:
        await target.accept()
        accepted += 1
    await eventually(lambda: not held(rig))
    assert results(rig).get(ConnectResult.OK) == 500
    assert len(clients) == 500


async def test_each_of_two_forwards_waits_for_its_own(plain_rig: Rig) -> None:
    rig = plain_rig
    first, first_target = without_tunnels(rig)
    second, second_target = without_tunnels(rig)
    (one,), (other,) = await waiting(rig, first), await waiting(rig, second)
    choices = {("forward-0", first_target.endpoint): rig.choice}
    rig.offer(rig.path("lo-a"))
    rig.apply(choices=dict.fromkeys(choices, rig.choice))
    await one.echo(await first_target.accept())
    assert rig.stats.held == {"forward-1": 1}
    rig.apply()
    await other.echo(await second_target.accept())


# ---------------------------------------------------------------- limits


async def test_who_waits_counts_among_the_sessions_and_under_the_forwards_limit() -> None:
    async with running_rig(EngineOptions(max_sessions=3)) as rig:
        at, target = without_tunnels(rig, max_connections=2)
        clients = await waiting(rig, at, 2)
        await (await rig.connect(at)).receive_until_reset()
        assert rig.stats.connections[("forward-0", ConnectResult.LIMITED)] == 1
        other, other_target = without_tunnels(rig)
        clients += await waiting(rig, other)
        late = await rig.connect(other)
        await eventually(lambda: rig.stats.accept_pauses)
        assert rig.engine.sessions == 3
        a_tunnel_comes(rig)
        for client, its_target in zip(clients, (target, target, other_target), strict=True):
            await client.echo(await its_target.accept())
        clients[0].reset()
        await late.echo(await other_target.accept())


async def test_a_shortage_of_descriptors_costs_nobody_his_place(rig: Rig) -> None:
    at, target = without_tunnels(rig)
    clients = await waiting(rig, at, 3)
    late = rig.owns(Peer(socket.socket()))
    with capture_logs() as logs, no_descriptors_left():
        late.sock.connect_ex(tuple(at))
        await eventually(lambda: rig.stats.accept_pauses)
        assert held(rig) == 3
    assert {entry["event"] for entry in logs} == {"accept.paused"}
    await eventually(lambda: held(rig) == 4)
    a_tunnel_comes(rig)
    for client in (*clients, late):
        await client.echo(await target.accept())


# ---------------------------------------------------------------- back to waiting


async def test_a_client_whose_tunnel_falls_during_its_dial_waits_for_the_next(rig: Rig) -> None:
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1",)}
    with silent_target("127.0.0.1", port):
        at = rig.forward(Endpoint("db.corp", port), hold_timeout=NEVER, connect_timeout=NEVER)
        client = await rig.connect(at)
        await client.send(b"early")
        await eventually(lambda: rig.engine.sessions)
        rig.offer()
        rig.apply()
        assert held(rig) == 1
        assert failures(rig) == [("lo-a", DialFailure.TUNNEL_DOWN)]
        assert (rig.stats.active, rig.stats.sessions) == ({("forward-0", "lo-a"): 0}, 1)
        rig.addresses = {"db.corp": ("127.0.0.2",)}
        a_tunnel_comes(rig, "lo-b")
    server = await target.accept()
    assert await server.receive_exactly(5) == b"early"
    await client.echo(server)
    assert results(rig) == {ConnectResult.OK: 1}
    assert holds(rig) == {HoldResult.SERVED: 1}


async def test_what_is_left_of_hold_timeout_counts_from_the_accept(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        at = rig.forward(endpoint, hold_timeout=0.4, connect_timeout=NEVER)
        started = monotonic()
        client = await rig.connect(at)
        await eventually(lambda: rig.engine.sessions and monotonic() - started > 0.2)
        rig.offer()
        rig.apply()
        assert held(rig) == 1
        await client.receive_until_reset()
        assert 0.4 <= monotonic() - started < 0.4 + QUICKLY
    assert holds(rig) == {HoldResult.TIMED_OUT: 1}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}


async def test_with_nothing_left_of_hold_timeout_the_dial_has_failed(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, hold_timeout=0.1, connect_timeout=NEVER))
        await eventually(lambda: rig.engine.sessions)
        (session,) = rig.sessions
        await eventually(lambda: monotonic() > session.accepted_at + 0.1)
        rig.offer()
        rig.apply()
        await client.receive_until_reset()
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.stats.holds == {}


async def test_beyond_hold_max_a_fallen_dial_is_reset(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        at = rig.forward(endpoint, hold_timeout=NEVER, connect_timeout=NEVER, hold_max=1)
        clients = [await rig.connect(at) for _ in range(3)]
        await eventually(lambda: rig.engine.sessions == 3)
        rig.offer()
        rig.apply()
        for client in clients[1:]:
            await client.receive_until_reset()
        assert held(rig) == 1
    assert holds(rig) == {HoldResult.LIMITED: 2}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 2}


async def test_a_path_that_is_not_proven_is_waited_for(rig: Rig) -> None:
    target = rig.target()
    rig.offer(rig.path("lo-a", ifindex=1 << 20))
    at = rig.forward(target.endpoint, hold_timeout=NEVER)
    (client,) = await waiting(rig, at)
    assert failures(rig) == [("lo-a", DialFailure.NOT_PROVEN)]
    a_tunnel_comes(rig)
    await client.echo(await target.accept())
    assert failures(rig) == [("lo-a", DialFailure.NOT_PROVEN)]
    assert holds(rig) == {HoldResult.SERVED: 1}


async def test_no_client_fails_while_tunnels_fall_and_come_back(rig: Rig) -> None:
    """First the device is gone, then the table says so, then another tunnel is there: clients come all the while."""
    target = rig.target()
    at = rig.forward(target.endpoint, hold_timeout=NEVER)
    asyncio.get_running_loop().add_reader(target.sock, _greet, rig, target)
    clients = []
    for number in range(10):
        name = ("lo-a", "lo-b")[number % 2]
        for paths in ((rig.path(name),), (rig.path(name, ifindex=1 << 20),), ()):
            rig.offer(*paths)
            rig.apply()
            for _ in range(5):
                clients.append(await rig.connect(at))
                await asyncio.sleep(0.002)
    a_tunnel_comes(rig)
    for client in clients:
        assert await client.receive_exactly(5) == b"hello"
    asyncio.get_running_loop().remove_reader(target.sock)
    assert results(rig) == {ConnectResult.OK: 150}
    assert {reason for _, reason in failures(rig)} <= {DialFailure.NOT_PROVEN, DialFailure.TUNNEL_DOWN}
    assert holds(rig).keys() == {HoldResult.SERVED}


def _greet(rig: Rig, target: Target) -> None:
    with suppress(BlockingIOError):
        while True:
            peer = rig.owns(Peer(target.sock.accept()[0]))
            with suppress(ConnectionError):  # it was given up at the last moment
                peer.sock.send(b"hello")


async def test_a_path_that_stays_unproven_is_tried_again_now_and_then(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    rig.offer(rig.path("lo-a", ifindex=1 << 20))
    at = rig.forward(target.endpoint, hold_timeout=NEVER)
    await waiting(rig, at)
    started = monotonic()
    await eventually(lambda: len(rig.dial_failures) >= 3)
    assert monotonic() - started >= 0.9
    assert held(rig) == 1
    assert rig.stats.holds == {}, "a dial that fails at once has ended no wait"


async def test_a_kernel_without_a_route_is_waited_for(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    rig.addresses = {"db.corp": ("2001:db8::1",)}  # nothing of 2001:db8:: lies behind `lo`
    at = rig.forward(Endpoint("db.corp", target.endpoint.port), hold_timeout=NEVER)
    (client,) = await waiting(rig, at)
    assert failures(rig) == [("lo-a", DialFailure.UNREACHABLE)]
    rig.addresses = {"db.corp": ("127.0.0.1",)}
    rig.apply()
    await client.echo(await target.accept())


@pytest.mark.lab
def test_a_client_waits_through_the_loss_of_carrier_although_no_table_says_so() -> None:
    async def scenario(tun: object) -> None:
        ip(f"addr add {TARGET}/32 dev lo", "link add veth-a type veth peer name veth-b", "link set veth-a up")
        async with running_rig() as rig:
            target = rig.target(TARGET)
            index = socket.if_nametoindex("veth-a")
            rig.offer(rig.path("veth", interface="veth-a", ifindex=index))
            at = rig.forward(target.endpoint, tunnels=("veth", "lo-b"), hold_timeout=NEVER)
            (client,) = await waiting(rig, at)  # its peer is down: no carrier
            assert failures(rig) == [("veth", DialFailure.NOT_PROVEN)]
            rig.offer(rig.path("veth", interface="veth-a", ifindex=index), rig.path("lo-b"))
            rig.apply()
            await client.echo(await target.accept())
            assert holds(rig) == {HoldResult.SERVED: 1}

    with_device(scenario)


@pytest.mark.lab
def test_a_device_that_goes_during_a_dial_is_waited_for_and_a_routers_word_is_not() -> None:
    async def scenario(tun: object) -> None:
        ip(f"route add {TARGET}/32 dev tun-a")
        async with running_rig() as rig:
            rig.offer(path_of(tun))  # type: ignore[arg-type]
            at = rig.forward(Endpoint(TARGET, 8080), tunnels=("tun-a",), hold_timeout=NEVER, connect_timeout=NEVER)
            client = await rig.connect(at)
            await eventually(lambda: rig.engine.sessions)
            await eventually(lambda: _answers_unreachable(tun))  # type: ignore[arg-type]
            await client.receive_until_reset()
            assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
            await rig.connect(at)
            await eventually(lambda: rig.engine.sessions)
            (session,) = rig.sessions
            ip("link set tun-a down")
            rig.engine.begin_batch()
            rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
            assert held(rig) == 1

    with_device(scenario)


async def test_what_the_target_says_and_what_times_out_is_not_waited_for(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint, hold_timeout=NEVER)
    target.close()
    await (await rig.connect(at)).receive_until_reset()
    with silent_target() as endpoint:
        await (await rig.connect(rig.forward(endpoint, hold_timeout=NEVER, connect_timeout=0.1))).receive_until_reset()
    resetting = rig.target()
    client = await rig.connect(rig.forward(resetting.endpoint, hold_timeout=NEVER))
    rig.engine._serve(rig.engine._poll(0, 64))
    Peer(resetting.sock.accept()[0]).reset()
    await client.receive_until_reset()
    assert [reason for _, reason in failures(rig)] == [DialFailure.REFUSED, DialFailure.TIMED_OUT, DialFailure.RESET]
    assert rig.stats.holds == {}
    await rig.idle()


# ---------------------------------------------------------------- the deadline of the dial after a wait


async def test_connect_timeout_counts_from_the_dial_and_is_shared_anew(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    with silent_target("127.0.0.1", port):
        at = rig.forward(Endpoint("db.corp", port), hold_timeout=NEVER, connect_timeout=0.4)
        rig.offer()
        rig.apply()
        (client,) = await waiting(rig, at)
        (session,) = rig.engine._holds.held
        await eventually(lambda: monotonic() > session.accepted_at + 0.5)
        a_tunnel_comes(rig)
        started = monotonic()
        server = await target.accept()
        assert 0.2 <= monotonic() - started < 0.2 + QUICKLY
        await client.echo(server)
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)]


# ---------------------------------------------------------------- the forward changes


async def test_a_forward_that_is_gone_ends_its_waits(rig: Rig) -> None:
    at, _ = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    rig.forwards.clear()
    rig.apply()
    await client.receive_until_reset()
    assert holds(rig) == {HoldResult.ENDED: 1}
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}
    assert rig.engine.sessions == 0


async def test_a_dial_that_fails_after_its_forward_is_gone_has_nothing_to_wait_for(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, hold_timeout=NEVER, connect_timeout=NEVER))
        await eventually(lambda: rig.engine.sessions)
        rig.forwards.clear()
        rig.apply()
        assert rig.engine.sessions == 1
        rig.engine._dialer.failed(rig.sessions[0], DialFailure.TUNNEL_DOWN)
        await client.receive_until_reset()
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.stats.holds == {}


async def test_a_forward_that_has_another_target_serves_those_who_wait_there(plain_rig: Rig) -> None:
    rig = plain_rig
    at, old = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    new = rig.target()
    rig.respecify(ports=(PortMap(listen=ListenAddress(at.host, at.port), target=new.endpoint),))
    a_tunnel_comes(rig)
    await client.echo(await new.accept())
    assert old.saw_nobody()


# ---------------------------------------------------------------- drain, stop


async def test_who_waits_when_the_drain_begins_may_go_on_waiting_and_is_served(rig: Rig) -> None:
    at, target = without_tunnels(rig)
    (client,) = await waiting(rig, at)
    rig.engine.drain()
    assert rig.engine.sessions == 1
    rig.apply()
    assert held(rig) == 1
    a_tunnel_comes(rig)
    await client.echo(await target.accept())


async def test_who_waits_during_a_drain_still_gives_up_in_time(plain_rig: Rig) -> None:
    rig = plain_rig
    at, _ = without_tunnels(rig, hold_timeout=0.2)
    (client,) = await waiting(rig, at)
    rig.engine.drain()
    await client.receive_until_reset()
    await rig.idle()
    assert holds(rig) == {HoldResult.TIMED_OUT: 1}


@pytest.mark.parametrize("option", OPTIONS)
async def test_stop_resets_those_who_wait_and_leaves_nothing_open(option: str) -> None:
    before = open_descriptors()
    async with running_rig(OPTIONS[option]) as rig:
        at, _ = without_tunnels(rig)
        clients = await waiting(rig, at, 300)
        a_tunnel_comes(rig)  # some are being dialled, and a turn is due for the rest
        assert 0 < held(rig) < 300
        left = held(rig)
        with capture_logs() as logs:
            assert rig.stop() == 300
            for client in clients:
                await client.receive_until_reset()
            await asyncio.sleep(0)
        assert logs == []
        assert holds(rig) == {HoldResult.SERVED: 300 - left, HoldResult.ENDED: left}
        assert results(rig)[ConnectResult.NO_TUNNEL] == left
        assert rig.engine.sessions == 0
    assert open_descriptors() == before


async def test_a_bug_while_serving_costs_one_client_and_no_other(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = plain_rig
    at, target = without_tunnels(rig)
    clients = await waiting(rig, at, 3)
    real, calls = rig.engine._holds._dial, 0

    def dial(*args: object) -> None:
        nonlocal calls
        calls += 1
        real(*args)  # type: ignore[arg-type]
        if calls == 1:
            raise RuntimeError("a bug")

    monkeypatch.setattr(rig.engine._holds, "_dial", dial)
    with capture_logs() as logs:
        a_tunnel_comes(rig)
    assert [entry["event"] for entry in logs] == ["session.failed"]
    await clients[0].receive_until_reset()
    await target.accept()  # of the first, which was reset
    for client in clients[1:]:
        await client.echo(await target.accept())
