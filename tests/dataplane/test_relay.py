"""Bytes, ends of file and resets pass through as they came, whatever the optimisations."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket

import pytest

from gateway.model import CloseReason, Endpoint
from tests.dataplane.rig import Rig, Target, eventually


async def test_bytes_pass_both_ways_and_both_ends_of_file_end_the_session(rig: Rig) -> None:
    client, target = await rig.session()
    await client.send(b"hello")
    assert await target.receive() == b"hello"
    await target.send(b"world")
    assert await client.receive() == b"world"
    client.finish_sending()
    assert await target.receive() == b""
    target.finish_sending()
    assert await client.receive() == b""
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}
    assert rig.stats.to_target == {("forward-0", "lo-a"): 5}
    assert rig.stats.to_client == {("forward-0", "lo-a"): 5}
    client.close()
    target.close()


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
    client.close()
    target.close()


async def test_a_fin_that_comes_with_the_last_bytes_is_not_lost(rig: Rig) -> None:
    """Regression: under edge triggering a short read was taken for "drained", and the FIN behind it never read."""
    for _ in range(200):
        client, target = await rig.session() if not rig.forwards else await _again(rig)
        await client.send(b"x" * random.randrange(1, 2000))
        client.finish_sending()
        target.finish_sending()
        await target.receive_all()
        assert await client.receive() == b""
        client.close()
        target.close()
    await rig.idle()


async def _again(rig: Rig) -> tuple:
    ports = rig.forwards[0].ports[0]
    target = Target(port=ports.target.port)
    try:
        client = await rig.connect(Endpoint(ports.listen.host or "", ports.listen.port))
        return client, await target.accept()
    finally:
        target.close()


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000, 64 << 20])
@pytest.mark.parametrize("direction", ["to_target", "to_client"])
async def test_any_size_arrives_byte_for_byte(rig: Rig, size: int, direction: str) -> None:
    client, target = await rig.session()
    source, sink = (client, target) if direction == "to_target" else (target, client)
    data = random.Random(size).randbytes(min(size, 1 << 20)) * (size >> 20 or 1)

    async def write() -> None:
        await source.send(data)
        source.finish_sending()

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        received = await sink.receive_all()
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert len(received) == len(data)
    sink.finish_sending()
    assert await source.receive() == b""
    await rig.idle()
    client.close()
    target.close()


@pytest.mark.parametrize("who", ["client", "target"])
async def test_a_reset_stays_a_reset(rig: Rig, who: str) -> None:
    client, target = await rig.session()
    await client.send(b"hello")
    assert await target.receive() == b"hello"
    resetting, other = (client, target) if who == "client" else (target, client)
    resetting.reset()
    with pytest.raises(ConnectionResetError):
        await other.receive()
    await rig.idle()
    reason = CloseReason.CLIENT_RESET if who == "client" else CloseReason.TARGET_RESET
    assert rig.stats.closed == {("forward-0", reason): 1}
    other.close()


async def test_what_came_before_the_targets_reset_still_arrives(rig: Rig) -> None:
    client, target = await rig.session()
    await client.send(b"GET")
    assert await target.receive() == b"GET"
    await target.send(b"answer")
    target.reset()
    received = b""
    with pytest.raises(ConnectionResetError):
        while True:
            received += await client.receive()
    assert received == b"answer"
    client.close()


async def test_a_reset_during_half_close(rig: Rig) -> None:
    client, target = await rig.session()
    client.finish_sending()
    assert await target.receive() == b""
    target.reset()
    with pytest.raises(ConnectionResetError):
        await client.receive()
    await rig.idle()
    client.close()


async def test_both_sides_close_at_once(rig: Rig) -> None:
    client, target = await rig.session()
    client.close()
    target.close()
    await rig.idle()
    assert sum(rig.stats.closed.values()) == 1


async def test_a_slow_reader_bounds_what_is_taken_and_others_are_served(rig: Rig) -> None:
    """Back-pressure: a source whose sink does not read is not read either."""
    client, target = await rig.session()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    taken = 0
    loop = asyncio.get_running_loop()
    block = b"x" * (1 << 20)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(DEADLINE_OF_A_BLOCKED_WRITER):
            while taken < 256 << 20:
                await loop.sock_sendall(target.sock, block)
                taken += len(block)
    assert taken < 64 << 20
    other_client, other_target = await rig.session()
    await other_client.send(b"ping")
    assert await other_target.receive() == b"ping"
    for peer in (client, target, other_client, other_target):
        peer.reset()
    await rig.idle()


DEADLINE_OF_A_BLOCKED_WRITER = 1.0


async def test_pipes_come_back(rig: Rig) -> None:
    """Regression: a pipe given back twice mixed two sessions' data; one never given back starves the pool."""
    client, target = await rig.session()

    async def write() -> None:
        await target.send(b"x" * (8 << 20))

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        await client.receive_exactly(8 << 20)
    pool = rig.engine._pipes
    await eventually(lambda: len(pool._idle) == pool.total)
    client.reset()
    target.reset()
    await rig.idle()
    assert all(not pipe.held and not pipe.lent for pipe in pool._idle)
