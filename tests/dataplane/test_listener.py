"""Who comes in, who is turned away and how, and what accepting survives."""

from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.dataplane.engine import EngineOptions
from gateway.dataplane.listener import bind
from gateway.dataplane.sockopt import set_keepalive
from gateway.model import NO_CHOICE, ConnectResult, Endpoint, ForwardSpec, KeepAlive, ListenAddress, PortMap
from tests.dataplane.rig import Peer, Rig, eventually, free_port, open_descriptors, running_rig


def results(rig: Rig) -> dict[ConnectResult, int]:
    return {result: count for (_, result), count in rig.stats.connections.items()}


async def is_reset(client: Peer) -> None:
    assert await client.receive_until_reset() == b""


# ---------------------------------------------------------------- turned away


@pytest.mark.parametrize(
    ("listen", "source", "networks", "welcome"),
    [
        ("127.0.0.1", "127.0.0.1", ["127.0.0.0/8"], True),
        ("127.0.0.1", "127.0.0.1", ["127.0.0.2/32"], False),
        ("127.0.0.1", "127.0.0.2", ["127.0.0.2/32"], True),
        ("::1", "::1", ["::1/128"], True),
        ("::1", "::1", ["127.0.0.0/8", "2001:db8::/32"], False),
        (None, "127.0.0.2", ["127.0.0.2/32"], True),  # v4-mapped
        (None, "127.0.0.1", ["127.0.0.2/32"], False),
        (None, "::1", ["127.0.0.0/8"], False),
        (None, "::1", ["::1/128"], True),
    ],
)
async def test_the_allow_list(
    plain_rig: Rig, listen: str | None, source: str, networks: list[str], welcome: bool
) -> None:
    rig = plain_rig
    target = rig.target()
    at = ListenAddress(listen, free_port(listen or "::"))
    allow = tuple(ip_network(network) for network in networks)
    rig.forward(target.endpoint, listen=at, allow=allow)
    client = await rig.connect(Endpoint("::1" if ":" in source else "127.0.0.1", at.port), source)
    if welcome:
        await client.echo(await target.accept())
        assert results(rig) == {ConnectResult.OK: 1}
    else:
        await is_reset(client)
        assert results(rig) == {ConnectResult.DENIED: 1}
        assert target.saw_nobody()
        (ended,) = rig.ended
        assert ended.result is ConnectResult.DENIED
        assert ended.reason is None
        assert ended.client.startswith(source if listen != "::1" and ":" not in source else f"[{source}]")


async def test_without_a_tunnel_the_client_sees_a_reset_at_once(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    rig.apply(choices={("forward-0", target.endpoint): NO_CHOICE})
    client = await rig.connect(at)
    await is_reset(client)
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}
    assert rig.ended[0].duration < 1.0
    assert rig.ended[0].tunnel is None
    assert target.saw_nobody()


async def test_a_target_without_an_address_has_no_tunnel_either(plain_rig: Rig) -> None:
    rig = plain_rig
    at = rig.forward(Endpoint("db.corp", 5432))
    rig.apply(addresses={})
    await is_reset(await rig.connect(at))
    assert results(rig) == {ConnectResult.NO_TUNNEL: 1}


async def test_over_the_forwards_limit_the_client_is_reset_and_a_leaver_makes_room(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint, max_connections=2)
    other = rig.target()
    other_at = rig.forward(other.endpoint)
    pairs = [await rig.pair(at, target) for _ in range(2)]
    await is_reset(await rig.connect(at))
    assert rig.stats.connections[("forward-0", ConnectResult.LIMITED)] == 1
    await (await rig.connect(other_at)).echo(await other.accept())  # another forward's limit is its own
    pairs[0][0].reset()
    await pairs[0][1].receive_until_reset()
    client, server = await rig.pair(at, target)
    await client.echo(server)
    await pairs[1][0].echo(pairs[1][1])


async def test_over_the_total_accepting_stops_for_a_moment_and_nobody_is_reset() -> None:
    async with running_rig(EngineOptions(max_sessions=2)) as rig:
        target = rig.target()
        at = rig.forward(target.endpoint)
        pairs = [await rig.pair(at, target) for _ in range(2)]
        waiting = await rig.connect(at)  # by the kernel
        await waiting.send(b"patient")
        await eventually(lambda: rig.stats.accept_pauses)
        assert rig.engine.sessions == 2
        pairs[0][0].reset()
        server = await target.accept()
        assert await server.receive() == b"patient"
        assert results(rig) == {ConnectResult.OK: 3}


