"""Upstream sockets used again, and the traps of that: each was a bug once."""

from __future__ import annotations

import select
import socket
from _socket import socket as Socket  # noqa: N812
from ipaddress import ip_address

import pytest

from gateway.dataplane.engine import EngineOptions
from gateway.dataplane.reuse import Spares, UpstreamReuse
from gateway.model import CloseReason, Endpoint
from tests.dataplane.rig import Peer, Rig, Target, eventually, open_descriptors, running_rig


def spares_of(rig: Rig) -> list[Socket]:
    lanes = rig.engine._ledger.lanes()
    return [sock for lane in lanes for spares in (lane.spares4, lane.spares6) for sock in spares.sockets]


def connected(target: socket.socket) -> tuple[Socket, socket.socket]:
    sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0)
    sock.connect(target.getsockname())
    return sock, target.accept()[0]


# ---------------------------------------------------------------- the trick itself


def test_what_is_kept_was_reset_and_can_connect_again() -> None:
    reuse, spares = UpstreamReuse(capacity=1), Spares()
    with socket.create_server(("127.0.0.1", 0)) as target:
        sock, server = connected(target)
        with server:
            assert reuse.keep(sock, spares)
            with pytest.raises(ConnectionResetError):
                server.recv(1)
        assert spares.sockets == [sock]
        assert reuse.kept == 1
        sock.connect(target.getsockname())
        with target.accept()[0] as server:
            server.send(b"again")
            assert sock.recv(5) == b"again"
        reuse.retire(spares)
    assert spares.sockets == []
    assert reuse.kept == 0
    assert sock.fileno() == -1


@pytest.mark.parametrize("capacity", [0, 2])
def test_no_more_than_the_capacity_is_kept(capacity: int) -> None:
    reuse, spares = UpstreamReuse(capacity=capacity), Spares()
    with socket.create_server(("127.0.0.1", 0)) as target:
        for number in range(4):
            sock, server = connected(target)
            assert reuse.keep(sock, spares) is (number < capacity)
            if number >= capacity:
                server.settimeout(0)
                with pytest.raises(BlockingIOError):  # not kept is not touched: the caller closes it
                    server.recv(1)
                sock.close()
            server.close()
    assert reuse.kept == capacity
    reuse.retire(spares)


def test_retired_spares_take_no_more() -> None:
    reuse, spares = UpstreamReuse(capacity=9), Spares()
    reuse.retire(spares)
    with socket.create_server(("127.0.0.1", 0)) as target:
        sock, server = connected(target)
        with server:
            assert not reuse.keep(sock, spares)
        sock.close()


# ---------------------------------------------------------------- in the engine


@pytest.fixture
async def served(plain_rig: Rig) -> tuple[Rig, Target]:
    target = plain_rig.target()
    plain_rig.forward(target.endpoint)
    return plain_rig, target


async def _session(rig: Rig, target: Target) -> tuple[Peer, Peer]:
    listen = rig.forwards[0].ports[0].listen
    return await rig.pair(Endpoint(listen.host or "", listen.port), target)


async def _one_that_leaves_a_spare(rig: Rig, target: Target) -> Socket:
    client, server = await _session(rig, target)
    await client.echo(server)
    upstream: Socket = rig.upstream
    client.reset()
    await server.receive_until_reset()
    await rig.idle()
    assert spares_of(rig) == [upstream]
    return upstream


async def test_the_next_session_takes_the_spare_and_is_a_session_of_its_own(served: tuple[Rig, Target]) -> None:
    rig, target = served
    upstream = await _one_that_leaves_a_spare(rig, target)
    client, server = await _session(rig, target)
    assert rig.upstream is upstream
    assert spares_of(rig) == []
    await client.echo(server)
    client.finish_sending()
    assert await server.receive() == b""
    await server.send(b"bye")
    server.finish_sending()
    assert await client.receive_all() == b"bye"
    await rig.idle()
    assert rig.stats.closed[("forward-0", CloseReason.EOF)] == 1


