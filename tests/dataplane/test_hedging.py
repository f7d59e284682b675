"""Dials that stay unanswered, raced against another tunnel: who wins, who is closed, and what is counted.

On loopback. Each tunnel has a source address of one family, so that it leads to one of the target's two addresses:
`lo-a` to ::1, `lo-b` and `lo-c` to 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from time import monotonic

import pytest
from structlog.testing import capture_logs

from gateway.dataplane.hedging import Race
from gateway.dataplane.messages import AbortTunnel
from gateway.dataplane.session import Session
from gateway.model import ConnectResult, DialFailure, Endpoint, HedgeResult, HoldResult, Path, ProxyProtocol
from tests.control.namespace import Tun, ip
from tests.dataplane.rig import DEADLINE, OPTIONS, Peer, Rig, eventually, free_port, open_descriptors, running_rig
from tests.dataplane.test_dialer import QUICKLY, failures, results
from tests.dataplane.test_holds import NEVER, held
from tests.dataplane.test_listener import no_descriptors_left
from tests.dataplane.test_proof import TARGET, path_of, with_device
from tests.dataplane.test_reuse import spares_of

SOURCES = {"lo-a": "::1", "lo-b": "127.0.0.1", "lo-c": "127.0.0.1"}
AFTER = 0.05


def way(rig: Rig, tunnel: str, **changes: object) -> Path:
    return rig.path(tunnel, source_address=ip_address(SOURCES[tunnel]), **changes)


@contextmanager
def silent(endpoint: Endpoint) -> Iterator[socket.socket]:
    """A target that answers no SYN until somebody accepts: its backlog is full."""
    with ExitStack() as stack:
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        sock = stack.enter_context(socket.socket(family))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(tuple(endpoint))
        sock.listen(0)
        for _ in range(2):
            filler = stack.enter_context(socket.socket(family))
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield sock


def hedged(rig: Rig, port: int, *tunnels: str, **settings: object) -> Endpoint:
    """A forward to `port` of either address, by `tunnels` in this order."""
    rig.offer(*(way(rig, tunnel) for tunnel in tunnels))
    rig.addresses = {"db.corp": ("::1", "127.0.0.1")}
    defaults: dict[str, object] = {"hedge_after": AFTER, "connect_timeout": NEVER}
    return rig.forward(Endpoint("db.corp", port), tunnels=("lo-a", "lo-b", "lo-c"), **defaults | settings)


def hedges(rig: Rig) -> dict[HedgeResult, int]:
    return {result: count for (_, result), count in rig.stats.hedges.items()}


def race_of(rig: Rig) -> Race | None:
    (session,) = rig.sessions
    race = session.race
    assert (
        race is None
        or not race.is_on
        or (race in race.attempt.lane.races and race in rig.engine._dialer.hedging.under_way)
    )
    return race


def is_racing(rig: Rig) -> bool:
    return bool(rig.sessions) and (race := race_of(rig)) is not None and race.is_on


def nothing_is_left(rig: Rig) -> bool:
    """Of races; sessions may be."""
    return not rig.engine._dialer.hedging.under_way and not any(lane.races for lane in rig.engine._ledger.lanes())


async def racing(rig: Rig, at: Endpoint) -> tuple[Peer, Session]:
    """A client whose two dials are both under way."""
    client = await rig.connect(at)
    await eventually(lambda: is_racing(rig))
    (session,) = rig.sessions
    return client, session


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def both_silent(port: int) -> Iterator[int]:
    with silent(Endpoint("::1", port)), silent(Endpoint("127.0.0.1", port)):
        yield port


@pytest.fixture
def first_silent(port: int) -> Iterator[int]:
    with silent(Endpoint("::1", port)):
        yield port


# ---------------------------------------------------------------- who wins


async def test_the_second_wins_and_the_session_is_wholly_its_own(rig: Rig, first_silent: int) -> None:
    before = open_descriptors()
    target = rig.target("127.0.0.1", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b")
    started = monotonic()
    client = await rig.connect(at)
    await client.send(b"early")
    server = await target.accept()
    assert AFTER <= monotonic() - started < AFTER + QUICKLY
    (outrun,) = rig.outruns
    assert (outrun.tunnel, outrun.target.port) == ("lo-a", first_silent)
    assert started <= outrun.since <= monotonic() - AFTER, "silence so long is worth a probe"
    assert await server.receive_exactly(5) == b"early"
    await client.echo(server)
    assert hedges(rig) == {HedgeResult.WON: 1}
    assert rig.stats.active == {("forward-0", "lo-a"): 0, ("forward-0", "lo-b"): 1}
    assert rig.stats.to_target == {("forward-0", "lo-b"): 9}
    assert failures(rig) == []
    assert list(rig.stats.connect_seconds) == ["lo-b"]
    assert rig.stats.connect_seconds["lo-b"].total < QUICKLY
    assert race_of(rig) is None
    assert nothing_is_left(rig)
    client.finish_sending()
    assert await server.receive() == b""
    server.finish_sending()
    assert await client.receive() == b""
    await rig.idle()
    assert rig.ended[0].tunnel == "lo-b"
    for thing in (client, server, target):
        thing.close()
    rig.stop()
    assert len(open_descriptors() - before) == 0


@pytest.mark.lab
def test_across_a_black_hole_no_client_fails_and_none_waits_long() -> None:
    """What is sent into `tun-a` is never heard of again, and no table says so."""

    async def scenario(tun: Tun) -> None:
        ip(f"route add {TARGET}/32 dev tun-a")
        async with running_rig() as rig:
            ip(f"addr add {TARGET}/32 dev lo")
            rig.offer(path_of(tun), rig.path("lo-b"))
            target = rig.target(TARGET)
            at = rig.forward(target.endpoint, tunnels=("tun-a", "lo-b"), hedge_after=AFTER)
            for _ in range(20):
                started = monotonic()
                client, server = await rig.pair(at, target)
                await client.echo(server)
                assert monotonic() - started < AFTER + QUICKLY
                client.reset()
                await rig.idle()
            assert hedges(rig) == {HedgeResult.WON: 20}
            assert results(rig) == {ConnectResult.OK: 20}
            assert failures(rig) == []

    with_device(scenario)


async def test_it_begins_on_time(plain_rig: Rig, first_silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 10 ms on a quiet machine: of several, the promptest."""
    rig = plain_rig
    late = []
    real = rig.engine._dialer.hedging._start

    def start(session: Session) -> None:
        late.append(rig.engine.now - session.dialled_at - 0.1)
        real(session)

    monkeypatch.setattr(rig.engine._dialer.hedging, "_start", start)
    target = rig.target("127.0.0.1", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b", hedge_after=0.1)
    for _ in range(5):
        client, server = await rig.pair(at, target)
        await client.echo(server)
        client.reset()
        await rig.idle()
    assert len(late) == 5
    assert 0 <= min(late) < 0.01


@pytest.mark.parametrize("after", [0.001, 0.02])
async def test_soon_is_soon(plain_rig: Rig, first_silent: int, after: float) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.1", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b", hedge_after=after)
    quickest = QUICKLY
    for _ in range(5):
        started = monotonic()
        client, server = await rig.pair(at, target)
        quickest = min(quickest, monotonic() - started)
        await client.echo(server)
        client.reset()
        await rig.idle()
    assert quickest < after + 0.03  # the timer of other dials is at 50 ms