# ---------------------------------------------------------------- no capacity


@contextmanager
def no_descriptors_left(*, spare: int = 0) -> Iterator[None]:
    """All descriptors but `spare` are in use: the next one is EMFILE."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        lowest_free = [stack.enter_context(socket.socket()).fileno() for _ in range(spare + 1)][spare]
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_accepting_survives_a_shortage_of_descriptors(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    established, server = await rig.pair(at, target)
    client = Peer(socket.socket())
    rig.owns(client)
    with capture_logs() as logs, no_descriptors_left():
        assert client.sock.connect_ex(tuple(at)) == errno.EINPROGRESS
        await eventually(lambda: rig.stats.accept_pauses >= 3)
        await established.echo(server)
    assert {(entry["event"], entry["reason"]) for entry in logs} == {("accept.paused", "EMFILE")}
    await client.echo(await target.accept())


@pytest.mark.parametrize("code", [errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EBADE])
async def test_other_shortages_pause_as_well(plain_rig: Rig, code: int) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    (listener,) = rig.engine._listeners.values()
    real = listener.socket
    listener.socket = _Failing(real, code)  # type: ignore[assignment]
    client = await rig.connect(at)
    await eventually(lambda: rig.stats.accept_pauses >= 2)
    listener.socket = real
    await client.echo(await target.accept())


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.EPERM])
async def test_the_error_of_one_client_does_not_hold_up_the_next(plain_rig: Rig, code: int) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    (listener,) = rig.engine._listeners.values()
    listener.socket = _Failing(listener.socket, code, times=1)  # type: ignore[assignment]
    client = await rig.connect(at)
    await client.echo(await target.accept())
    assert rig.stats.accept_pauses == 0


class _Failing:
    """A listening socket on which accept fails, `times` times."""

    def __init__(self, real: Any, code: int, times: int = 1 << 30) -> None:
        self._real, self._code, self._times = real, code, times

    def _accept(self) -> Any:
        if self._times:
            self._times -= 1
            raise OSError(self._code, "accept")
        return self._real._accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_a_listener_opened_during_a_pause_waits_for_its_end(plain_rig: Rig) -> None:
    rig = plain_rig
    first = rig.target()
    rig.forward(first.endpoint)
    rig.engine.pause_accepting("test")
    target = rig.target()
    at = rig.forward(target.endpoint)
    client = await rig.connect(at)
    batches = rig.engine.batch
    await eventually(lambda: rig.engine._resume_timer is None)
    assert rig.engine.batch - batches < 10  # nobody span in the meantime
    await client.echo(await target.accept())


async def test_a_bug_while_accepting_loses_nobody_elses_events(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edge-triggered events that are polled and not served do not come again."""
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    pairs = [await rig.pair(at, target) for _ in range(5)]
    bad_target = rig.target()
    bad = rig.forward(bad_target.endpoint)
    (listener,) = [it for it in rig.engine._listeners.values() if it.ports.listen.port == bad.port]
    real = rig.engine.plan_for

    def plan_for(asking: Any) -> Any:
        if asking is listener:
            raise RuntimeError("a bug")
        return real(asking)

    monkeypatch.setattr(rig.engine, "plan_for", plan_for)
    with capture_logs() as logs:
        client = await rig.connect(bad)
        for one, _ in pairs:
            await one.send(b"hello")
        for _, server in pairs:
            assert await server.receive() == b"hello"
        await eventually(lambda: logs)
    monkeypatch.undo()
    assert {entry["event"] for entry in logs} >= {"session.failed"}
    await client.echo(await bad_target.accept())


# ---------------------------------------------------------------- the socket


def test_binding_that_fails_leaves_nothing_open() -> None:
    spec = ForwardSpec(name="f", ports=(), tunnels=())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = open_descriptors()
        with pytest.raises(OSError, match="in use"):
            bind(ListenAddress("127.0.0.1", taken.getsockname()[1]), spec)
        assert open_descriptors() == before


