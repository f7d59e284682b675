"""Listeners that are shut while there is no tunnel, and opened again, if nothing is in the way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from gateway.dataplane import listeners as module
from gateway.errors import ListenError
from gateway.model import NO_CHOICE, ConnectResult, DialFailure, Endpoint, ListenAddress, WhenDown
from tests.dataplane.rig import Rig, Target, eventually, free_port, open_descriptors, running_rig
from tests.dataplane.test_dialer import failures, silent_target


async def is_refused(rig: Rig, at: Endpoint) -> bool:
    client = await rig.connect(at)
    try:
        client.sock.send(b"x")
    except ConnectionRefusedError:
        return True
    return False


def refusing(rig: Rig, **settings: object) -> tuple[Endpoint, Target]:
    target = rig.target()
    return rig.forward(target.endpoint, when_down=WhenDown.REFUSE, **settings), target


def no_tunnel(rig: Rig) -> None:
    rig.offer()
    rig.apply()


def a_tunnel(rig: Rig) -> None:
    rig.offer(rig.path("lo-a"))
    rig.apply()


@contextmanager
def somebody_else_listens(at: Endpoint) -> Iterator[None]:
    """Who binds in the same spirit as we do (SO_REUSEADDR) and listens first has the port."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(tuple(at))
        sock.listen()
        yield


# ---------------------------------------------------------------- shut and open


async def test_while_there_is_no_tunnel_clients_are_refused_and_sessions_live_on(rig: Rig) -> None:
    at, target = refusing(rig)
    client, server = await rig.pair(at, target)
    for _ in range(3):
        no_tunnel(rig)
        assert await is_refused(rig, at)
        await client.echo(server)
        a_tunnel(rig)
        await (await rig.connect(at)).echo(await target.accept())
    assert rig.stats.connections == {("forward-0", ConnectResult.OK): 4}


async def test_other_forwards_stay_open(plain_rig: Rig) -> None:
    rig = plain_rig
    refuses, _ = refusing(rig)
    target = rig.target()
    resets = rig.forward(target.endpoint)
    no_tunnel(rig)
    assert await is_refused(rig, refuses)
    await (await rig.connect(resets)).receive_until_reset()
    assert rig.stats.connections == {("forward-1", ConnectResult.NO_TUNNEL): 1}


async def test_each_port_map_is_refused_by_its_own_choice(plain_rig: Rig) -> None:
    rig = plain_rig
    (one, target), (other, other_target) = refusing(rig), refusing(rig)
    rig.apply(choices={("forward-0", target.endpoint): rig.choice, ("forward-1", other_target.endpoint): NO_CHOICE})
    await (await rig.connect(one)).echo(await target.accept())
    assert await is_refused(rig, other)


async def test_a_name_without_an_address_is_no_reason_to_refuse(plain_rig: Rig) -> None:
    rig = plain_rig
    at = rig.forward(Endpoint("db.corp", 5432), when_down=WhenDown.REFUSE)
    rig.apply(addresses={})
    await (await rig.connect(at)).receive_until_reset()
    assert rig.stats.connections == {("forward-0", ConnectResult.NO_TUNNEL): 1}


async def test_clients_in_the_queues_when_it_is_shut_are_reset(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = refusing(rig)
    in_our_queue = [await rig.connect(at) for _ in range(300)]
    rig.engine._turn()
    begun = rig.engine.sessions
    assert 0 < begun < 300
    in_the_kernels = await rig.connect(at)
    no_tunnel(rig)
    for client in (*in_our_queue[begun:], in_the_kernels):
        await client.receive_until_reset()
    assert not rig.engine.backlogged
    assert rig.engine.waiting == 0
    a_tunnel(rig)
    for _ in range(begun):
        await target.accept()
    await (await rig.connect(at)).echo(await target.accept())


async def test_a_reload_that_refuses_no_more_opens(plain_rig: Rig) -> None:
    rig = plain_rig
    at, _ = refusing(rig)
    no_tunnel(rig)
    rig.respecify(when_down=WhenDown.RESET)
    await (await rig.connect(at)).receive_until_reset()
    rig.respecify(when_down=WhenDown.REFUSE)
    assert await is_refused(rig, at)


async def test_the_socket_of_a_shut_listener_keeps_its_port_and_its_options(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = refusing(rig)
    no_tunnel(rig)
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(tuple(at))
    a_tunnel(rig)
    await (await rig.connect(at)).echo(await target.accept())
    (session,) = rig.sessions
    assert session.up.source.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert session.up.source.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", None])
async def test_of_every_family(plain_rig: Rig, host: str | None) -> None:
    rig = plain_rig
    at, target = refusing(rig, listen=ListenAddress(host, free_port(host or "::")))
    ends = [Endpoint(each, at.port) for each in ([host] if host else ["127.0.0.1", "::1"])]
    no_tunnel(rig)
    assert [await is_refused(rig, each) for each in ends] == [True] * len(ends)
    a_tunnel(rig)
    for each in ends:
        await (await rig.connect(each)).echo(await target.accept())


async def test_opened_during_a_pause_it_waits_for_its_end(plain_rig: Rig) -> None:
    rig = plain_rig
    at, target = refusing(rig)
    no_tunnel(rig)
    rig.engine.pause_accepting("test")
    a_tunnel(rig)
    client = await rig.connect(at)
    batches = rig.engine.batch
    await eventually(lambda: rig.engine._resume_timer is None)
    assert rig.engine.batch - batches < 10  # nobody span in the meantime
    await client.echo(await target.accept())


async def test_a_shut_listener_wakes_nobody(plain_rig: Rig) -> None:
    """A socket that does not listen has hung up, and epoll would say so for ever."""
    rig = plain_rig
    refusing(rig)
    no_tunnel(rig)
    assert rig.engine._poll(0, 64) == []
    rig.engine.pause_accepting("test")
    await eventually(lambda: rig.engine._resume_timer is None)
    assert rig.engine._poll(0, 64) == []


async def test_a_dial_under_way_goes_by_the_present_table_although_its_listener_is_shut(plain_rig: Rig) -> None:
    rig = plain_rig
    with silent_target() as endpoint:
        at = rig.forward(endpoint, when_down=WhenDown.REFUSE, connect_timeout=30.0)
        client = await rig.connect(at)
        await eventually(lambda: rig.engine.sessions)
        no_tunnel(rig)
        await client.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.TUNNEL_DOWN)]