async def test_the_first_wins_after_all(plain_rig: Rig, port: int) -> None:
    rig = plain_rig
    with silent(Endpoint("::1", port)) as slow, silent(Endpoint("127.0.0.1", port)):
        at = hedged(rig, port, "lo-a", "lo-b")
        client, session = await racing(rig, at)
        await client.send(b"early")
        second = session.race.source  # type: ignore[union-attr]
        slow.setblocking(False)
        slow.listen(16)
        server = await _whose_client_says(rig, slow, b"early")
        await client.echo(server)
        assert second.fileno() == -1
        assert hedges(rig) == {HedgeResult.LOST: 1}
        assert rig.stats.active == {("forward-0", "lo-a"): 1, ("forward-0", "lo-b"): 0}
        assert failures(rig) == []
        assert nothing_is_left(rig)


async def _whose_client_says(rig: Rig, listening: socket.socket, word: bytes) -> Peer:
    """The accepted connection on which `word` comes; the SYN that was not answered is sent again after a second."""
    found: list[Peer] = []

    async def look(peer: Peer) -> None:
        with suppress(ConnectionError):
            if await peer.receive_exactly(len(word)) == word:
                found.append(peer)

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        looking = []
        while not found:
            with suppress(BlockingIOError):
                looking.append(group.create_task(look(rig.owns(Peer(listening.accept()[0])))))
            await asyncio.sleep(0.01)
        for task in looking:
            task.cancel()
    return found[0]


