"""Flows that trickle rest, and lose nothing by it: no byte, no end, no error. Nobody else rests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable, Iterator

import pytest

from gateway.dataplane.rests import ROW
from gateway.dataplane.session import Pump
from gateway.model import CloseReason, Endpoint
from tests.dataplane.rig import DEADLINE, OPTIONS, Peer, Rig, eventually, running_rig

_PACKET = bytes(range(256)) * 5 + bytes(120)  # as much as one carries
_MANY = 4 * ROW


def resting(rig: Rig) -> set[Pump]:
    return set(rig.engine._rests.resting)


async def trickle(source: Peer, number: int = _MANY) -> None:
    """Send packets one by one, each after the engine had its turn for the one before."""
    for _ in range(number):
        source.sock.send(_PACKET)
        await asyncio.sleep(0)


@contextlib.contextmanager
def counted_pumps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Pump]]:
    """The pumps that were served."""
    served: list[Pump] = []
    pump = rig.engine._relay.pump

    def counting(each: Pump) -> None:
        served.append(each)
        pump(each)

    with monkeypatch.context() as patched:
        patched.setattr(rig.engine._relay, "pump", counting)
        yield served


@pytest.mark.parametrize("option", [name for name, options in OPTIONS.items() if not options.busy_poll])
@pytest.mark.parametrize("direction", ["to_target", "to_client"])
async def test_what_trickles_rests_and_arrives_whole_in_few_turns(
    monkeypatch: pytest.MonkeyPatch, direction: str, option: str
) -> None:
    async with running_rig(OPTIONS[option]) as rig:
        await _rests(rig, monkeypatch, direction)


async def _rests(rig: Rig, monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    client, target = await rig.session()
    source, sink = (client, target) if direction == "to_target" else (target, client)
    (session,) = rig.sessions
    await trickle(source)
    assert resting(rig) == {session.up if direction == "to_target" else session.down}
    with counted_pumps(rig, monkeypatch) as served:
        async with asyncio.TaskGroup() as group:
            received = group.create_task(sink.receive_all())
            await trickle(source, _MANY)
            source.finish_sending()
    assert received.result() == _PACKET * 2 * _MANY
    assert len(served) < _MANY * 3 / 4, "and not one for each packet; a busy machine interrupts a rest or two"


async def test_with_busy_poll_nobody_rests() -> None:
    async with running_rig(OPTIONS["busy-poll"]) as rig:
        client, target = await rig.session()
        await trickle(target)
        assert not resting(rig)
        assert await client.receive_exactly(_MANY * len(_PACKET)) == _PACKET * _MANY


async def test_who_has_said_all_is_watched_again(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    await trickle(target)
    await client.receive_exactly(_MANY * len(_PACKET))
    await eventually(lambda: not resting(plain_rig))
    assert plain_rig.engine._rests._timer is None
    await client.echo(target)


async def test_questions_and_answers_never_rest(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    for _ in range(_MANY):
        await client.echo(target)
        assert not resting(plain_rig)


@pytest.mark.parametrize("size", [1 << 16, 1 << 18])
async def test_nor_do_answers_to_big_questions(rig: Rig, size: int) -> None:
    client, target = await rig.session()
    for peer in (client, target):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            peer.sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    for _ in range(_MANY):
        await client.send(bytes(size))
        await target.receive_exactly(size)
        await target.send(_PACKET)
        await client.receive_exactly(len(_PACKET))
        assert not resting(rig)


async def test_nor_do_those_of_a_session_that_had_to_try_twice(plain_rig: Rig) -> None:
    target = plain_rig.target()
    plain_rig.addresses = {"db.corp": ("2001:db8::1", "127.0.0.1")}
    client, server = await plain_rig.pair(plain_rig.forward(Endpoint("db.corp", target.endpoint.port)), target)
    for _ in range(_MANY):
        await client.echo(server, _PACKET)
        assert not resting(plain_rig)


async def test_nor_do_those_of_a_session_that_was_once_in_a_hurry(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    (session,) = plain_rig.sessions
    client.sock.send(b"!", socket.MSG_OOB)
    await eventually(lambda: session.up.read_on)
    for _ in range(_MANY):
        await client.echo(target, _PACKET)
        assert not resting(plain_rig)


async def test_short_messages_are_pushed_at_once(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    for _ in range(_MANY):
        target.sock.send(b"a quotation of the stock exchange")
        await client.receive()
        assert not resting(plain_rig)


async def test_what_has_become_slow_is_watched_again(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    await trickle(target)
    assert resting(plain_rig)
    await client.receive_exactly(_MANY * len(_PACKET))

    async def drip() -> None:
        while resting(plain_rig):
            target.sock.send(b"a line of a log\n")
            await client.receive()

    await asyncio.wait_for(drip(), timeout=DEADLINE)


async def test_many_that_rest_share_the_loop(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is forgotten, and no turn takes all."""
    rests = plain_rig.engine._rests
    turns: list[int] = []
    pump = rests._pump

    def counting(pumps: Iterable[Pump]) -> None:
        served = list(pumps)
        turns.append(len(served))
        pump(served)

    monkeypatch.setattr(rests, "_pump", counting)
    monkeypatch.setattr("gateway.dataplane.rests._PUMPS_A_TURN", 2)
    backend = plain_rig.target()
    at = plain_rig.forward(backend.endpoint)
    pairs = [await plain_rig.pair(at, backend) for _ in range(5)]
    for _ in range(_MANY):
        for _, target in pairs:
            target.sock.send(_PACKET)
        await asyncio.sleep(0)
    assert len(resting(plain_rig)) == len(pairs)
    for client, target in pairs:
        target.finish_sending()
        assert await client.receive_all() == _PACKET * _MANY
    assert max(turns) == 2