# ---------------------------------------------------------------- at first


async def test_a_listener_that_begins_shut_is_opened_by_the_first_tunnel(rig: Rig) -> None:
    rig.offer()
    at, target = refusing(rig)
    assert await is_refused(rig, at)
    a_tunnel(rig)
    await (await rig.connect(at)).echo(await target.accept())


async def test_an_address_that_is_taken_at_first_is_an_error_although_nobody_would_listen(plain_rig: Rig) -> None:
    rig = plain_rig
    rig.offer()
    target = rig.target()
    before = open_descriptors()
    with somebody_else_listens(at := Endpoint("127.0.0.1", free_port())), pytest.raises(ListenError, match="in use"):
        rig.forward(target.endpoint, listen=ListenAddress(*at), when_down=WhenDown.REFUSE)
    assert open_descriptors() == before


# ---------------------------------------------------------------- what cannot be opened again


async def test_what_cannot_be_opened_again_is_said_once_and_tried_until_it_works(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.02)
    rig = plain_rig
    at, target = refusing(rig)
    client, server = await rig.pair(at, target)
    no_tunnel(rig)
    (listener,) = rig.engine._listeners.values()
    tries = 0
    real = listener.open

    def counted() -> None:
        nonlocal tries
        tries += 1
        real()

    monkeypatch.setattr(module.Listener, "open", lambda _: counted())
    with capture_logs() as logs:
        with somebody_else_listens(at):
            a_tunnel(rig)
            a_tunnel(rig)
            await eventually(lambda: tries >= 5)
            await client.echo(server)
        assert [entry["event"] for entry in logs] == ["listener.failed"]
        assert (logs[0]["forward"], logs[0]["listen"]) == ("forward-0", str(at))
        assert "in use" in logs[0]["error"]
        await eventually(lambda: listener.is_open)
    assert [entry["event"] for entry in logs] == ["listener.failed", "listener.opened"]
    await (await rig.connect(at)).echo(await target.accept())
    assert rig.engine._listeners._retry_timer is None


@pytest.mark.parametrize("change", ["no tunnel", "no forward", "drain", "stop"])
async def test_what_is_not_wanted_any_more_is_not_tried_again(
    plain_rig: Rig, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.02)
    rig = plain_rig
    at, _ = refusing(rig)
    no_tunnel(rig)
    with capture_logs():
        with somebody_else_listens(at):
            a_tunnel(rig)
            if change == "no tunnel":
                no_tunnel(rig)
            elif change == "no forward":
                rig.forwards.clear()
                rig.apply()
            elif change == "drain":
                rig.engine.drain()
            else:
                rig.stop()
        retry = rig.engine._listeners._retry_timer
        await eventually(lambda: retry is None or retry.cancelled() or rig.engine._listeners._retry_timer is None)
    assert rig.engine._listeners._failed == set()
    assert await is_refused(rig, at)


async def test_failing_again_later_is_said_again(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.02)
    rig = plain_rig
    at, _ = refusing(rig)
    with capture_logs() as logs:
        for _ in range(2):
            no_tunnel(rig)
            with somebody_else_listens(at):
                a_tunnel(rig)
            await eventually(lambda: not rig.engine._listeners._failed)
    assert [entry["event"] for entry in logs] == ["listener.failed", "listener.opened"] * 2


# ---------------------------------------------------------------- drain, stop


async def test_a_shut_listener_is_not_opened_in_a_drain_and_nothing_is_left_of_it() -> None:
    before = open_descriptors()
    async with running_rig() as rig:
        at, _ = refusing(rig)
        no_tunnel(rig)
        rig.engine.drain()
        a_tunnel(rig)
        assert await is_refused(rig, at)
        with socket.socket() as anybody:
            anybody.bind(tuple(at))  # the port is free
        rig.forwards.clear()
        rig.apply()
    assert open_descriptors() == before


async def test_a_client_that_waits_for_the_listener_alone_is_never_left_hanging(rig: Rig) -> None:
    """Shut and opened again within one turn: who came between is reset or served, and the next is served."""
    at, target = refusing(rig)
    clients = [await rig.connect(at) for _ in range(20)]
    no_tunnel(rig)
    a_tunnel(rig)
    for client in clients:
        await client.receive_until_reset()
    await (await rig.connect(at)).echo(await target.accept())