async def test_what_is_answered_in_time_is_not_raced(rig: Rig, port: int) -> None:
    targets = [rig.target(host, port) for host in ("::1", "127.0.0.1")]
    client, server = await rig.pair(hedged(rig, port, "lo-a", "lo-b"), targets[0])
    (session,) = rig.sessions
    await eventually(lambda: monotonic() > session.dialled_at + 3 * AFTER)
    await client.echo(server)
    assert hedges(rig) == {}
    assert targets[1].saw_nobody()


@pytest.mark.parametrize("settings", [{"hedge_after": 0.0}, {"tunnels": 1}])
async def test_switched_off_or_without_another_tunnel_nothing_is_raced(
    plain_rig: Rig, both_silent: int, settings: dict[str, float]
) -> None:
    rig = plain_rig
    tunnels = ("lo-a",) if settings.pop("tunnels", 2) == 1 else ("lo-a", "lo-b")
    at = hedged(rig, both_silent, *tunnels, **settings)
    await rig.connect(at)
    await eventually(lambda: rig.engine.sessions)
    (session,) = rig.sessions
    await eventually(lambda: monotonic() > session.dialled_at + 4 * AFTER)
    assert session.race is None
    assert hedges(rig) == {}


async def test_another_address_of_the_same_tunnel_is_no_second_tunnel(plain_rig: Rig, both_silent: int) -> None:
    rig = plain_rig
    at = hedged(rig, both_silent, "lo-a")
    rig.offer(rig.path("lo-a"))  # of no family: it leads to both addresses
    rig.apply()
    await rig.connect(at)
    await eventually(lambda: rig.engine.sessions)
    (session,) = rig.sessions
    await eventually(lambda: monotonic() > session.dialled_at + 4 * AFTER)
    assert session.race is None


async def test_a_tunnel_that_comes_later_is_raced_too(plain_rig: Rig, first_silent: int) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.1", first_silent)
    client = await rig.connect(hedged(rig, first_silent, "lo-a"))
    await eventually(lambda: rig.engine.sessions)
    (session,) = rig.sessions
    await eventually(lambda: monotonic() > session.dialled_at + 2 * AFTER)
    rig.offer(way(rig, "lo-a"), way(rig, "lo-b"))
    rig.apply()
    await client.echo(await target.accept())
    assert hedges(rig) == {HedgeResult.WON: 1}


async def test_only_the_winner_gets_the_proxy_header(plain_rig: Rig, port: int) -> None:
    rig = plain_rig
    with silent(Endpoint("::1", port)) as loser:
        target = rig.target("127.0.0.1", port)
        at = hedged(rig, port, "lo-a", "lo-b", proxy_protocol=ProxyProtocol.V1)
        client = await rig.connect(at)
        await client.send(b"early")
        server = await target.accept()
        expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {client.address.port} {at.port}\r\nearly".encode()
        assert await server.receive_exactly(len(expected)) == expected
        loser.settimeout(0)
        with loser.accept()[0] as filler:  # one of those that made it silent: nobody else has come in
            filler.settimeout(0)
            with pytest.raises(BlockingIOError):
                filler.recv(1)


# ---------------------------------------------------------------- one side fails


async def test_a_second_that_fails_at_once_is_followed_by_the_next(plain_rig: Rig, first_silent: int) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.1", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b", "lo-c")
    rig.offer(way(rig, "lo-a"), way(rig, "lo-b", ifindex=1 << 20), way(rig, "lo-c"))
    rig.apply()
    client, server = await rig.pair(at, target)
    await client.echo(server)
    assert failures(rig) == [("lo-b", DialFailure.NOT_PROVEN)]
    assert rig.stats.dial_failures == {("forward-0", "lo-b", DialFailure.NOT_PROVEN): 1}
    assert hedges(rig) == {HedgeResult.WON: 1}
    assert rig.stats.active[("forward-0", "lo-c")] == 1