async def test_a_question_ends_the_rest_of_its_answer(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    await trickle(target)
    assert resting(plain_rig)
    await client.send(b"more")
    assert await target.receive() == b"more"
    assert not resting(plain_rig)
    await client.receive_exactly(_MANY * len(_PACKET))
    await client.echo(target)


async def test_what_comes_slowly_never_rests(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 1.0  # since it was last looked at, a row ago
        return now

    monkeypatch.setattr("gateway.dataplane.rests.monotonic", clock)
    client, target = await plain_rig.session()
    for _ in range(_MANY):
        await target.send(b"a line of a log\n")
        await client.receive()
        assert not resting(plain_rig)


async def test_an_end_wakes_a_source_that_rests(plain_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    client, target = await plain_rig.session()
    await trickle(target)
    monkeypatch.setattr(plain_rig.engine._rests, "_pump", lambda _: None)  # its rest never ends by itself
    assert resting(plain_rig)
    await target.send(b"the end")
    target.finish_sending()
    assert await client.receive_all() == _PACKET * _MANY + b"the end"
    client.finish_sending()
    await plain_rig.idle()
    assert plain_rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


@pytest.mark.parametrize("who", ["client", "target"])
async def test_a_reset_ends_a_session_whose_source_rests(plain_rig: Rig, who: str) -> None:
    client, target = await plain_rig.session()
    await trickle(target)
    assert resting(plain_rig)
    (client if who == "client" else target).reset()
    await plain_rig.idle()
    reason = CloseReason.CLIENT_RESET if who == "client" else CloseReason.TARGET_RESET
    assert plain_rig.stats.closed == {("forward-0", reason): 1}
    await eventually(lambda: not resting(plain_rig))


async def test_a_sink_that_blocks_ends_the_rest_and_nothing_is_lost(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    (session,) = plain_rig.sessions
    await trickle(target)
    assert resting(plain_rig)
    taken = await target.fill(session.down)
    await eventually(lambda: not resting(plain_rig))
    whole = _MANY * len(_PACKET) + taken
    assert len(await client.receive_exactly(whole)) == whole
    await client.echo(target)


async def test_a_sink_that_waits_to_be_written_to_is_told_although_it_rests_as_a_source(plain_rig: Rig) -> None:
    client, target = await plain_rig.session()
    (session,) = plain_rig.sessions
    taken = await client.fill(session.up)  # what goes to the target is held
    await trickle(target)
    assert resting(plain_rig) == {session.down}
    await client.receive_exactly(_MANY * len(_PACKET))
    assert len(await target.receive_exactly(taken)) == taken
    await target.echo(client)


async def test_a_session_that_takes_over_is_not_mistaken_for_the_one_that_rested(plain_rig: Rig) -> None:
    """Its objects and its descriptors may be the same."""
    backend = plain_rig.target()
    at = plain_rig.forward(backend.endpoint)
    client, target = await plain_rig.pair(at, backend)
    await trickle(target)
    assert resting(plain_rig)
    client.reset()
    await plain_rig.idle()
    again, other = await plain_rig.pair(at, backend)
    for _ in range(100):
        await again.echo(other)
    assert not resting(plain_rig)


async def test_an_engine_that_stops_wakes_nobody(plain_rig: Rig) -> None:
    _, target = await plain_rig.session()
    await trickle(target)
    assert resting(plain_rig)
    assert plain_rig.stop() == 1
    assert not resting(plain_rig)
    await asyncio.sleep(0.005)  # longer than a rest: the timer would raise