@pytest.mark.parametrize(
    ("host", "family", "only"), [(None, socket.AF_INET6, 0), ("::", socket.AF_INET6, 1), ("0.0.0.0", socket.AF_INET, 0)]
)
def test_the_family_of_a_listener(host: str | None, family: socket.AddressFamily, only: int) -> None:
    sock = bind(ListenAddress(host, free_port()), ForwardSpec(name="f", ports=(), tunnels=()))
    try:
        assert sock.family == family
        if family is socket.AF_INET6:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == only
    finally:
        sock.close()


async def test_clients_inherit_their_options(plain_rig: Rig) -> None:
    await plain_rig.session(keepalive=KeepAlive(idle=7, interval=3, count=5))
    (session,) = plain_rig.sessions
    assert keepalive_of(session.up.source) == (1, 7, 3, 5)
    assert session.up.source.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def keepalive_of(sock: Any) -> tuple[int, int, int, int]:
    tcp = socket.IPPROTO_TCP
    return (
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        sock.getsockopt(tcp, socket.TCP_KEEPIDLE),
        sock.getsockopt(tcp, socket.TCP_KEEPINTVL),
        sock.getsockopt(tcp, socket.TCP_KEEPCNT),
    )


async def test_a_reload_gives_later_clients_and_upstreams_the_new_keepalive(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint, keepalive=KeepAlive(idle=30), tcp_user_timeout=60.0)
    client, server = await rig.pair(at, target)
    await client.echo(server)
    client.reset()
    await server.receive_until_reset()
    await rig.idle()  # with reuse on, there is a spare upstream with the old options now
    rig.respecify(keepalive=KeepAlive(idle=9, interval=4, count=2), tcp_user_timeout=20.0)
    await rig.pair(at, target)
    (session,) = rig.sessions
    assert keepalive_of(session.up.source) == (1, 9, 4, 2)
    assert keepalive_of(session.down.source) == (1, 9, 4, 2)
    assert session.down.source.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


def test_keepalive_numbers_reach_the_kernel() -> None:
    with socket.socket() as sock:
        set_keepalive(sock, KeepAlive(idle=11, interval=12, count=6))
        assert keepalive_of(sock) == (1, 11, 12, 6)


# ---------------------------------------------------------------- by difference