async def test_a_second_that_its_path_fails_leaves_the_first_alone(rig: Rig, both_silent: int) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    first = session.down.source
    rig.engine._dialer.hedging.failed(session.race, DialFailure.UNREACHABLE)  # type: ignore[arg-type]
    assert session.down.source is first
    assert failures(rig) == [("lo-b", DialFailure.UNREACHABLE)]
    assert nothing_is_left(rig)
    assert rig.engine.sessions == 1
    client.reset()
    await rig.idle()
    assert hedges(rig) == {HedgeResult.FAILED: 1}


async def test_a_first_that_its_path_fails_leaves_the_second_in_its_place(rig: Rig, both_silent: int) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    race = session.race
    assert race is not None
    first, second, second_at = session.down.source, race.source, race.dialled_at
    rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
    assert first.fileno() == -1
    assert (session.down.source, session.dialled_at) == (second, second_at)
    assert failures(rig) == [("lo-a", DialFailure.UNREACHABLE)]
    assert rig.stats.active == {("forward-0", "lo-a"): 0, ("forward-0", "lo-b"): 1}
    assert nothing_is_left(rig)
    client.reset()
    await rig.idle()
    assert hedges(rig) == {HedgeResult.FAILED: 1}


async def test_a_second_that_went_on_alone_and_is_connected_has_won(plain_rig: Rig, port: int) -> None:
    rig = plain_rig
    with silent(Endpoint("::1", port)), silent(Endpoint("127.0.0.1", port)) as slow:
        client, session = await racing(rig, hedged(rig, port, "lo-a", "lo-b"))
        await client.send(b"early")
        rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
        slow.setblocking(False)
        slow.listen(16)
        await client.echo(await _whose_client_says(rig, slow, b"early"))
    assert hedges(rig) == {HedgeResult.WON: 1}
    assert results(rig) == {ConnectResult.OK: 1}


async def test_both_time_out_each_in_its_own_lane(plain_rig: Rig, both_silent: int) -> None:
    rig = plain_rig
    before = open_descriptors()
    started = monotonic()
    client = await rig.connect(hedged(rig, both_silent, "lo-a", "lo-b", connect_timeout=0.4))
    await client.receive_until_reset()
    assert 0.4 <= monotonic() - started < 0.4 + QUICKLY
    assert sorted(failures(rig)) == [("lo-a", DialFailure.TIMED_OUT), ("lo-b", DialFailure.TIMED_OUT)]
    assert hedges(rig) == {HedgeResult.FAILED: 1}
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert nothing_is_left(rig)
    client.close()
    rig.stop()
    assert open_descriptors() <= before


async def test_after_both_have_failed_the_next_attempt_is_made(rig: Rig, both_silent: int) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b", "lo-c"))
    dialer = rig.engine._dialer
    dialer.hedging.failed(session.race, DialFailure.UNREACHABLE)  # type: ignore[arg-type]
    dialer.failed(session, DialFailure.UNREACHABLE)
    assert session.attempt.lane.tunnel.name == "lo-c"
    assert hedges(rig) == {HedgeResult.FAILED: 1}
    assert session.race is None
    client.reset()
    await rig.idle()


async def test_who_is_left_alone_is_raced_again_with_what_there_is_to_try(plain_rig: Rig, port: int) -> None:
    """Three attempts, two under way: the first has half of the time, and then the second races the third."""
    rig = plain_rig
    with silent(Endpoint("::1", port)):
        rig.addresses = {}
        with silent(Endpoint("127.0.0.1", port)):
            at = hedged(rig, port, "lo-a", "lo-b", "lo-c", connect_timeout=1.0)
            client, session = await racing(rig, at)
            await eventually(lambda: session.attempt.lane.tunnel.name == "lo-b" and is_racing(rig))
            race = race_of(rig)
            assert race is not None
            assert race.attempt.lane.tunnel.name == "lo-c"
            assert failures(rig) == [("lo-a", DialFailure.TIMED_OUT)]
            assert monotonic() - session.begun_at < 0.5 + QUICKLY
            await client.receive_until_reset()
    assert [tunnel for tunnel, _ in sorted(failures(rig))] == ["lo-a", "lo-b", "lo-c"]
    assert hedges(rig) == {HedgeResult.FAILED: 1}


