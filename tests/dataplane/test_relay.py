"""Bytes, ends of file and resets pass through as they came, whatever the optimisations."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import socket
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from gateway.dataplane.session import Pump
from gateway.model import CloseReason
from tests.dataplane.rig import Rig, eventually, seeded

MIB = 1 << 20


def reasons(rig: Rig) -> set[CloseReason]:
    return {reason for _, reason in rig.stats.closed}


# ---------------------------------------------------------------- bytes and ends of file


async def test_bytes_pass_both_ways_and_both_ends_of_file_end_the_session(rig: Rig) -> None:
    client, target = await rig.session()
    await client.send(b"hello")
    assert await target.receive() == b"hello"
    await target.send(b"world!")
    assert await client.receive() == b"world!"
    client.finish_sending()
    assert await target.receive() == b""
    target.finish_sending()
    assert await client.receive() == b""
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}
    assert rig.stats.to_target == {("forward-0", "lo-a"): 5}
    assert rig.stats.to_client == {("forward-0", "lo-a"): 6}


@pytest.mark.parametrize("first", ["client", "target"])
async def test_a_half_closed_session_goes_on_in_the_other_direction(rig: Rig, first: str) -> None:
    client, target = await rig.session()
    ending, other = (client, target) if first == "client" else (target, client)
    await ending.send(b"last words")
    ending.finish_sending()
    assert await other.receive_all() == b"last words"
    for chunk in (b"still", b"going"):
        await other.send(chunk)
        assert await ending.receive() == chunk
    other.finish_sending()
    assert await ending.receive() == b""
    await rig.idle()
    assert reasons(rig) == {CloseReason.EOF}


async def test_a_fin_that_comes_with_the_last_bytes_is_not_lost(rig: Rig) -> None:
    """Regression: under edge triggering a short read was taken for "drained", and the FIN behind it never read."""
    target = rig.target()
    at = rig.forward(target.endpoint)
    for size in seeded(1).sample(range(1, 4000), 200):
        client, server = await rig.pair(at, target)
        await client.send(b"x" * size)
        client.finish_sending()
        server.finish_sending()
        assert len(await server.receive_all()) == size
        assert await client.receive() == b""
    await rig.idle()


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000, 64 << 20])
@pytest.mark.parametrize("direction", ["to_target", "to_client"])
async def test_any_size_arrives_byte_for_byte(rig: Rig, size: int, direction: str) -> None:
    client, target = await rig.session()
    source, sink = (client, target) if direction == "to_target" else (target, client)
    data = seeded(size).randbytes(min(size, MIB)) * (size >> 20 or 1)

    async def write() -> None:
        await source.send(data)
        source.finish_sending()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        received = await sink.receive_all()
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    sink.finish_sending()
    assert await source.receive() == b""
    await rig.idle()
    assert sum(getattr(rig.stats, direction).values()) == len(data)


async def test_urgent_data_stalls_nothing_behind_it(rig: Rig) -> None:
    """A read stops short at the urgent mark: that is not "drained" either. (The urgent byte itself is out of band.)"""
    client, target = await rig.session()
    for _ in range(3):
        await client.send(b"before")
        client.sock.send(b"!", socket.MSG_OOB)
        await client.send(b"after")
        assert (await target.receive_exactly(11)).replace(b"!", b"") == b"beforeafter"


async def test_an_end_that_was_passed_on_is_not_passed_on_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: a pump left over from the last turn ended in this one, then failed at its second FIN: RST for FIN."""
    client, target = await rig.session()
    relay, up = rig.engine._relay, rig.sessions[0].up
    pump = relay.pump

    def pump_and_close(which: Pump) -> None:
        pump(which)
        if which is up:
            target.close()  # the target answers the FIN that has just been passed on, at once

    monkeypatch.setattr(relay, "pump", pump_and_close)
    relay.unfinished[up] = None
    client.finish_sending()
    rig.engine._serve(rig.engine._poll(0, 64))
    assert await client.receive() == b""
    await rig.idle()
    assert reasons(rig) == {CloseReason.EOF}


# ---------------------------------------------------------------- resets