async def test_listeners_that_stay_keep_their_socket_their_sessions_and_their_backlog(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    client, server = await rig.pair(at, target)
    (listener,) = rig.engine._listeners.values()
    sock = listener.socket
    rig.respecify(max_connections=7, allow=(ip_network("127.0.0.0/8"),))
    added = rig.target()
    added_at = rig.forward(added.endpoint)
    assert listener.socket is sock
    assert listener in rig.engine._listeners.values()
    await client.echo(server)
    await (await rig.connect(added_at)).echo(await added.accept())
    del rig.forwards[1]
    rig.apply()
    with pytest.raises(ConnectionRefusedError):
        await (await rig.connect(added_at)).receive()
    await client.echo(server)


async def test_a_listen_address_that_gets_another_target_keeps_its_socket(plain_rig: Rig) -> None:
    rig = plain_rig
    old, new = rig.target(), rig.target()
    at = rig.forward(old.endpoint)
    client, server = await rig.pair(at, old)
    (listener,) = rig.engine._listeners.values()
    sock = listener.socket
    rig.respecify(ports=(PortMap(listen=ListenAddress(at.host, at.port), target=new.endpoint),))
    assert [it.socket for it in rig.engine._listeners.values()] == [sock]
    later, new_server = await rig.pair(at, new)
    await later.echo(new_server)
    await client.echo(server)
    assert old.saw_nobody()


async def test_a_forward_that_is_renamed_serves_on_under_its_new_name(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint, name="old")
    client, server = await rig.pair(at, target)
    rig.respecify(name="new")
    later, later_server = await rig.pair(at, target)
    await later.echo(later_server)
    await client.echo(server)
    assert rig.stats.active == {("old", "lo-a"): 1, ("new", "lo-a"): 1}
    assert rig.stats.connections == {("old", ConnectResult.OK): 1, ("new", ConnectResult.OK): 1}


async def test_two_forwards_exchange_their_listen_addresses(plain_rig: Rig) -> None:
    rig = plain_rig
    targets = [rig.target(), rig.target()]
    at = [rig.forward(target.endpoint) for target in targets]
    first, second = rig.forwards
    rig.forwards = [
        ForwardSpec(name=first.name, ports=second.ports, tunnels=first.tunnels),
        ForwardSpec(name=second.name, ports=first.ports, tunnels=second.tunnels),
    ]
    rig.apply()
    client, server = await rig.pair(at[0], targets[0])
    await client.echo(server)
    assert rig.stats.connections == {("forward-1", ConnectResult.OK): 1}


# ---------------------------------------------------------------- bursts


def _burst(rig: Rig, at: Endpoint, clients: int) -> list[Peer]:
    """Clients that have all connected before the engine has had a turn."""
    peers = [rig.owns(Peer(socket.socket())) for _ in range(clients)]
    for peer in peers:
        peer.sock.connect_ex(at)
    return peers


async def test_a_burst_is_taken_out_of_the_kernels_queue_at_once_and_served_in_turns(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    (listener,) = rig.engine._listeners.values()
    peers = _burst(rig, at, 600)
    rig.engine._turn()
    assert 0 < rig.engine.sessions < 600
    assert rig.engine.sessions + len(listener._waiting) == 600
    with pytest.raises(BlockingIOError):
        listener.socket._accept()
    for peer in peers:
        await peer.echo(await target.accept())


async def test_clients_that_wait_when_the_listener_closes_are_reset_and_no_others(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    peers = _burst(rig, at, 300)
    rig.engine._turn()
    begun = rig.engine.sessions
    assert 0 < begun < 300
    rig.engine.drain()
    assert not rig.engine.backlogged
    for peer in peers[begun:]:
        await is_reset(peer)
    for peer in peers[:begun]:
        await peer.echo(await target.accept())


async def test_clients_that_wait_out_a_pause_are_served_after_it(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    at = rig.forward(target.endpoint)
    peers = _burst(rig, at, 300)
    rig.engine._turn()
    assert rig.engine.backlogged
    rig.engine.max_sessions = rig.engine.sessions
    rig.engine._turn()
    assert rig.engine.is_paused
    assert not rig.engine.backlogged, "a pause in which every turn tries again is none"
    rig.engine.max_sessions = 5000
    for peer in peers:
        await peer.echo(await target.accept())


# ---------------------------------------------------------------- bursts


async def test_a_burst_is_served_whole_and_in_order(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    clients = [await rig.connect(at) for _ in range(600)]
    servers = [await target.accept() for _ in clients]
    for client, server in zip(clients, servers, strict=True):
        assert server.sock.getsockname()[1] == target.endpoint.port
        await client.send(b"x")
    for server in servers:
        assert await server.receive() == b"x"


async def test_a_drain_in_the_middle_of_a_burst_resets_who_waits_and_leaves_nothing_open(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint)
    clients = [await rig.connect(at) for _ in range(600)]
    rig.engine._turn()
    begun = rig.engine.sessions
    assert 0 < begun < 600
    before = open_descriptors()
    rig.engine.drain()
    assert len(before - open_descriptors()) == 600 - begun + 1  # theirs and the listener's
    for client in clients[begun:]:
        await is_reset(client)
    for client in clients[:begun]:
        await client.send(b"x")
        assert await (await target.accept()).receive() == b"x"


async def test_who_waits_here_is_served_under_the_limits_of_the_moment(rig: Rig) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint, max_connections=200)
    clients = [await rig.connect(at) for _ in range(600)]
    await eventually(lambda: sum(rig.stats.connections.values()) == 600)
    assert results(rig) == {ConnectResult.OK: 200, ConnectResult.LIMITED: 400}
    for client in clients[200:]:
        await is_reset(client)


async def test_who_waits_here_does_so_through_a_pause() -> None:
    async with running_rig(EngineOptions(max_sessions=150)) as rig:
        target = rig.target()
        at = rig.forward(target.endpoint)
        clients = [await rig.connect(at) for _ in range(300)]
        await eventually(lambda: rig.stats.accept_pauses)
        assert rig.engine.sessions <= 150
        for client in clients[:150]:
            await client.send(b"x")
            assert await (await target.accept()).receive() == b"x"
            client.reset()
        for client in clients[150:]:
            await client.send(b"y")
            assert await (await target.accept()).receive() == b"y"
        assert results(rig) == {ConnectResult.OK: 300}