# ---------------------------------------------------------------- the target answers


async def test_refused_by_the_second_ends_the_race_and_the_client(rig: Rig, first_silent: int) -> None:
    client = await rig.connect(hedged(rig, first_silent, "lo-a", "lo-b", "lo-c"))
    await client.receive_until_reset()
    assert failures(rig) == [("lo-b", DialFailure.REFUSED)]
    assert hedges(rig) == {HedgeResult.FAILED: 1}
    assert results(rig) == {ConnectResult.DIAL_FAILED: 1}
    assert rig.engine.sessions == 0
    assert nothing_is_left(rig)


async def test_refused_by_the_second_its_other_addresses_are_tried(plain_rig: Rig, first_silent: int) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.2", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b")
    rig.addresses = {"db.corp": ("::1", "127.0.0.1", "127.0.0.2")}
    rig.apply()
    client, server = await rig.pair(at, target)
    await client.echo(server)
    assert failures(rig) == [("lo-b", DialFailure.REFUSED)]
    assert rig.stats.active == {("forward-0", "lo-a"): 0, ("forward-0", "lo-b"): 1}


@pytest.mark.parametrize("reason", [DialFailure.REFUSED, DialFailure.RESET])
async def test_an_answer_to_the_first_ends_the_race_and_the_client(
    rig: Rig, both_silent: int, reason: DialFailure
) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    second = session.race.source  # type: ignore[union-attr]
    rig.engine._dialer.failed(session, reason)
    assert second.fileno() == -1
    await client.receive_until_reset()
    assert failures(rig) == [("lo-a", reason)]
    assert hedges(rig) == {HedgeResult.FAILED: 1}
    assert rig.engine.sessions == 0
    assert nothing_is_left(rig)


# ---------------------------------------------------------------- the table, the client and the end, during a race


async def test_a_table_that_withdraws_either_side_ends_that_side_alone(rig: Rig, both_silent: int) -> None:
    at = hedged(rig, both_silent, "lo-a", "lo-b")
    for withdrawn, left in (("lo-a", "lo-b"), ("lo-b", "lo-a")):
        rig.offer(way(rig, "lo-a"), way(rig, "lo-b"))
        rig.apply()
        rig.dial_failures.clear()
        client, session = await racing(rig, at)
        rig.offer(way(rig, left))
        rig.apply()
        assert failures(rig) == [(withdrawn, DialFailure.TUNNEL_DOWN)]
        assert session.attempt.lane.tunnel.name == left
        assert session.down.source.fileno() >= 0
        assert rig.stats.active == {("forward-0", left): 1, ("forward-0", withdrawn): 0}
        assert nothing_is_left(rig)
        client.reset()
        await rig.idle()


async def test_a_table_that_withdraws_both_sides_ends_the_client_or_has_it_wait(rig: Rig, both_silent: int) -> None:
    for hold_timeout in (0.0, NEVER):
        rig.forwards.clear()
        at = hedged(rig, both_silent, "lo-a", "lo-b", hold_timeout=hold_timeout)
        client, _ = await racing(rig, at)
        rig.offer()
        rig.apply()
        assert nothing_is_left(rig)
        assert held(rig) == (hold_timeout > 0)
        if not hold_timeout:
            await client.receive_until_reset()
        client.reset()
        await rig.idle()
    assert hedges(rig) == {HedgeResult.FAILED: 2}
    assert rig.stats.holds == {("forward-0", HoldResult.LEFT): 1}


async def test_a_table_that_changes_nothing_disturbs_no_race(rig: Rig, both_silent: int) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    race = session.race
    assert race is not None
    sockets = (session.down.source, race.source)
    rig.apply()
    assert (session.down.source, race.source) == sockets
    assert failures(rig) == []
    client.reset()
    await rig.idle()