@pytest.mark.parametrize("who", ["client", "target"])
async def test_a_reset_stays_a_reset(rig: Rig, who: str) -> None:
    """Regression: an error on one socket was taken for an end of file, and truncated data looked complete."""
    client, target = await rig.session()
    await client.echo(target)
    resetting, other = (client, target) if who == "client" else (target, client)
    resetting.reset()
    with pytest.raises(ConnectionResetError):
        await other.receive()
    await rig.idle()
    reason = CloseReason.CLIENT_RESET if who == "client" else CloseReason.TARGET_RESET
    assert rig.stats.closed == {("forward-0", reason): 1}


async def test_what_came_before_the_targets_reset_still_arrives(rig: Rig) -> None:
    client, target = await rig.session()
    await client.echo(target)
    await target.send(b"answer")
    target.reset()
    assert await client.receive_until_reset() == b"answer"


async def test_the_targets_last_words_reach_a_client_that_is_still_sending(rig: Rig) -> None:
    """An answer followed by RST (the target did not read everything) is delivered, whoever notices the RST first."""
    target = rig.target()
    at = rig.forward(target.endpoint)
    for _ in range(20):
        client, server = await rig.pair(at, target)
        await client.send(b"more than you want")
        (session,) = rig.sessions
        await eventually(lambda session=session: session.up.moved)
        await client.send(b"and still more")
        await server.send(b"413 too much")
        server.close()  # with unread data: RST
        assert await client.receive_until_reset() == b"413 too much"
        await rig.idle()


async def test_a_reset_while_the_other_side_is_blocked_says_who_reset(rig: Rig) -> None:
    client, target = await rig.session()
    await target.fill(rig.sessions[0].down)
    target.reset()
    await rig.idle()
    assert reasons(rig) == {CloseReason.TARGET_RESET}
    await client.receive_until_reset()


@pytest.mark.parametrize("first", ["client", "target"])
@pytest.mark.parametrize("then", ["client", "target"])
async def test_a_reset_during_half_close(rig: Rig, first: str, then: str) -> None:
    client, target = await rig.session()
    peers = {"client": client, "target": target}
    peers[first].finish_sending()
    other = target if first == "client" else client
    assert await other.receive() == b""
    peers[then].reset()
    survivor = target if then == "client" else client
    await rig.idle()
    assert reasons(rig) == {CloseReason.CLIENT_RESET if then == "client" else CloseReason.TARGET_RESET}
    if survivor is not other:  # it has had no end of file yet: the reset must not look like one
        await survivor.receive_until_reset()
    else:
        await survivor.send_until_reset()


async def test_both_sides_close_at_once(rig: Rig) -> None:
    client, target = await rig.session()
    client.close()
    target.close()
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


async def test_both_sides_reset_at_once(rig: Rig) -> None:
    client, target = await rig.session()
    await client.echo(target)
    client.reset()
    target.reset()
    await rig.idle()
    assert sum(rig.stats.closed.values()) == 1
    assert CloseReason.EOF not in reasons(rig)


async def test_a_client_that_is_gone_resets_the_target_that_goes_on_sending(rig: Rig) -> None:
    client, target = await rig.session()
    client.close()
    assert await target.receive() == b""
    await target.send_until_reset()
    await rig.idle()
    assert reasons(rig) == {CloseReason.CLIENT_RESET}


async def test_a_close_with_unread_data_is_a_reset_on_the_other_side(rig: Rig) -> None:
    client, target = await rig.session()
    await client.send(b"unread")
    await eventually(lambda: rig.stats.to_target)
    target.close()
    await client.receive_until_reset()
    await rig.idle()
    assert reasons(rig) == {CloseReason.TARGET_RESET}


# ---------------------------------------------------------------- back-pressure


async def test_a_slow_reader_bounds_what_is_taken_and_others_are_served(rig: Rig) -> None:
    """Back-pressure: a source whose sink does not read is not read either."""
    client, target = await rig.session()
    (session,) = rig.sessions
    assert await target.fill(session.down) < 64 * MIB
    other_client, other_target = await rig.session()
    await other_client.echo(other_target)
    await client.send(b"the other direction is free")
    assert await target.receive() == b"the other direction is free"


