"""From an accepted client to a connected upstream, or to an RST: on loopback, where `lo` stands for every tunnel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address
from time import monotonic

import pytest

from gateway.dataplane.sockopt import SO_BINDTOIFINDEX
from gateway.model import Choice, CloseReason, ConnectResult, DialFailure, Endpoint, KeepAlive
from tests.dataplane.rig import LO, Peer, Rig, eventually, free_port
from tests.dataplane.test_listener import keepalive_of, no_descriptors_left

TCP = socket.IPPROTO_TCP
QUICKLY = 1.0  # seconds; what is quick on a machine that has other things to do


@contextmanager
def silent_target(host: str = "127.0.0.1", port: int = 0) -> Iterator[Endpoint]:
    """A target that answers no SYN: its backlog is full."""
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port or free_port(host)))
        sock.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield Endpoint(host, sock.getsockname()[1])


def failures(rig: Rig) -> list[tuple[str, DialFailure]]:
    return [(failure.tunnel, failure.reason) for failure in rig.dial_failures]


def results(rig: Rig) -> dict[ConnectResult, int]:
    return {result: count for (_, result), count in rig.stats.connections.items()}


# ---------------------------------------------------------------- the upstream's options


async def test_the_options_of_an_upstream_also_when_it_was_used_before(rig: Rig) -> None:
    rig.offer(rig.path("lo-a", mss=900))
    target = rig.target()
    at = rig.forward(target.endpoint, keepalive=KeepAlive(idle=8, interval=2, count=4), tcp_user_timeout=17.5)
    descriptors = set()
    for _ in range(3):
        client, server = await rig.pair(at, target)
        await client.echo(server)
        upstream = rig.upstream
        descriptors.add(upstream.fileno())
        assert upstream.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX) == LO
        assert upstream.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
        assert upstream.getsockopt(TCP, socket.TCP_NODELAY)
        assert keepalive_of(upstream) == (1, 8, 2, 4)
        assert upstream.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 17_500
        assert server.sock.getsockopt(TCP, socket.TCP_MAXSEG) <= 900
        assert not upstream.getblocking()
        client.reset()
        await server.receive_until_reset()
        await rig.idle()


@pytest.mark.parametrize(("host", "source"), [("127.0.0.1", "127.0.0.9"), ("::1", "::1")])
async def test_the_source_address_of_an_upstream_also_when_it_was_used_before(rig: Rig, host: str, source: str) -> None:
    rig.offer(rig.path("lo-a", source_address=ip_address(source)))
    target = rig.target(host)
    at = rig.forward(target.endpoint)
    for _ in range(3):
        client, server = await rig.pair(at, target)
        assert server.sock.getpeername()[0] == source
        await client.echo(server)
        client.reset()
        await server.receive_until_reset()
        await rig.idle()


async def test_a_source_address_dials_only_targets_of_its_own_family(plain_rig: Rig) -> None:
    rig = plain_rig
    rig.offer(rig.path("lo-a", source_address=ip_address("127.0.0.9")))
    target = rig.target()
    rig.addresses = {"db.corp": ("::1", "127.0.0.1")}
    client, server = await rig.pair(rig.forward(Endpoint("db.corp", target.endpoint.port)), target)
    await client.echo(server)
    assert failures(rig) == []


async def test_a_source_address_that_is_not_here_is_our_own_trouble(plain_rig: Rig) -> None:
    rig = plain_rig
    rig.offer(rig.path("lo-a", source_address=ip_address("192.0.2.77")))
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint))
    await client.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.LOCAL)]
    assert target.saw_nobody()


# ---------------------------------------------------------------- the target's own answer


async def test_refused_is_a_reset_to_the_client_and_no_other_tunnel_is_asked(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    target = rig.target()
    at = rig.forward(target.endpoint)
    target.close()
    started = monotonic()
    client = await rig.connect(at)
    await client.send(b"hello")
    await client.receive_until_reset()
    assert monotonic() - started < QUICKLY
    assert failures(rig) == [("lo-a", DialFailure.REFUSED)]
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.stats.dial_failures == {("forward-0", "lo-a", DialFailure.REFUSED): 1}
    assert rig.stats.closed == {}
    assert rig.engine.sessions == 0
    (ended,) = rig.ended
    assert (ended.result, ended.reason, ended.tunnel) == (ConnectResult.DIAL_FAILED, None, None)


async def test_a_target_of_several_addresses_is_tried_at_each(rig: Rig) -> None:
    target = rig.target("127.0.0.3")
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2", "127.0.0.3")}
    client = await rig.connect(rig.forward(Endpoint("db.corp", target.endpoint.port)))
    await client.send(b"early")
    client.finish_sending()
    server = await target.accept()
    assert await server.receive_all() == b"early"
    assert failures(rig) == [("lo-a", DialFailure.REFUSED)] * 2
    assert results(rig) == {ConnectResult.OK: 1}


async def test_a_target_that_accepts_and_resets_at_once(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint))
    rig.engine._serve(rig.engine._poll(0, 64))  # accepts the client and dials; the kernel connects at once
    Peer(target.sock.accept()[0]).reset()
    await client.receive_until_reset()
    await rig.idle()
    assert failures(rig) == [("lo-a", DialFailure.RESET)]
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}


async def test_a_target_that_accepts_speaks_and_ends_at_once(rig: Rig) -> None:
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint))
    rig.engine._serve(rig.engine._poll(0, 64))
    server = rig.owns(Peer(target.sock.accept()[0]))
    server.sock.send(b"busy, go away")
    server.finish_sending()
    assert await client.receive_all() == b"busy, go away"
    client.finish_sending()
    assert await server.receive_all() == b""
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


# ---------------------------------------------------------------- a path that fails


async def test_the_connect_timeout_ends_in_a_reset(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        at = rig.forward(endpoint, connect_timeout=0.3)
        started = monotonic()
        client = await rig.connect(at)
        await client.receive_until_reset()
        assert 0.3 <= monotonic() - started < 0.3 + QUICKLY
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)]
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.ended[0].duration >= 0.3


async def test_what_times_out_goes_on_within_the_deadline_and_early_bytes_arrive(plain_rig: Rig) -> None:
    """The remaining time is shared: three addresses and 1.5 s give the first two 0.5 s each."""
    rig = plain_rig
    target = rig.target("127.0.0.3")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2", "127.0.0.3")}
    with silent_target("127.0.0.1", port), silent_target("127.0.0.2", port):
        at = rig.forward(Endpoint("db.corp", port), connect_timeout=1.5)
        started = monotonic()
        client = await rig.connect(at)
        early = bytes(range(256)) * 400
        await client.send(early)
        client.finish_sending()
        server = await target.accept()
        assert 1.0 <= monotonic() - started < 1.0 + QUICKLY
        assert await server.receive_all() == early
        await server.send(b"late answer")
        assert await client.receive() == b"late answer"
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)] * 2
    assert results(rig) == {ConnectResult.OK: 1}


async def test_what_was_answered_while_the_loop_stood_still_has_not_timed_out(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a loop looks at its timers first, so a dial failed whose answer the kernel had had for long."""
    rig, target, stood_still = plain_rig, plain_rig.target(), []
    usual = rig.engine.check_later

    def check_later() -> None:
        usual()
        if rig.engine._dialer.dialling and not stood_still:
            stood_still.append(True)
            time.sleep(0.5)

    monkeypatch.setattr(rig.engine, "check_later", check_later)
    client, server = await rig.pair(rig.forward(target.endpoint, connect_timeout=0.2), target)
    await client.echo(server)
    assert stood_still
    assert failures(rig) == []