async def test_a_device_made_again_takes_the_second_dial_along(plain_rig: Rig, both_silent: int) -> None:
    rig = plain_rig
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    old = session.race.source  # type: ignore[union-attr]
    rig.offer(way(rig, "lo-a"), way(rig, "lo-b", ifindex=1 << 20))
    rig.apply()
    assert old.fileno() == -1
    assert failures(rig)[0] == ("lo-b", DialFailure.TUNNEL_DOWN)
    client.reset()
    await rig.idle()


@pytest.mark.parametrize("tunnel", ["lo-a", "lo-b"])
async def test_an_abort_takes_no_client_that_is_still_being_dialled(
    plain_rig: Rig, both_silent: int, tunnel: str
) -> None:
    rig = plain_rig
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    assert rig.engine.abort(AbortTunnel(tunnel=tunnel, forwards=frozenset({"forward-0"}))) == 0
    assert session.down.source.fileno() >= 0
    client.reset()
    await rig.idle()


async def test_after_the_race_an_abort_of_the_losers_tunnel_spares_the_session(rig: Rig, first_silent: int) -> None:
    target = rig.target("127.0.0.1", first_silent)
    client, server = await rig.pair(hedged(rig, first_silent, "lo-a", "lo-b"), target)
    await client.echo(server)
    everywhere = frozenset({"forward-0"})
    assert rig.engine.abort(AbortTunnel(tunnel="lo-a", forwards=everywhere)) == 0
    await client.echo(server)
    assert rig.engine.abort(AbortTunnel(tunnel="lo-b", forwards=everywhere)) == 1
    await client.receive_until_reset()


async def test_a_client_that_leaves_during_a_race_takes_both_dials_along(rig: Rig, both_silent: int) -> None:
    before = open_descriptors()
    at = hedged(rig, both_silent, "lo-a", "lo-b")
    listener = 1
    for says in (b"", b"never mind"):
        client, _ = await racing(rig, at)
        await client.send(says)
        client.reset()
        await rig.idle()
        assert nothing_is_left(rig)
    assert len(open_descriptors() - before) == listener
    assert hedges(rig) == {HedgeResult.FAILED: 2}
    assert results(rig) == {ConnectResult.DIAL_FAILED: 2}


async def test_a_drain_lets_a_race_be_run(plain_rig: Rig, port: int) -> None:
    rig = plain_rig
    with silent(Endpoint("::1", port)), silent(Endpoint("127.0.0.1", port)) as slow:
        client, _ = await racing(rig, hedged(rig, port, "lo-a", "lo-b"))
        await client.send(b"early")
        rig.engine.drain()
        slow.setblocking(False)
        slow.listen(16)
        await client.echo(await _whose_client_says(rig, slow, b"early"))
    assert hedges(rig) == {HedgeResult.WON: 1}


@pytest.mark.parametrize("option", OPTIONS)
async def test_stop_during_races_leaves_nothing_open(option: str, both_silent: int) -> None:
    before = open_descriptors()
    async with running_rig(OPTIONS[option]) as rig:
        at = hedged(rig, both_silent, "lo-a", "lo-b")
        clients = [await rig.connect(at) for _ in range(20)]
        await eventually(lambda: len(rig.engine._dialer.hedging.under_way) == 20)
        with capture_logs() as logs:
            assert rig.stop() == 20
            for client in clients:
                await client.receive_until_reset()
            await asyncio.sleep(0)
        assert logs == []
        assert hedges(rig) == {HedgeResult.FAILED: 20}
        assert nothing_is_left(rig)
    assert open_descriptors() == before


async def test_a_second_dial_under_way_is_among_the_vitals_of_its_tunnel(plain_rig: Rig, both_silent: int) -> None:
    rig = plain_rig
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    race = session.race
    assert race is not None
    target = Endpoint("db.corp", both_silent)
    assert rig.engine.vitals("lo-a").unanswered == {target: session.dialled_at}
    assert rig.engine.vitals("lo-b").unanswered == {target: race.dialled_at}
    rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
    assert rig.engine.vitals("lo-a").unanswered == {}
    assert rig.engine.vitals("lo-b").unanswered == {target: race.dialled_at}
    client.reset()
    await rig.idle()


# ---------------------------------------------------------------- upstreams used again


