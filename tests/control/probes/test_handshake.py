from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from gateway.control.probes.handshake import answered_at, shake, shaken
from gateway.control.probes.readiness import readable


@pytest.fixture
def stream() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as made:
        yield made


@pytest.mark.parametrize(
    ("sent_at", "seen_at", "rtt", "at"),
    [(100.0, 100.5, 0.02, 100.02), (100.0, 100.01, 0.02, 100.01), (100.0, 100.5, None, 100.5)],
    ids=["seen late", "a coarse clock", "not measured"],
)
def test_an_answer_came_one_round_trip_after_the_question(sent_at: float, seen_at: float, rtt: float | None, at: float):
    assert answered_at(sent_at, seen_at, rtt) == at


async def test_the_kernel_tells_of_its_handshake(stream: socket.socket):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert shaken(stream) is None
        assert await shake(stream, server.getsockname(), 5.0) == 0
        seen = shaken(stream)
        assert seen is not None
        assert seen.rtt is not None
        assert 0 < seen.rtt < 1
        server.accept()[0].close()
        async with asyncio.timeout(5.0):
            await readable(stream)
        assert stream.recv(1) == b""
        assert shaken(stream) is not None, "the other side has ended, and was there"


async def test_a_refusal_is_its_errno(stream: socket.socket):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert await shake(stream, address, 5.0) == errno.ECONNREFUSED
    assert shaken(stream) is None
