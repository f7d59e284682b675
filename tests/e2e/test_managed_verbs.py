"""Tunnels by hand: they are connected and disconnected when somebody says so, and nobody else waits meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from dataclasses import replace

import pytest

from tests.e2e.failover import EchoClient, forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import activities, ask, configuration, connected, stands, told, tunnel
from tests.e2e.verbs import attempt_verb, verb
from tests.lab.corp import ECHO_PORT
from tests.lab.pki import Account
from tests.lab.servers.openvpn import Login, OpenVpnServer
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_BY_HAND = "autoconnect = false"
_HELLO, _ECHO = forward("hello", 33000), forward("echo", 33001, ECHO_PORT)
_SOON = 3.0  # seconds; an attempt against silence would last longer


@pytest.fixture(scope="module")
def near(shared_empty_lab):
    with shared_empty_lab.serving(OpenVpnServer(shared_empty_lab.workshop, Site.A, login=Login.PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def far(shared_empty_lab):
    with shared_empty_lab.serving(OpenVpnServer(shared_empty_lab.workshop, Site.B, login=Login.PASSWORD)) as server:
        yield server


async def test_a_tunnel_is_connected_and_disconnected_when_somebody_says_so(empty_lab, near, tmp_path):
    text = configuration(empty_lab, tmp_path, tunnel("near", near.access, _BY_HAND), _HELLO, _ECHO)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        before = await told(gateway, "near")
        assert (before["driver"]["state"], before["health"], before["driver"]["attempts"]) == ("stopped", "down", 0)
        with pytest.raises((OSError, EOFError)):
            await page(empty_lab, 33000)

        assert "connected" in await verb(empty_lab, "connect", "near", "--wait", "20s")
        await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel="near")
        assert (await page(empty_lab, 33000)).startswith(f"{near.pool}.")

        async with EchoClient(empty_lab.cloud, 33001) as echo:
            assert await echo.echoes()
            assert "stopped" in await verb(empty_lab, "disconnect", "near")
            assert await echo.is_reset()
        said = await told(gateway, "near")
        assert (said["driver"]["state"], said["admin"], said["driver"]["failure"]) == ("stopped", "disabled", None)
        assert said["driver"]["addresses"] == []

        assert (await ask(empty_lab, "connect", "near"))["state"] == "connecting"
        await connected(gateway, "near")
        assert (await told(gateway, "near"))["admin"] == "enabled"
        await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel="near")
        assert (await page(empty_lab, 33000)).startswith(f"{near.pool}.")

        clients = [json.loads(line) for line in (await verb(empty_lab, "activity", "near", "--json")).splitlines()]
        clients = [each for each in clients if each["kind"] in ("connected", "disconnected")]
        assert [each["kind"] for each in clients] == ["connected", "disconnected", "connected"]
        assert all(re.fullmatch(r"uid 0, pid \d+", each["by"]) for each in clients)
        assert clients[-1]["by"] == f"uid 0, pid {os.getpid()}"
        assert clients[1]["detail"] == "as asked"
        assert await gateway.terminate() == 0


async def test_an_attempt_under_way_is_cancelled_and_nobody_waits_for_it(empty_lab, near, far, tmp_path):
    entries = [tunnel("near", near.access, _BY_HAND), tunnel("far", far.access, _BY_HAND)]
    text = configuration(empty_lab, tmp_path, *entries, _HELLO)
    with empty_lab.faults.blackhole(Site.B):
        async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
            await gateway.event("gateway.started")
            assert "connecting" in await verb(empty_lab, "connect", "far")
            await verb(empty_lab, "connect", "near", "--wait", "20s")
            await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel="near")
            assert (await page(empty_lab, 33000)).startswith(f"{near.pool}.")
            assert (await told(gateway, "far"))["driver"]["state"] == "connecting"

            began = time.monotonic()
            await ask(empty_lab, "disconnect", "far")
            said = await stands(gateway, "far", "stopped")
            assert time.monotonic() - began < _SOON
            assert said["failure"]["reason"] == "cancelled"
            (cancelled,) = await activities(gateway, "far", "attempt_failed")
            assert cancelled.startswith("cancelled")
            assert said["retry_in_seconds"] is None


async def test_who_waits_for_a_connection_is_told_why_there_is_none(empty_lab, near, tmp_path):
    wrong = Account.write(tmp_path, "gw-user", "not-the-password")
    entry = tunnel("near", replace(near.access, account=wrong), _BY_HAND)
    other = '[[tunnel]]\nname = "other"\nkind = "interface"\ninterface = "nobody0"'
    async with GatewayProcess(empty_lab, tmp_path, configuration(empty_lab, tmp_path, entry, other, _HELLO)) as gateway:
        await gateway.event("gateway.started")
        refused = await attempt_verb(empty_lab, "connect", "near", "--wait", "20s")
        assert refused.status == 1
        said = (await stands(gateway, "near", "auth_failed"))["failure"]
        assert said["detail"] in refused.err

        unknown, elsewhere = await asyncio.gather(
            attempt_verb(empty_lab, "connect", "nera"), attempt_verb(empty_lab, "connect", "other")
        )
        assert (unknown.status, unknown.out) == (1, "")
        assert "near" in unknown.err
        assert elsewhere.status == 1
        assert "other" in elsewhere.err