async def test_after_an_orderly_end_only_a_closed_connection_is_kept(served: tuple[Rig, Target]) -> None:
    """The client ends first: TIME_WAIT, which is CLOSE. The target first: LAST_ACK, which still needs the socket."""
    rig, target = served
    for first_is_client, kept in ((True, 1), (False, 0)):
        client, server = await _session(rig, target)
        first, second = (client, server) if first_is_client else (server, client)
        await first.send(b"bye")
        first.finish_sending()
        assert await second.receive_all() == b"bye"
        await second.send(b"good bye")
        second.finish_sending()
        assert await first.receive_all() == b"good bye"
        await rig.idle()
        assert len(spares_of(rig)) == kept
        rig.paths = {"lo-a": rig.path("lo-a", mss=1200 + kept)}
        rig.apply()


@pytest.mark.parametrize(
    "changes", [{"mss": 1000}, {"source_address": ip_address("127.0.0.8")}, {"ifindex": 1 << 20}, None]
)
async def test_spares_of_an_old_path_are_closed_and_never_used(
    served: tuple[Rig, Target], changes: dict[str, object] | None
) -> None:
    rig, target = served
    spare = await _one_that_leaves_a_spare(rig, target)
    rig.paths = {} if changes is None else {"lo-a": rig.path("lo-a", **changes)}
    rig.apply()
    assert spare.fileno() == -1
    assert spares_of(rig) == []
    assert rig.engine._reuse.kept == 0


@pytest.mark.parametrize("changes", [{"weight": 2}, {"slow_start": 5.0}, {"ramp_from": 7.0}])
async def test_what_changes_no_socket_keeps_the_spares(served: tuple[Rig, Target], changes: dict[str, object]) -> None:
    rig, target = served
    spare = await _one_that_leaves_a_spare(rig, target)
    rig.paths = {"lo-a": rig.path("lo-a", **changes)}
    rig.apply()
    assert spares_of(rig) == [spare]
    client, server = await _session(rig, target)
    await client.echo(server)
    assert rig.upstream is spare


async def test_a_session_that_outlives_its_path_leaves_no_spare(served: tuple[Rig, Target]) -> None:
    rig, target = served
    client, server = await _session(rig, target)
    await client.echo(server)
    upstream = rig.upstream
    rig.paths = {"lo-a": rig.path("lo-a", mss=1000)}
    rig.apply()
    await client.echo(server)
    client.reset()
    await server.receive_until_reset()
    await rig.idle()
    assert spares_of(rig) == []
    assert upstream.fileno() == -1


async def test_a_session_that_outlives_its_options_leaves_no_spare(served: tuple[Rig, Target]) -> None:
    rig, target = served
    client, server = await _session(rig, target)
    await client.echo(server)
    rig.respecify(tcp_user_timeout=20.0)
    client.reset()
    await server.receive_until_reset()
    await rig.idle()
    assert spares_of(rig) == []


async def test_an_equal_table_keeps_the_spares(served: tuple[Rig, Target]) -> None:
    rig, target = served
    spare = await _one_that_leaves_a_spare(rig, target)
    rig.paths = {"lo-a": rig.path("lo-a")}
    rig.apply()
    assert spares_of(rig) == [spare]


async def test_forwards_and_families_share_no_spares(plain_rig: Rig) -> None:
    rig = plain_rig
    targets = [rig.target(host) for host in ("127.0.0.1", "::1", "127.0.0.1")]
    for target in targets:
        client, server = await rig.pair(rig.forward(target.endpoint), target)
        await client.echo(server)
        client.reset()
        await server.receive_until_reset()
        await rig.idle()
    assert len(spares_of(rig)) == 3
    assert len({sock.fileno() for sock in spares_of(rig)}) == 3


@pytest.mark.parametrize("reason", [CloseReason.TUNNEL_DOWN, CloseReason.DRAIN, CloseReason.USER_TIMEOUT])
async def test_what_ended_with_its_tunnel_is_not_kept(served: tuple[Rig, Target], reason: CloseReason) -> None:
    rig, target = served
    _, server = await _session(rig, target)
    await eventually(lambda: rig.engine.sessions)
    rig.engine.finish(rig.sessions[0], reason)
    await server.receive_until_reset()
    assert spares_of(rig) == []


