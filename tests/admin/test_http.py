"""The endpoints over real HTTP on loopback, on uvloop."""

import asyncio
import dataclasses
import socket

import aiohttp
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.families import ReloadFacts
from gateway.admin.readiness import Phase
from gateway.dataplane.messages import Stats
from gateway.errors import ListenError
from gateway.model import CloseReason, ConnectResult, ControlView, ListenAddress, ReadyWhen
from tests.admin.fakes import forward


async def raw(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """The whole answer to `request`, which is to end the connection."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.fixture
async def server(fake):
    started = fake.server()
    await started.start(ListenAddress("127.0.0.1", 0))
    yield started
    await started.close()


async def test_runs_on_uvloop(client):
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


async def test_healthz_ignores_everything_but_the_loop(fake, client):
    fake.view = ControlView(forwards=(forward("hello", active=None),))
    fake.phase = Phase.DRAINING
    async with client.get("/healthz") as answer:
        assert answer.status == 200
        assert await answer.text() == "ok\n"


@pytest.mark.parametrize(
    ("phase", "when", "status"),
    [
        (Phase.STARTING, ReadyWhen.ANY, 503),
        (Phase.RUNNING, ReadyWhen.ANY, 200),
        (Phase.RUNNING, ReadyWhen.ALL, 503),  # ldap has no tunnel
        (Phase.DRAINING, ReadyWhen.ANY, 503),
    ],
)
async def test_readyz(fake, client, phase, when, status):
    fake.phase, fake.ready_when = phase, when
    async with client.get("/readyz") as answer:
        assert answer.status == status
        assert answer.content_type == "application/json"
        body = await answer.json()
    assert body["phase"] == phase
    assert {each["name"]: each["active"] for each in body["forwards"]} == {"hello": "zone-a", "ldap": None}
    assert {each["name"]: each["since_seconds"] for each in body["tunnels"]} == {"zone-a": 60.0, "zone-b": 60.0}


async def test_metrics_show_what_is_now(fake, client):
    async def scrape() -> dict[str, float]:
        async with client.get("/metrics") as answer:
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert answer.headers["Content-Encoding"] == "gzip"
            text = await answer.text()
        return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}

    assert (await scrape())["gateway_draining"] == 0
    fake.phase = Phase.DRAINING
    fake.reload = ReloadFacts(successful=False, success_at_unix=1.0)
    now = await scrape()
    assert now["gateway_draining"] == 1
    assert now["gateway_config_last_reload_successful"] == 0


async def test_openmetrics_is_negotiated(client):
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert (await answer.text()).endswith("# EOF\n")


async def test_the_loop_turns_while_ten_thousand_forwards_are_scraped(fake, client):
    names = [f"forward-{number}" for number in range(10_000)]
    fake.stats = Stats(
        connections={(name, ConnectResult.OK): 1 for name in names},
        closed={(name, CloseReason.EOF): 1 for name in names},
        to_target={(name, "zone-a"): 1 for name in names},
        to_client={(name, "zone-a"): 1 for name in names},
    )
    fake.view = dataclasses.replace(fake.view, forwards=tuple(map(forward, names)))
    turns = 0
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        turning = group.create_task(turn())
        async with client.get("/metrics") as answer:
            text = await answer.text()
        turning.cancel()
    assert sum(line.startswith("gateway_") for line in text.splitlines()) > 60_000
    assert turns > 20, "the loop stood still while the text was made"


async def test_scrapes_at_the_same_time_are_all_answered(client):
    async def scrape() -> int:
        async with client.get("/metrics") as answer:
            return answer.status

    assert await asyncio.gather(*(scrape() for _ in range(10))) == [200] * 10


@pytest.mark.parametrize("path", ["/", "/metric", "/healthz/", "/api/v1/nothing", "/%2e%2e/etc/passwd"])
async def test_what_there_is_not_is_said_in_json(client, path):
    async with client.get(path) as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "Not Found"


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get(client, method):
    async with client.request(method, "/metrics") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nothing"])
async def test_no_word_of_the_server(client, path):
    async with client.get(path) as answer:
        assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz?" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"\x16\x03\x01 this is no HTTP\r\n\r\n",
    ],
)
async def test_outsized_and_malformed_requests_are_refused(server, request_):
    assert (await raw(server.address.port, request_)).startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: "], ids=["nothing", "half a request"])
async def test_connections_that_are_held_are_few_and_keep_nobody_out(server, said):
    port = server.address.port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
    for _, writer in held:
        writer.write(said)
    answer = await raw(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b"ok\n")
    async with asyncio.timeout(10):
        for reader, _ in held[: 200 - 64]:
            assert await reader.read() == b""
    for _, writer in held:
        writer.close()


async def test_an_address_in_use_says_which(fake, server):
    second = fake.server()
    with pytest.raises(ListenError, match=f"127.0.0.1:{server.address.port}: Address already in use"):
        await second.start(ListenAddress("127.0.0.1", server.address.port))
    assert second.address is None
    await second.close()


async def test_an_address_that_is_not_here_says_which(fake):
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0"):
        await fake.server().start(ListenAddress("192.0.2.1", 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_bare_port_answers_on_both_families(fake, host):
    server = fake.server()
    await server.start(ListenAddress(None, 0))
    try:
        answer = await raw(server.address.port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", host)
    finally:
        await server.close()
    assert answer.endswith(b"ok\n")


async def test_ipv6_alone_leaves_ipv4_alone(fake):
    server = fake.server()
    await server.start(ListenAddress("::", 0))
    try:
        with pytest.raises(ConnectionRefusedError):
            await raw(server.address.port, b"")
    finally:
        await server.close()


async def test_closes_and_starts_again_on_the_same_port(fake):
    server = fake.server()
    await server.start(ListenAddress("127.0.0.1", 0))
    address = server.address
    await server.close()
    await server.close()
    assert server.address is None
    with pytest.raises(ConnectionRefusedError):
        await raw(address.port, b"")
    await server.start(address)
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/healthz") as answer:
        assert answer.status == 200
    await server.close()


async def test_close_does_not_wait_for_idle_clients(fake):
    server = fake.server()
    await server.start(ListenAddress("127.0.0.1", 0))
    with socket.create_connection(("127.0.0.1", server.address.port)):
        async with asyncio.timeout(5):
            await server.close()


async def test_start_and_stop_are_logged(fake, logged):
    server = fake.server()
    await server.start(ListenAddress("127.0.0.1", 0))
    address = str(server.address)
    await server.close()
    assert [(event["event"], event["listen"]) for event in logged] == [
        ("admin.started", address),
        ("admin.stopped", address),
    ]
