"""A made-up gateway, and a client of its server over loopback."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import structlog

from gateway.model import ListenAddress
from tests.admin.fakes import FakeGateway


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture(autouse=True)
def logged():
    with structlog.testing.capture_logs() as events:
        yield events


@pytest.fixture
async def client(fake: FakeGateway) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the fake gateway's server, over loopback."""
    server = fake.server()
    await server.start(ListenAddress("127.0.0.1", 0))
    async with aiohttp.ClientSession(f"http://{server.address}", auto_decompress=True) as session:
        yield session
    await server.close()