async def test_all_tunnels_share_one_deadline(plain_rig: Rig) -> None:
    rig = plain_rig
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    with silent_target() as endpoint:
        started = monotonic()
        client = await rig.connect(rig.forward(endpoint, connect_timeout=0.4))
        await client.receive_until_reset()
        assert 0.4 <= monotonic() - started < 0.4 + QUICKLY
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT), ("lo-b", DialFailure.TIMED_OUT)]
    assert rig.stats.active == {("forward-0", "lo-a"): 0, ("forward-0", "lo-b"): 0}


async def test_unreachable_goes_on_at_once(rig: Rig) -> None:
    target = rig.target()
    rig.addresses = {"db.corp": ("2001:db8::1", "127.0.0.1")}  # nothing of 2001:db8:: lies behind `lo`
    started = monotonic()
    client, server = await rig.pair(rig.forward(Endpoint("db.corp", target.endpoint.port)), target)
    assert monotonic() - started < QUICKLY
    await client.echo(server)
    assert failures(rig) == [("lo-a", DialFailure.UNREACHABLE)]


async def test_our_own_shortage_is_a_local_failure(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    client = await rig.connect(at)
    with no_descriptors_left(spare=1):  # enough for the client, not for its upstream
        await client.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.LOCAL)]
    await (await rig.connect(at)).echo(await target.accept())


