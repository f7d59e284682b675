"""The engine as the rest of the gateway knows it: apply, abort, drain, stop, stats."""

from __future__ import annotations

import asyncio
import resource
import socket
from dataclasses import replace
from pathlib import Path as File
from time import monotonic

import pytest
from structlog.testing import capture_logs

from gateway.dataplane import engine as engine_module
from gateway.dataplane.engine import EngineOptions
from gateway.dataplane.messages import AbortTunnel, Shed, Stats
from gateway.errors import ListenError
from gateway.model import CloseReason, ConnectResult, ForwardSpec, ListenAddress, PortMap
from tests.dataplane.rig import OPTIONS, Peer, Rig, eventually, free_port, open_descriptors, running_rig
from tests.dataplane.test_dialer import silent_target

MIB = 1 << 20


async def pairs(rig: Rig, count: int, **settings: object) -> list[tuple[Peer, Peer]]:
    target = rig.target()
    at = rig.forward(target.endpoint, **settings)
    return [await rig.pair(at, target) for _ in range(count)]


# ---------------------------------------------------------------- apply


async def test_every_address_that_cannot_be_bound_is_named(plain_rig: Rig) -> None:
    rig = plain_rig
    taken = [rig.target(), rig.target()]
    target = rig.target()
    ports = tuple(PortMap(listen=ListenAddress(*each.endpoint), target=target.endpoint) for each in taken)
    rig.forwards.append(ForwardSpec(name="new", ports=ports, tunnels=("lo-a",)))
    with pytest.raises(ListenError) as caught:
        rig.apply()
    found = {(place, address) for place, address, _ in caught.value.failures}
    assert found == {('forward "new"', str(each.endpoint)) for each in taken}
    assert all("in use" in why for _, _, why in caught.value.failures)


async def test_a_failed_table_leaves_neither_descriptors_nor_settings(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint, max_connections=3)
    client, server = await rig.pair(at, target)
    taken = rig.target()
    before = open_descriptors()
    old = rig.forwards[0]
    free = ListenAddress("127.0.0.1", free_port())
    ports = [PortMap(listen=listen, target=target.endpoint) for listen in (free, ListenAddress(*taken.endpoint))]
    rig.forwards[0] = replace(old, max_connections=0, ports=(*old.ports, *ports))
    with pytest.raises(ListenError):
        rig.apply()
    assert open_descriptors() == before
    later, later_server = await rig.pair(at, target)  # the limit is still 3
    await later.echo(later_server)
    await client.echo(server)


async def test_the_next_accept_goes_by_the_new_table(rig: Rig) -> None:
    first = await pairs(rig, 1)
    rig.offer(rig.path("lo-b"))
    rig.apply()
    listen = rig.forwards[0].ports[0].listen
    client = Peer(socket.socket())
    rig.owns(client)
    client.sock.connect_ex((listen.host, listen.port))
    await eventually(lambda: rig.stats.active.get(("forward-0", "lo-b")) == 1)
    assert rig.stats.active == {("forward-0", "lo-a"): 1, ("forward-0", "lo-b"): 1}
    await first[0][0].echo(first[0][1])


# ---------------------------------------------------------------- abort


async def test_abort_resets_exactly_the_sessions_of_the_tunnel(rig: Rig) -> None:
    """1,000 sessions on one tunnel are reset at once; those on another, and of other forwards, live on."""
    doomed = await pairs(rig, 1000, name="doomed")
    kept = await pairs(rig, 20, name="kept")
    rig.offer(rig.path("lo-b"))
    rig.apply()
    other = await pairs(rig, 20, name="doomed-elsewhere")
    await eventually(lambda: sum(rig.stats.connections.values()) == 1040)
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    rig.apply()
    started = monotonic()
    count = rig.engine.abort(AbortTunnel(tunnel="lo-a", forwards=frozenset({"doomed", "doomed-elsewhere", "unheard"})))
    seconds = monotonic() - started
    assert count == 1000
    assert seconds < 1.0  # loose: 50 ms on a quiet machine
    for client, server in doomed:  # the resets are out already
        for end in (client, server):
            with pytest.raises(ConnectionResetError):
                end.sock.recv(1)
    assert rig.stats.closed == {("doomed", CloseReason.TUNNEL_DOWN): 1000}
    for client, server in kept + other:
        await client.echo(server)
    assert rig.engine.sessions == 40
    assert rig.engine.abort(AbortTunnel(tunnel="lo-a", forwards=frozenset({"doomed"}))) == 0


async def test_an_abort_says_the_reason_it_was_given(plain_rig: Rig) -> None:
    ((client, _),) = await pairs(plain_rig, 1)
    await eventually(lambda: plain_rig.stats.connections)
    order = AbortTunnel(tunnel="lo-a", forwards=frozenset({"forward-0"}), reason=CloseReason.DRAIN)
    assert plain_rig.engine.abort(order) == 1
    await client.receive_until_reset()
    assert plain_rig.stats.closed == {("forward-0", CloseReason.DRAIN): 1}


async def test_abort_of_what_is_unheard_of(plain_rig: Rig) -> None:
    assert plain_rig.engine.abort(AbortTunnel(tunnel="x", forwards=frozenset({"y"}))) == 0