async def test_a_blocked_session_goes_on_where_it_stopped(rig: Rig) -> None:
    client, target = await rig.session()
    (session,) = rig.sessions
    taken = await target.fill(session.down)
    received = await client.receive_exactly(taken)
    assert received == bytes(taken)
    await client.echo(target)


async def test_a_fin_behind_a_blocked_sink_arrives_after_the_data(rig: Rig) -> None:
    client, target = await rig.session()
    taken = await target.fill(rig.sessions[0].down)
    target.finish_sending()
    assert len(await client.receive_all()) == taken
    client.finish_sending()
    await rig.idle()
    assert reasons(rig) == {CloseReason.EOF}


async def test_a_fast_flow_does_not_starve_a_small_one(rig: Rig) -> None:
    fast_client, fast_target = await rig.session()
    small_client, small_target = await rig.session()
    total = 64 * MIB

    async def write() -> None:
        await fast_target.send(bytes(total))

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        reading = group.create_task(fast_client.receive_exactly(total))
        rounds = 0
        while not reading.done():
            await small_client.echo(small_target)
            rounds += 1
    assert rounds > 5


# ---------------------------------------------------------------- pipes, and life without splice


async def test_pipes_come_back(rig: Rig) -> None:
    """Regression: a pipe given back twice mixed two sessions' data; one never given back starves the pool."""
    client, target = await rig.session()
    pool = rig.engine._pipes
    async with asyncio.TaskGroup() as group:
        group.create_task(target.send(bytes(8 * MIB)))
        await client.receive_exactly(8 * MIB)
    await eventually(lambda: len(pool._idle) == pool.total)
    client.reset()
    await rig.idle()
    assert all(not pipe.held and not pipe.lent for pipe in pool._idle)


async def test_a_pipe_that_holds_data_of_an_ended_session_is_never_used_again(plain_rig: Rig) -> None:
    rig = plain_rig
    client, target = await rig.session()
    (session,) = rig.sessions
    await target.fill(session.down)
    pipe = session.down.held
    assert pipe is not None
    client.reset()
    await rig.idle()
    pool = rig.engine._pipes
    assert pipe not in pool._idle
    assert len(pool._idle) == pool.total


SpliceCall = Callable[..., int]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize("good_calls", [0, 1, 2, 7, 20, 101])
async def test_when_splice_fails_the_flow_goes_on_by_copying(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch, code: int, good_calls: int
) -> None:
    """The kernel, or a seccomp filter, refuses: also in mid-flow, and with bytes in the pipe."""
    client, target = await plain_rig.session()
    calls = 0
    real = os.splice

    def splice(*args: int, **kwargs: int) -> int:
        nonlocal calls
        calls += 1
        if calls > good_calls:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, "splice", splice)
    data = seeded(good_calls).randbytes(MIB) * 64  # more than the good calls can carry

    async def write() -> None:
        await target.send(data)
        target.finish_sending()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        received = await client.receive_all()
    assert calls == good_calls + 1
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    pool = plain_rig.engine._pipes
    assert len(pool._idle) == pool.total


async def test_without_pipes_a_bulk_flow_is_copied(plain_rig: Rig) -> None:
    plain_rig.engine._pipes.close()
    client, target = await plain_rig.session()
    async with asyncio.TaskGroup() as group:
        group.create_task(target.send(bytes(8 * MIB)))
        await client.receive_exactly(8 * MIB)
    assert plain_rig.engine._pipes.total == 0


# ---------------------------------------------------------------- a bug stays in its session


async def test_a_bug_in_one_session_ends_that_one_only(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    client, target = await rig.session(name="unlucky")
    other_client, other_target = await rig.session(name="lucky")
    relay = rig.engine._relay
    real = relay.pump

    def pump(pump: Pump) -> None:
        if pump.session.plan.forward.spec.name == "unlucky":
            raise RuntimeError("a bug")
        real(pump)

    monkeypatch.setattr(relay, "pump", pump, raising=False)
    with capture_logs() as logs:
        await client.send(b"hello")
        await client.receive_until_reset()
        await target.receive_until_reset()
    await other_client.echo(other_target)
    assert [(entry["event"], entry["forward"]) for entry in logs] == [("session.failed", "unlucky")]
    assert rig.stats.closed == {("unlucky", CloseReason.ERROR): 1}