# ---------------------------------------------------------------- the table changes during a dial


async def test_a_tunnel_withdrawn_fails_its_dials_over_at_once(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    with silent_target() as endpoint:
        at = rig.forward(endpoint, connect_timeout=30.0)
        client = await rig.connect(at)
        await client.send(b"early")
        await eventually(lambda: rig.engine.sessions)
        assert rig.stats.active[("forward-0", "lo-a")] == 1
        rig.offer(rig.path("lo-b"))
        rig.apply()
        assert failures(rig) == [("lo-a", DialFailure.TUNNEL_DOWN)]
        assert rig.stats.active == {("forward-0", "lo-a"): 0, ("forward-0", "lo-b"): 1}
        rig.offer()
        rig.apply()
        await client.receive_until_reset()
    assert failures(rig)[1:] == [("lo-b", DialFailure.TUNNEL_DOWN)]
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}


async def test_withdrawn_and_then_connected_by_the_next_with_early_bytes_intact(rig: Rig) -> None:
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1",)}
    with silent_target("127.0.0.1", port):
        at = rig.forward(Endpoint("db.corp", port), connect_timeout=30.0)
        client = await rig.connect(at)
        await client.send(b"early")
        await eventually(lambda: rig.engine.sessions and rig.sessions[0].watched)
        await client.send(b" bird")
        rig.addresses = {"db.corp": ("127.0.0.2",)}
        rig.apply()
        server = await target.accept()
        assert await server.receive_exactly(10) == b"early bird"
        await client.echo(server)


async def test_a_device_made_again_under_its_name_gets_the_dial_that_the_old_one_swallowed(rig: Rig) -> None:
    """Same tunnel, same target, but sockets are to be bound otherwise: that is an attempt of its own."""
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, connect_timeout=30.0))
        await eventually(lambda: rig.engine.sessions)
        before = rig.upstream
        rig.paths = {"lo-a": rig.path("lo-a", source_address=ip_address("127.0.0.9"))}
        rig.apply()
        assert failures(rig) == [("lo-a", DialFailure.TUNNEL_DOWN)]
        assert rig.engine.sessions == 1
        assert rig.upstream is not before
        assert rig.upstream.getsockname()[0] == "127.0.0.9"
        client.reset()
        await rig.idle()


async def test_a_table_that_changes_nothing_disturbs_no_dial(rig: Rig) -> None:
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, connect_timeout=30.0))
        await eventually(lambda: rig.engine.sessions)
        before = rig.upstream
        rig.offer(rig.path("lo-a"), rig.path("lo-b"))
        rig.apply()
        assert rig.upstream is before
        assert failures(rig) == []
        client.reset()
        await rig.idle()