async def test_the_winner_is_used_again_in_its_own_lane_and_the_loser_never(plain_rig: Rig, first_silent: int) -> None:
    rig = plain_rig
    target = rig.target("127.0.0.1", first_silent)
    at = hedged(rig, first_silent, "lo-a", "lo-b")
    for number in range(3):
        client, server = await rig.pair(at, target)
        await client.echo(server)
        upstream = rig.upstream
        client.reset()
        await server.receive_until_reset()
        await rig.idle()
        lanes = {lane.tunnel.name: lane for lane in rig.engine._ledger.lanes()}
        assert lanes["lo-b"].spares4.sockets[-1] is upstream
        assert lanes["lo-a"].spares6.sockets == []
        assert len(spares_of(rig)) == number + 1  # a second dial is never made with a spare
    assert hedges(rig) == {HedgeResult.WON: 3}
    rig.offer(way(rig, "lo-b"), way(rig, "lo-a"))
    rig.apply()
    client, server = await rig.pair(at, target)  # a first dial is
    await client.echo(server)
    assert len(spares_of(rig)) == 2
    assert target.saw_nobody()


async def test_a_first_dial_on_a_spare_that_loses_is_closed(plain_rig: Rig, port: int) -> None:
    rig = plain_rig
    at = hedged(rig, port, "lo-a", "lo-b")
    first = rig.target("::1", port)
    client, server = await rig.pair(at, first)
    await client.echo(server)
    spare = rig.upstream
    client.reset()
    await server.receive_until_reset()
    await rig.idle()
    first.close()
    target = rig.target("127.0.0.1", port)
    with silent(Endpoint("::1", port)):
        client, server = await rig.pair(at, target)
        await client.echo(server)
    assert spare.fileno() == -1
    assert spares_of(rig) == []
    assert rig.engine._reuse.kept == 0


# ---------------------------------------------------------------- events of one batch


async def test_both_are_connected_in_one_batch_and_one_is_reset(rig: Rig, both_silent: int) -> None:
    """What the kernel may say, said for certain: either one comes first."""
    at = hedged(rig, both_silent, "lo-a", "lo-b")
    for order in (1, -1):
        client, session = await racing(rig, at)
        race = session.race
        assert race is not None
        ours = (session.down.source, race.source)
        rig.engine._serve([(sock.fileno(), select.EPOLLOUT) for sock in ours][::order])
        winner, loser = ours[::order]
        assert session.down.source is winner
        assert loser.fileno() == -1
        assert nothing_is_left(rig)
        client.reset()
        await rig.idle()
    assert hedges(rig) == {HedgeResult.LOST: 1, HedgeResult.WON: 1}


async def test_both_fail_in_one_batch(rig: Rig, both_silent: int) -> None:
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
    rig.engine._dialer.failed(session, DialFailure.UNREACHABLE)
    await client.receive_until_reset()
    assert failures(rig) == [("lo-a", DialFailure.UNREACHABLE), ("lo-b", DialFailure.UNREACHABLE)]
    assert rig.engine.sessions == 0


async def test_a_bug_in_a_race_costs_one_session(
    plain_rig: Rig, both_silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = plain_rig
    client, session = await racing(rig, hedged(rig, both_silent, "lo-a", "lo-b"))
    race = session.race
    assert race is not None

    def fail(*_: object) -> bool:
        raise RuntimeError("a bug")

    monkeypatch.setattr(rig.engine._dialer.hedging, "on_second", fail)
    with capture_logs() as logs:
        rig.engine._serve([(race.source.fileno(), select.EPOLLOUT)])
    assert [entry["event"] for entry in logs] == ["session.failed"]
    await client.receive_until_reset()
    assert rig.engine.sessions == 0
    assert nothing_is_left(rig)


async def test_our_own_shortage_during_the_second_dial_harms_nobody(plain_rig: Rig, both_silent: int) -> None:
    rig = plain_rig
    client = await rig.connect(hedged(rig, both_silent, "lo-a", "lo-b"))
    await eventually(lambda: rig.engine.sessions)
    with no_descriptors_left():
        await eventually(lambda: rig.dial_failures)
    assert failures(rig) == [("lo-b", DialFailure.LOCAL)]
    assert rig.engine.sessions == 1
    client.reset()
    await rig.idle()
    assert hedges(rig) == {HedgeResult.FAILED: 1}
