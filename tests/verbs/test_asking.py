"""What is said when something other than a gateway answers, or nothing in time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.verbs import asking as module
from gateway.verbs.asking import gateway_at, place
from gateway.verbs.errors import VerbError


@asynccontextmanager
async def answering(where: Path, answer: bytes | None) -> AsyncIterator[None]:
    """Somebody who answers anything with `answer` and ends; with None keeps silent."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await over.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(where))
    try:
        yield
    finally:
        over.set()
        server.close()
        await server.wait_closed()


async def failure(where: Path) -> VerbError:
    with pytest.raises(VerbError) as caught:
        async with gateway_at(where) as asking:
            await asking.status()
    return caught.value


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "ended the conversation"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "ended the conversation"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "ended the conversation"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "does not speak JSON"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", "500"),
        (b'HTTP/1.1 409 Conflict\r\nContent-Length: 14\r\n\r\n{"error": "no"}', "no"),
    ],
)
async def test_somebody_else_who_answers(tmp_path, answer, says):
    where = tmp_path / "s"
    async with answering(where, answer):
        error = await failure(where)
    assert says in str(error)
    assert not error.usage


async def test_a_gateway_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    where = tmp_path / "s"
    async with answering(where, None):
        with pytest.raises(VerbError, match=f"the gateway at {where} did not answer in time"):
            async with gateway_at(where) as asking:
                await asking._ask("GET", "status", patience=module._PATIENCE)


async def test_a_path_that_is_too_long_for_a_socket(tmp_path):
    assert "no gateway answers at" in str(await failure(tmp_path / ("x" * 120)))


def test_the_named_place_goes_first(monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module.os, "environ", {"XDG_RUNTIME_DIR": "/run/user/1000"})
    assert place(Path("/x")) == Path("/x")
    assert place(None) == Path("/run/user/1000/gateway/control.sock")


def test_without_any_place_it_says_how_to_name_one(monkeypatch):
    monkeypatch.setattr(module.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module.os, "environ", {})
    with pytest.raises(VerbError, match="name it by --socket PATH or GATEWAY_SOCKET"):
        place(None)