async def test_what_changes_no_socket_disturbs_no_dial_and_the_next_attempt_has_it(rig: Rig) -> None:
    """A clamp, a weight, a ramp: the path is another value, the tunnel is the same."""
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    changes = {"mss": 1000, "weight": 3, "slow_start": 10.0, "ramp_from": 1.0}
    with silent_target("127.0.0.1", port):
        client = await rig.connect(rig.forward(Endpoint("db.corp", port), connect_timeout=30.0))
        await eventually(lambda: rig.engine.sessions)
        before = rig.upstream
        for key, value in changes.items():
            rig.paths = {"lo-a": rig.path("lo-a", **{key: value})}
            rig.apply()
            assert rig.upstream is before
        assert failures(rig) == []
        rig.paths = {"lo-a": rig.path("lo-a", **changes)}
        rig.apply()
        rig.engine._dialer.failed(rig.sessions[0], DialFailure.TIMED_OUT)
    server = await target.accept()
    await client.echo(server)
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)]
    assert rig.upstream.getsockopt(TCP, socket.TCP_MAXSEG) <= 1000


async def test_a_forward_that_is_gone_dials_on_by_the_path_it_had_while_that_is_the_same_device(rig: Rig) -> None:
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    with silent_target("127.0.0.1", port):
        client = await rig.connect(rig.forward(Endpoint("db.corp", port), connect_timeout=30.0))
        await eventually(lambda: rig.engine.sessions)
        rig.forwards.clear()
        rig.paths = {"lo-a": rig.path("lo-a", weight=2)}
        rig.apply()
        rig.engine._dialer.failed(rig.sessions[0], DialFailure.TIMED_OUT)
    await client.echo(await target.accept())
    assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)]


async def test_a_dial_of_a_forward_that_is_gone_does_not_outlive_its_tunnel(rig: Rig) -> None:
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, connect_timeout=30.0))
        await eventually(lambda: rig.engine.sessions)
        rig.forwards.clear()
        rig.apply()
        assert rig.engine.sessions == 1
        rig.paths = {}
        rig.apply()
        await client.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.TUNNEL_DOWN)]


async def test_a_stale_attempt_is_not_proven_by_what_proves_the_new_path(rig: Rig) -> None:
    """Nothing leaves by a device that the table has given up, not even in the same batch as a proof of the new one."""
    target = rig.target()
    rig.forward(target.endpoint)
    (listener,) = rig.engine._listeners.values()
    stale = rig.engine.plan_for(listener).attempts()[0]
    rig.paths = {"lo-a": rig.path("lo-a", source_address=ip_address("127.0.0.9"))}
    rig.apply()
    client = await rig.connect(Endpoint(*rig.forwards[0].ports[0].listen))  # type: ignore[arg-type]
    server = await target.accept()
    await client.echo(server)
    tunnel = rig.engine._ledger.tunnel("lo-a")
    tunnel.proven_in_batch = rig.engine.batch
    plan = rig.engine.plan_for(listener)
    plan._attempts = (stale,)
    other = await rig.connect(Endpoint(*rig.forwards[0].ports[0].listen))  # type: ignore[arg-type]
    await other.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.NOT_PROVEN)]


# ---------------------------------------------------------------- the client during a dial


async def test_a_client_that_resets_while_connecting_is_let_go(rig: Rig) -> None:
    with silent_target() as endpoint:
        client = await rig.connect(rig.forward(endpoint, connect_timeout=30.0))
        await client.send(b"never mind")
        await eventually(lambda: rig.engine.sessions)
        client.reset()
        await rig.idle()
    assert failures(rig) == []
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.stats.closed == {}
    assert rig.ended[0].result is ConnectResult.DIAL_FAILED
    assert rig.ended[0].tunnel is None


async def test_a_client_that_resets_just_before_its_upstream_connects_resets_that_too(rig: Rig) -> None:
    """The target has accepted, the gateway not yet noticed: what the target sees is a reset, no end of file."""
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint))
    rig.engine._serve(rig.engine._poll(0, 64))
    server = rig.owns(Peer(target.sock.accept()[0]))
    client.reset()
    await server.receive_until_reset()
    await rig.idle()


async def test_an_upstream_given_up_at_the_last_moment_is_reset(rig: Rig) -> None:
    target = rig.target()
    await rig.connect(rig.forward(target.endpoint))
    rig.engine._serve(rig.engine._poll(0, 64))
    server = rig.owns(Peer(target.sock.accept()[0]))
    rig.offer()
    rig.apply()
    await server.receive_until_reset()


