"""A made-up gateway, and clients of its servers: over loopback, and over its control socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import structlog

from gateway.admin.control import ControlServer
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
def place(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
async def control(fake: FakeGateway, place: Path) -> AsyncIterator[ControlServer]:
    """The fake gateway's control socket."""
    server = fake.control()
    await server.start(str(place))
    yield server
    await server.close()


@pytest.fixture
async def operator(control: ControlServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the control socket."""
    connector = aiohttp.UnixConnector(path=str(control.path))
    async with aiohttp.ClientSession("http://gateway", connector=connector) as session:
        yield session


@pytest.fixture
async def client(fake: FakeGateway, control: ControlServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the fake gateway's server, over loopback."""
    server = fake.server(control)
    await server.start(ListenAddress("127.0.0.1", 0))
    async with aiohttp.ClientSession(f"http://{server.address}", auto_decompress=True) as session:
        yield session
    await server.close()
