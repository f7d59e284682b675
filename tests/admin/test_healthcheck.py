"""The check against a real server, against none, and against bad ones."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.admin import healthcheck as module
from gateway.admin.healthcheck import healthcheck
from gateway.admin.readiness import Phase
from gateway.model import ListenAddress


@pytest.fixture
async def port(fake):
    server = fake.server()
    await server.start(ListenAddress(None, 0))
    yield server.address.port
    await server.close()


async def ask(url: str | None, *, ready: bool = False, env: dict[str, str] | None = None) -> tuple[bool, str]:
    return await asyncio.to_thread(healthcheck, url, ready=ready, env=env or {})


@pytest.mark.parametrize(
    "form",
    ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "127.0.0.1:{}", "{}", "*:{}", "[::1]:{}", "0.0.0.0:{}",
     "http://localhost:{}/healthz"],
)  # fmt: skip
async def test_every_form_of_the_address(port, form):
    well, says = await ask(form.format(port))
    assert well, says
    assert says.endswith("/healthz: 200 OK")


async def test_the_environment_when_no_url_is_given(port):
    assert (await ask(None, env={"GATEWAY_ADMIN": f"127.0.0.1:{port}"}))[0]


async def test_the_url_goes_before_the_environment(port):
    assert (await ask(f"127.0.0.1:{port}", env={"GATEWAY_ADMIN": "127.0.0.1:1"}))[0]


async def test_the_default_when_neither_is_given(port, monkeypatch):
    monkeypatch.setattr(module, "DEFAULT", f"127.0.0.1:{port}")
    assert (await ask(None, env={"GATEWAY_ADMIN": ""}))[0]


async def test_ready_tells_why_not(fake, port):
    assert await ask(f"127.0.0.1:{port}", ready=True) == (
        True,
        f"http://127.0.0.1:{port}/readyz: 200 OK: 1 of 2 forwards can be served",
    )
    fake.phase = Phase.DRAINING
    assert await ask(f"127.0.0.1:{port}", ready=True) == (
        False,
        f"http://127.0.0.1:{port}/readyz: 503 Service Unavailable: the gateway is draining",
    )
    assert (await ask(f"127.0.0.1:{port}"))[0]


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    assert healthcheck(f"127.0.0.1:{port}", ready=False, env={}) == (
        False,
        f"http://127.0.0.1:{port}/healthz: Connection refused",
    )


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://127.0.0.1:1", "only http:// can be asked"),
        ("127.0.0.1", "the port is missing"),
        ("127.0.0.1:99999", "out of range"),
        ("[::1", "Invalid IPv6 URL"),
        ("a" * 70 + ".:1", "label"),
    ],
)
def test_an_address_that_cannot_be_asked(url, says):
    well, why = healthcheck(url, ready=False, env={})
    assert not well
    assert says in why


@contextmanager
def bad_server(answer: bytes | None) -> Iterator[int]:
    """Accepts once, and answers with `answer`, or never."""
    done = threading.Event()

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(4096)
            if answer is None:
                done.wait(30)
            else:
                client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join()


def test_a_gateway_that_does_not_answer_is_not_well(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    with bad_server(None) as port:
        assert healthcheck(str(port), ready=False, env={}) == (
            False,
            f"http://127.0.0.1:{port}/healthz: timed out",
        )


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n"])
def test_somebody_else_who_answers(answer):
    with bad_server(answer) as port:
        well, why = healthcheck(str(port), ready=False, env={})
    assert not well
    assert str(port) in why


def test_an_error_of_the_server_is_not_well():
    with bad_server(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") as port:
        assert healthcheck(str(port), ready=False, env={}) == (
            False,
            f"http://127.0.0.1:{port}/healthz: 500 Oops",
        )


def test_starts_quickly_for_it_loads_no_server():
    code = (
        "import sys, gateway.admin.healthcheck; print(sorted({'aiohttp', 'asyncio', 'structlog'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