async def test_a_client_that_half_closes_while_connecting_gets_its_answer(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    with silent_target("127.0.0.1", port):
        client = await rig.connect(rig.forward(Endpoint("db.corp", port), connect_timeout=2.0))
        await client.send(b"question")
        client.finish_sending()
        server = await target.accept()
    assert await server.receive_all() == b"question"
    await server.send(b"answer")
    server.finish_sending()
    assert await client.receive_all() == b"answer"
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


async def test_a_redial_in_the_batch_of_the_clients_event_loses_nothing(rig: Rig) -> None:
    """Regression: the client's bytes and FIN come in the very batch in which its dial fails over."""
    target = rig.target("127.0.0.2")
    port = target.endpoint.port
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    at = rig.forward(Endpoint("db.corp", port), connect_timeout=30.0)
    for resets in (False, True):
        with silent_target("127.0.0.1", port):
            client = await rig.connect(at)
            await eventually(lambda: rig.sessions and rig.sessions[0].watched)
        (session,) = rig.sessions
        await client.send(b"all in one")
        if resets:
            client.reset()
        else:
            client.finish_sending()
        rig.engine._epoll.modify(session.down.source.fileno(), 0)
        # The kernel refuses the first address now. Both sockets are ready when the engine looks next.
        rig.engine._dialer.failed(session, DialFailure.REFUSED)
        server = await target.accept()
        if resets:
            await server.receive_until_reset()
        else:
            assert await server.receive_all() == b"all in one"
            server.finish_sending()
            assert await client.receive_all() == b""
        await rig.idle()


# ---------------------------------------------------------------- the dial that was awaited


async def test_the_next_dial_that_works_is_said_once_and_only_if_somebody_asked(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"), rig.path("lo-b"))
    target = rig.target()
    at = rig.forward(target.endpoint)
    other = rig.target()
    elsewhere = rig.forward(other.endpoint)
    await (await rig.connect(at)).echo(await target.accept())
    assert rig.first_connects == []
    rig.engine.await_connect("forward-0", "lo-a")
    rig.engine.await_connect("forward-0", "lo-b")  # comes second in every plan: nobody connects by it
    await (await rig.connect(elsewhere)).echo(await other.accept())
    assert rig.first_connects == []
    asked = monotonic()
    for _ in range(2):
        await (await rig.connect(at)).echo(await target.accept())
    (first,) = rig.first_connects
    assert (first.forward, first.tunnel) == ("forward-0", "lo-a")
    assert asked <= first.at <= monotonic()
    rig.engine.await_connect("forward-0", "lo-a")
    await (await rig.connect(at)).echo(await target.accept())
    assert len(rig.first_connects) == 2


async def test_a_dial_that_fails_is_not_the_awaited_one(rig: Rig) -> None:
    target = rig.target("127.0.0.2")
    rig.addresses = {"db.corp": ("127.0.0.1",)}
    at = rig.forward(Endpoint("db.corp", target.endpoint.port))
    rig.engine.await_connect("forward-0", "lo-a")  # before any session: the lane is made for it
    await (await rig.connect(at)).receive_until_reset()
    assert rig.first_connects == []
    rig.addresses = {"db.corp": ("127.0.0.2",)}
    rig.apply()
    await (await rig.connect(at)).echo(await target.accept())
    assert [(it.forward, it.tunnel) for it in rig.first_connects] == [("forward-0", "lo-a")]


async def test_a_forward_that_nobody_knows_is_awaited_in_vain(plain_rig: Rig) -> None:
    plain_rig.engine.await_connect("unheard", "lo-a")
    assert plain_rig.stats.active == {}


# ---------------------------------------------------------------- last resort


async def test_a_dial_of_last_resort_is_counted(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"), last_resort=True)
    client, server = await rig.session()
    await client.echo(server)
    assert rig.stats.last_resort == {"forward-0": 1}
    rig.choice = Choice(tunnels=("lo-a",))
    rig.apply()
    target = rig.target()
    await rig.pair(rig.forward(target.endpoint), target)
    assert rig.stats.last_resort == {"forward-0": 1}