async def test_abort_takes_blocked_sessions_and_their_pipes_too(rig: Rig) -> None:
    ((client, server),) = await pairs(rig, 1)
    await server.fill(rig.sessions[0].down)
    assert rig.engine.abort(AbortTunnel(tunnel="lo-a", forwards=frozenset({"forward-0"}))) == 1
    await client.receive_until_reset()
    await server.receive_until_reset()
    pool = rig.engine._pipes
    assert len(pool._idle) == pool.total


# ---------------------------------------------------------------- shed


async def test_shed_resets_the_longest_idle_and_no_more_than_it_was_told(rig: Rig) -> None:
    ends = await pairs(rig, 6, name="moving")
    kept = await pairs(rig, 2, name="staying")
    await eventually(lambda: sum(rig.stats.connections.values()) == 8)
    by_port = {session.up.source.getpeername()[1]: session for session in rig.sessions}
    for age, (client, _) in enumerate(ends):
        by_port[client.address.port].last_active -= 10 * age  # the last is the longest idle
    order = Shed(forward="moving", tunnel="lo-a", sessions=2)
    assert rig.engine.shed(order) == 2
    for client, server in ends[4:]:
        await client.receive_until_reset()
        await server.receive_until_reset()
    for client, server in ends[:4] + kept:
        await client.echo(server)
    assert rig.stats.closed == {("moving", CloseReason.DRAIN): 2}
    assert rig.engine.shed(replace(order, tunnel="lo-b")) == 0
    assert rig.engine.shed(replace(order, sessions=0)) == 0
    assert rig.engine.shed(replace(order, sessions=100)) == 4
    assert rig.engine.shed(order) == 0


async def test_a_dial_under_way_is_not_shed(plain_rig: Rig) -> None:
    with silent_target() as endpoint:
        client = await plain_rig.connect(plain_rig.forward(endpoint, connect_timeout=30.0))
        await eventually(lambda: plain_rig.engine.sessions)
        assert plain_rig.engine.shed(Shed(forward="forward-0", tunnel="lo-a", sessions=9)) == 0
        assert plain_rig.engine.sessions == 1
        client.reset()
        await plain_rig.idle()


# ---------------------------------------------------------------- drain, stop


async def test_drain_closes_the_listeners_and_leaves_the_sessions(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    client, server = await rig.pair(at, target)
    rig.engine.drain()
    with pytest.raises(ConnectionRefusedError):
        await (await rig.connect(at)).receive()
    await client.echo(server)
    rig.apply()  # the controller lives on during a drain
    with pytest.raises(ConnectionRefusedError):
        await (await rig.connect(at)).receive()
    await client.echo(server)
    client.finish_sending()
    assert await server.receive() == b""
    server.finish_sending()
    await rig.idle()


async def test_a_dial_under_way_when_the_drain_begins_is_finished(rig: Rig) -> None:
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint))
    rig.engine._serve(rig.engine._poll(0, 64))
    rig.engine.drain()
    await client.echo(await target.accept())


@pytest.mark.parametrize("option", OPTIONS)
async def test_stop_leaves_nothing_open_and_nothing_to_come(option: str) -> None:
    before = open_descriptors()
    async with running_rig(OPTIONS[option]) as rig:
        many = await pairs(rig, 30)
        for client, server in many[:10]:
            await client.echo(server)
            client.reset()
            await server.receive_until_reset()
        ((_, blocked),) = await pairs(rig, 1, name="blocked")
        await blocked.fill(next(it for it in rig.sessions if it.plan.forward.spec.name == "blocked").down)
        client, server = many[20]
        server.sock.send(bytes(MIB))  # a turn is due when the engine stops
        rig.engine._turn()
        with capture_logs() as logs:
            assert rig.stop() == 21
            for client, server in many[10:]:
                await client.receive_until_reset()
                await server.receive_until_reset()
            await asyncio.sleep(0)
        assert logs == []
        assert rig.stats.closed[("forward-0", CloseReason.DRAIN)] == 20
        assert rig.engine.sessions == 0
    assert open_descriptors() == before


async def test_stop_without_anything(plain_rig: Rig) -> None:
    assert plain_rig.stop() == 0


# ---------------------------------------------------------------- stats


def flat(stats: Stats) -> dict[object, int]:
    """Everything in `stats` that may only grow."""
    parts = (stats.connections, stats.closed, stats.to_target, stats.to_client, stats.dial_failures, stats.last_resort)
    found = {(index, key): value for index, part in enumerate(parts) for key, value in part.items()}
    found |= {("connects", name): sum(histogram.counts) for name, histogram in stats.connect_seconds.items()}
    return found


