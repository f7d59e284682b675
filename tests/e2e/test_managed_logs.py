"""What the VPN clients said, asked for in every way; and it is there still when the gateway starts again."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.e2e.failover import forward
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import ask, configuration, connected, stands, tunnel
from tests.e2e.verbs import following, verb
from tests.lab.servers.openvpn import Login, OpenVpnServer
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_UP = "Initialization Sequence Completed"


@pytest.fixture(scope="module")
def server(shared_empty_lab):
    with shared_empty_lab.serving(OpenVpnServer(shared_empty_lab.workshop, Site.A, login=Login.PASSWORD)) as server:
        yield server


def _text(lab, directory, server):
    return configuration(lab, directory, tunnel("company", server.access), forward("hello", 33000))


async def _lines(lab, *words):
    """What `gateway logs WORDS --json` has, a document a line."""
    return [json.loads(line) for line in (await verb(lab, "logs", *words, "--json")).splitlines()]


async def test_lines_are_found_by_tunnel_level_text_and_time(empty_lab, server, tmp_path):
    async with GatewayProcess(empty_lab, tmp_path, _text(empty_lab, tmp_path, server)) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, "company")
        lines, found, serious, last, shown = await asyncio.gather(
            _lines(empty_lab, "company"),
            _lines(empty_lab, "--since", "1h", "--grep", _UP.lower()),
            _lines(empty_lab, "--level", "warning"),
            _lines(empty_lab, "--lines", "2"),
            verb(empty_lab, "logs", "company", "--grep", _UP),
        )
        assert {"gateway", "openvpn"} <= {each["component"] for each in lines}
        assert {each["tunnel"] for each in lines} == {"company"}
        assert [each["number"] for each in lines] == sorted({each["number"] for each in lines})
        assert any(_UP in each["text"] for each in lines)

        assert found == [each for each in lines if _UP in each["text"]]
        assert len(found) == 1
        assert serious == [each for each in lines if each["level"] in ("warning", "error")]
        assert last == lines[-2:]
        assert _UP in shown
        assert len(shown.splitlines()) == 1


async def test_lines_are_followed_as_they_come(empty_lab, server, tmp_path):
    async with GatewayProcess(empty_lab, tmp_path, _text(empty_lab, tmp_path, server)) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, "company")
        async with (
            following(empty_lab, "logs", "company", "--follow", "--grep", _UP) as to_the_end,
            following(empty_lab, "activity", "--follow", "--json") as interrupted,
        ):
            await to_the_end.line(_UP)
            await interrupted.line('"connected"')
            await ask(empty_lab, "disconnect", "company")
            await stands(gateway, "company", "stopped")
            await ask(empty_lab, "connect", "company")
            await to_the_end.line(_UP)
            assert json.loads(await interrupted.line('"disconnected"'))["detail"] == "as asked"
            interrupted.interrupt()
            assert (await interrupted.end()).status == 0

            assert await gateway.terminate() == 0
            ended = await to_the_end.end()
            assert ended.status == 1
            assert "gateway" in ended.err


async def test_the_book_outlives_the_gateway(empty_lab, server, tmp_path):
    text = _text(empty_lab, tmp_path, server)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, "company")
        before = json.loads((await gateway.admin("/api/v1/logs?limit=1000")).body)["lines"]
        assert await gateway.terminate() == 0
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, "company")
        after, done = await asyncio.gather(_lines(empty_lab), verb(empty_lab, "activity", "--json"))
        assert after[: len(before)] == before
        assert [_UP in each["text"] for each in after].count(True) == 2
        kinds = [json.loads(line)["kind"] for line in done.splitlines()]
        assert kinds.count("connected") == 2
        assert kinds.count("config_applied") == 2
