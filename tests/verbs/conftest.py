"""A made-up gateway that answers on a control socket, and the verbs as processes of their own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from tests.admin.fakes import FakeGateway
from tests.running import GATEWAY, REPOSITORY

DEADLINE = 20

Verb = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]


@pytest.fixture
def fake() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
async def socket(fake: FakeGateway, tmp_path: Path) -> AsyncIterator[Path]:
    """Where the fake gateway answers."""
    with structlog.testing.capture_logs():
        server = fake.control()
        await server.start(str(tmp_path / "control.sock"))
        yield server.path
        await server.close()


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "XDG_"))}
    return clean | {"COLUMNS": "100", "TERM": "xterm-256color"} | more


async def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`gateway` with `arguments`, in a thread: the gateway that it asks lives in this event loop."""
    return await asyncio.to_thread(
        subprocess.run,
        [*GATEWAY, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=REPOSITORY,
        env=environment(**env),
    )


@pytest.fixture
def verb(socket: Path) -> Verb:
    """Runs a verb against the fake gateway."""

    async def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await run(*arguments, GATEWAY_SOCKET=str(socket))

    return ask
