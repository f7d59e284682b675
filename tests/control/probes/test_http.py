"""HTTP probes: one GET, its status, and nothing that would lead elsewhere."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Coroutine
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.control.probes import http
from gateway.model import ProbeOutcome
from tests.control.far import Far, Tap, aim, serving
from tests.control.namespace import in_namespace
from tests.control.probes.certified import server_context
from tests.control.watching import eventually, open_descriptors

pytestmark = pytest.mark.lab
EXPIRY = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


def says(answer: bytes, requests: list[bytes]) -> Speak:
    """Takes one request, notes it, and says `answer`."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return speak


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_the_request_is_a_plain_get_through_the_tunnel(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://10.2.0.1:3128")

    async def scenario():
        requests: list[bytes] = []
        with Far() as far:
            path, _ = far.link("tun-a", 1), far.link("tun-b", 2)
            with far.call(Tap, "tun-b-far") as other:
                async with serving(far.listener("10.1.0.1"), says(OK, requests)) as server:
                    port = server.sockets[0].getsockname()[1]
                    before = open_descriptors()
                    target = aim("http", "api.example.com", port, addresses=("10.1.0.1",), path="/health?deep=1%202")
                    answer = await http.ask(target, path, 5.0)
                    assert (answer.outcome, answer.detail) == (ProbeOutcome.PASSED, "")
                    assert answer.rtt is not None
                    assert 0 < answer.rtt < answer.at - answer.sent_at
                    assert answer.expiry_at_unix is None
                    await eventually(lambda: open_descriptors() == before)
                assert other.taken() == []
        head = requests[0].decode().split("\r\n")
        assert head[0] == "GET /health?deep=1%202 HTTP/1.1"
        assert f"Host: api.example.com:{port}" in head
        assert len(requests) == 1

    in_namespace(scenario)


@pytest.mark.parametrize(
    ("line", "outcome", "detail"),
    [
        ("204 No Content", ProbeOutcome.PASSED, ""),
        ("302 Found\r\nLocation: http://10.2.0.1/", ProbeOutcome.PASSED, ""),
        ("404 Not Found", ProbeOutcome.ANSWERED, "status 404"),
        ("503 Service Unavailable", ProbeOutcome.ANSWERED, "status 503"),
    ],
)
def test_the_status_decides_and_no_redirect_is_followed(line: str, outcome: ProbeOutcome, detail: str):
    async def scenario():
        requests: list[bytes] = []
        with Far() as far:
            path = far.link("tun-a", 1)
            reply = f"HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n".encode()
            async with serving(far.listener("fd01::1"), says(reply, requests)) as server:
                answer = await http.ask(aim("http", "fd01::1", server.sockets[0].getsockname()[1]), path, 5.0)
            assert (answer.outcome, answer.detail) == (outcome, detail)
            assert len(requests) == 1

    in_namespace(scenario)


def test_the_bounds_of_the_status_are_the_probes_own():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            async with serving(far.listener("10.1.0.1"), says(OK, [])) as server:
                target = aim("http", *server.sockets[0].getsockname(), status=(401, 401))
                assert (await http.ask(target, path, 5.0)).outcome is ProbeOutcome.ANSWERED

    in_namespace(scenario)


def test_a_body_is_not_waited_for():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            endless = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(100)

            async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(endless)
                await reader.read()
                writer.close()

            async with serving(far.listener("10.1.0.1"), speak) as server:
                answer = await http.ask(aim("http", *server.sockets[0].getsockname()), path, 5.0)
                assert answer.outcome is ProbeOutcome.PASSED

    in_namespace(scenario)


def test_https_tells_when_the_certificate_expires_even_if_the_answer_is_short(tmp_path: Path):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            context = server_context(tmp_path, EXPIRY)
            async with serving(far.listener("10.1.0.1"), says(OK, []), ssl=context) as server:
                before = open_descriptors()
                port = server.sockets[0].getsockname()[1]
                answer = await http.ask(aim("https", "api.example.com", port, addresses=("10.1.0.1",)), path, 5.0)
                assert (answer.outcome, answer.expiry_at_unix) == (ProbeOutcome.PASSED, EXPIRY.timestamp())
                await eventually(lambda: open_descriptors() == before)

    in_namespace(scenario)


@pytest.mark.parametrize(
    ("kind", "reply"),
    [("http", b"SSH-2.0-OpenSSH_9.2\r\n"), ("http", b""), ("https", b"220 this is not TLS\r\n"), ("https", b"")],
)
def test_somebody_who_speaks_otherwise_is_an_answer(kind: str, reply: bytes):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)

            met: list[asyncio.StreamWriter] = []

            async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                met.append(writer)
                await reader.read(1)
                writer.write(reply)
                writer.close()

            async with serving(far.listener("10.1.0.1"), speak) as server:
                answer = await http.ask(aim(kind, *server.sockets[0].getsockname()), path, 5.0)
                assert answer.outcome is ProbeOutcome.ANSWERED
                assert answer.detail
            assert len(met) == 1, "a probe asks once"

    in_namespace(scenario)


@pytest.mark.parametrize("kind", ["http", "https"])
def test_silence_after_the_handshake_is_an_answer_and_before_it_none(kind: str):
    async def scenario():
        with Far() as far, far.listener("0.0.0.0") as listener:
            path = far.link("tun-a", 1)
            port = listener.getsockname()[1]
            target = aim(kind, "10.1.0.1", port)
            before = open_descriptors()
            answer = await http.ask(target, path, 0.2)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.ANSWERED, "connected, but no answer in time")
            assert answer.at - answer.sent_at < 0.2
            far.drop("tcp dport != 0")
            answer = await http.ask(target, path, 0.2)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "Connection timed out")
            await eventually(lambda: open_descriptors() == before)

    in_namespace(scenario)


def test_refused_rejected_and_local_are_told_apart():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            target = aim("http", "10.1.0.1", 80)
            assert (await http.ask(target, path, 5.0)).outcome is ProbeOutcome.ANSWERED
            far.reject("tcp dport 80", "icmp type host-unreachable")
            assert (await http.ask(target, path, 5.0)).outcome is ProbeOutcome.FAILED
            elsewhere = replace(path, source_address=ip_address("10.9.9.9"))
            assert (await http.ask(target, elsewhere, 5.0)).outcome is ProbeOutcome.LOCAL

    in_namespace(scenario)