async def test_counters_count_live_bytes_and_never_fall(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    seen = flat(rig.stats)

    def look() -> Stats:
        nonlocal seen
        stats = rig.stats
        now = flat(stats)
        assert all(now.get(key, 0) >= value for key, value in seen.items())
        seen = now
        ok = stats.connections.get(("forward-0", ConnectResult.OK), 0)
        assert ok == sum(stats.closed.values()) + stats.sessions
        assert stats.sessions == sum(stats.active.values()) == rig.engine.sessions
        return stats

    for number in range(5):
        client, server = await rig.pair(at, target)
        await client.echo(server, b"x" * 100)
        assert look().to_target == {("forward-0", "lo-a"): 100 * (number + 1)}  # of a live session
        if number % 2:
            client.reset()
            await server.receive_until_reset()
            look()
        elif number == 2:
            rig.paths = {"lo-a": rig.path("lo-a", mss=1400)}
            rig.apply()
            look()
    target.close()
    await (await rig.connect(at)).receive_until_reset()
    stats = look()
    assert stats.connections == {("forward-0", ConnectResult.OK): 5, ("forward-0", ConnectResult.DIAL_FAILED): 1}
    assert stats.to_client == {("forward-0", "lo-a"): 500}
    assert stats.closed == {("forward-0", CloseReason.CLIENT_RESET): 2}
    histogram = stats.connect_seconds["lo-a"]
    assert sum(histogram.counts) == 5
    assert len(histogram.counts) == len(histogram.bounds) + 1
    rig.forwards.clear()
    rig.apply()
    look()


async def test_a_finished_session_is_told_once_with_everything(rig: Rig) -> None:
    client, server = await rig.session()
    await client.send(b"12345")
    assert await server.receive() == b"12345"
    await server.send(b"123")
    assert await client.receive() == b"123"
    client.reset()
    await server.receive_until_reset()
    await rig.idle()
    (ended,) = rig.ended
    assert ended.forward == "forward-0"
    assert ended.client.startswith("127.0.0.1:")
    assert ended.listen == str(rig.forwards[0].ports[0].listen)
    assert ended.target == str(rig.forwards[0].ports[0].target)
    assert ended.tunnel == "lo-a"
    assert (ended.result, ended.reason) == (ConnectResult.OK, CloseReason.CLIENT_RESET)
    assert (ended.to_target, ended.to_client) == (5, 3)
    assert 0 < ended.duration < 10


# ---------------------------------------------------------------- busy poll


async def test_busy_poll_ends_soon_after_the_last_event_and_lets_the_loop_have_its_turn() -> None:
    async with running_rig(EngineOptions(max_sessions=100, busy_poll=10.0)) as rig:
        client, server = await rig.session()
        await client.echo(server)
        started = monotonic()
        rig.engine._turn()  # nothing is ready: without the limit it would spin for ten seconds
        assert monotonic() - started < 1.0
        assert engine_module._SPIN_LIMIT_SECONDS <= 0.001
        ticks = 0
        deadline = monotonic() + 0.2
        while monotonic() < deadline:  # others on the loop make progress, and so does the session
            await asyncio.sleep(0)
            await client.echo(server)
            ticks += 1
        assert ticks > 3


async def test_busy_poll_burns_nothing_when_nothing_happens() -> None:
    async with running_rig(EngineOptions(max_sessions=100, busy_poll=50e-6)) as rig:
        client, server = await rig.session()
        await client.echo(server)
        await eventually(lambda: not rig.engine._relay.unfinished)
        batches = rig.engine.batch
        quiet = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.2, quiet.set_result, None)
        await quiet
        assert rig.engine.batch - batches < 100


# ---------------------------------------------------------------- many at once


async def test_two_hundred_blocked_readers_cost_little_and_hold_up_nobody(rig: Rig) -> None:
    """Large transfers to readers that do not read: user memory and pipes stay bounded, others are served promptly."""
    target = rig.target()
    at = rig.forward(target.endpoint)
    blocked = [await rig.pair(at, target) for _ in range(200)]
    await eventually(lambda: rig.stats.connections[("forward-0", ConnectResult.OK)] == 200)
    before = _resident()
    block = bytes(256 * 1024)
    for _, server in blocked:
        server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    for client, _ in blocked:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    pumps = [session.down for session in rig.sessions]

    def all_blocked() -> bool:
        for _, server in blocked:
            try:
                server.sock.send(block)
            except BlockingIOError:
                continue
        return all(pump.held is not None for pump in pumps)

    await eventually(all_blocked, 30.0)
    assert _resident() - before < 200 * 128 * 1024 + 16 * MIB
    pool = rig.engine._pipes
    assert pool.total <= 256
    client, server = await rig.pair(at, target)
    started = monotonic()
    for _ in range(20):
        await client.echo(server)
    assert monotonic() - started < 1.0
    for one, _ in blocked:
        one.reset()
    await eventually(lambda: rig.engine.sessions == 1)
    assert len(pool._idle) == pool.total


def _resident() -> int:
    pages = int(File("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def test_five_hundred_clients_at_once(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    clients = [await rig.connect(at) for _ in range(500)]
    for number, client in enumerate(clients):
        await client.send(b"%06d" % number)
    heard = set()
    for _ in clients:
        server = await target.accept()
        said = await server.receive_exactly(6)
        heard.add(said)
        await server.send(said)
    assert len(heard) == 500
    for number, client in enumerate(clients):
        assert await client.receive_exactly(6) == b"%06d" % number
    assert rig.stats.sessions == 500