async def test_spares_in_all_are_bounded() -> None:
    async with running_rig(EngineOptions(max_sessions=5000)) as rig:
        rig.engine._reuse._capacity = 3
        target = rig.target()
        at = rig.forward(target.endpoint)
        pairs = [await rig.pair(at, target) for _ in range(8)]
        for client, server in pairs:
            client.reset()
            await server.receive_until_reset()
        await rig.idle()
        assert len(spares_of(rig)) == 3
        before = open_descriptors()
        rig.stop()
        assert len(before - open_descriptors()) >= 3 + 1  # the spares and the listener, at least
        assert spares_of(rig) == []


# ---------------------------------------------------------------- stale events


async def test_a_stale_error_of_a_spare_does_not_kill_the_session_that_takes_it_in_the_same_batch(
    served: tuple[Rig, Target],
) -> None:
    """Regression: AF_UNSPEC leaves an EPOLLERR behind, polled before the socket was connected again."""
    rig, target = served
    spare = await _one_that_leaves_a_spare(rig, target)
    (listener,) = rig.engine._listeners.values()
    client = rig.owns(Peer(socket.socket()))
    client.sock.connect_ex(listener.socket.getsockname())
    batch = [  # what the kernel may say, said for certain
        (listener.socket.fileno(), select.EPOLLIN),
        (spare.fileno(), select.EPOLLERR | select.EPOLLHUP),
    ]
    rig.engine._serve(batch)
    assert rig.upstream is spare
    await client.echo(await target.accept())
    assert rig.dial_failures == []


async def test_a_session_ended_and_begun_in_one_batch_on_the_same_upstream(served: tuple[Rig, Target]) -> None:
    """Regression: its client resets, the next client takes it over, then comes what was polled of it before."""
    rig, target = served
    client, server = await _session(rig, target)
    await client.echo(server)
    (session,) = rig.sessions
    upstream = session.down.source
    (listener,) = rig.engine._listeners.values()
    batch = [  # what the kernel may say, said for certain
        (session.up.source.fileno(), select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLERR | select.EPOLLHUP),
        (listener.socket.fileno(), select.EPOLLIN),
        (upstream.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLHUP),
    ]
    client.reset()
    following = rig.owns(Peer(socket.socket()))
    following.sock.connect_ex(listener.socket.getsockname())
    rig.engine._serve(batch)
    assert rig.upstream is upstream
    await server.receive_until_reset()
    await following.echo(await target.accept())
    assert rig.dial_failures == []


async def test_a_clients_descriptor_used_again_within_one_batch(served: tuple[Rig, Target]) -> None:
    """Regression: an event polled for a session that is over must not hit the one that got its descriptor."""
    rig, target = served
    client, server = await _session(rig, target)
    await client.echo(server)
    (session,) = rig.sessions
    old = session.up.source.fileno()
    (listener,) = rig.engine._listeners.values()
    error = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLERR | select.EPOLLHUP
    batch = [  # what the kernel may say, said for certain
        (session.down.source.fileno(), error),
        (listener.socket.fileno(), select.EPOLLIN),
        (old, error),
    ]
    following = rig.owns(Peer(socket.socket()))
    following.sock.connect_ex(listener.socket.getsockname())
    rig.engine._serve(batch)
    (begun,) = rig.sessions
    assert begun.up.source.fileno() == old
    await client.receive_until_reset()
    await following.echo(await target.accept())
    assert rig.dial_failures == []


async def test_what_is_polled_of_a_spare_does_not_hit_the_session_that_was_made_of_its_old_one(plain_rig: Rig) -> None:
    """The session object is used again by another forward, while its old upstream has a last EPOLLERR to tell."""
    rig = plain_rig
    targets = [rig.target(), rig.target()]
    ends = [rig.forward(target.endpoint) for target in targets]
    client, server = await rig.pair(ends[0], targets[0])
    await client.echo(server)
    (session,) = rig.sessions
    for _ in range(20):
        client.reset()
        following = await rig.connect(ends[1])
        rig.engine._turn()
        assert rig.sessions == [session]
        following_server = await targets[1].accept()
        await following.echo(following_server)
        client, server, ends, targets = following, following_server, ends[::-1], targets[::-1]
    assert rig.dial_failures == []
