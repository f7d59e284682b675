"""What an operator may ask of a running gateway, end to end: each verb is run, and its effect seen from outside."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.failover import EchoClient, active, forward, page, sealed_gateway, zone
from tests.e2e.reading import Outcome, answered, reading
from tests.e2e.verbs import attempt_verb, explain, status, verb
from tests.lab.corp import ECHO_PORT, HTTP_PORT
from tests.lab.topology import CORP_ADDRESS, Site

pytestmark = pytest.mark.lab

_A, _B = zone(Site.A), zone(Site.B)
_HELLO = forward("hello", 33000)
_ECHO = forward("echo", 33001, ECHO_PORT)
_STEADY = forward("steady", 33002, ECHO_PORT, f'tunnels = ["{_B}"]')
_DRILL = 3.0  # seconds


async def test_status_and_explain_say_what_is(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _ECHO, tunnel="") as gateway:
        for tunnel in (_A, _B):
            await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=tunnel)
        async with EchoClient(lab.cloud, 33001) as echo:
            assert await echo.echoes()
            said = json.loads(await verb(lab, "status", "--json"))
            assert [each["name"] for each in said["tunnels"]] == [_A, _B]
            assert {(each["health"], each["admin"]) for each in said["tunnels"]} == {("up", "enabled")}
            assert [each["sessions"] for each in said["tunnels"]] == [1, 0]
            assert [(each["name"], each["active"]) for each in said["forwards"]] == [("hello", _A), ("echo", _A)]
            shown = await verb(lab, "status")
            assert all(name in shown for name in (_A, _B, "hello", "echo"))

            explained = await explain(lab, "echo")
            assert [each["tunnel"]["name"] for each in explained["candidates"]] == [_A, _B]
            assert [each["chosen"] for each in explained["candidates"]] == [True, False]
            assert explained["candidates"][1]["why_not"] == "up, standby"
            probed = [(probe["target"], probe["health"]) for probe in explained["candidates"][1]["probes"]]
            assert (f"{CORP_ADDRESS}:{ECHO_PORT}", "up") in probed
            shown = await verb(lab, "explain", "echo")
            assert all(name in shown for name in (_A, _B))

        wrong = await attempt_verb(lab, "explain", "helo")
        assert (wrong.status, wrong.out) == (1, "")
        assert "hello" in wrong.err
        assert await gateway.terminate() == 0

    gone = await attempt_verb(lab, "status")
    assert gone.status == 1
    assert "no gateway answers" in gone.err


async def test_a_disabled_tunnel_ends_its_sessions_and_an_enabled_one_is_taken_again(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _ECHO, _STEADY) as gateway:
        async with EchoClient(lab.cloud, 33001) as echo, EchoClient(lab.cloud, 33002) as steady:
            assert await echo.echoes()
            assert await steady.echoes()
            await verb(lab, "disable", _A)
            assert await echo.is_reset()
            assert await page(lab, 33000) == lab.vpn(Site.B).address
            told = await status(lab, _A)
            assert (told["admin"], told["health"], told["sessions"]) == ("disabled", "up", 0)
            await verb(lab, "enable", _A)
            await active(gateway, "hello", Site.A)
            assert await page(lab, 33000) == lab.vpn(Site.A).address
            assert await steady.echoes()
        assert not [each for each in gateway.events if each["event"] == "tunnel.transition" and each["old"] == "up"]


async def test_a_drained_tunnel_keeps_its_sessions_until_they_end(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _ECHO) as gateway:
        async with EchoClient(lab.cloud, 33001) as echo:
            assert await echo.echoes()
            await verb(lab, "drain-tunnel", _A, "--timeout", "1m")
            assert await page(lab, 33000) == lab.vpn(Site.B).address
            assert await echo.echoes()
            told = await status(lab, _A)
            assert told["admin"] == "draining"
            assert 0 < told["drained_for_seconds"] <= 60
        await gateway.event("tunnel.admin", tunnel=_A, admin="disabled")  # long before the minute is over


async def test_the_sessions_of_a_drained_tunnel_are_reset_at_its_deadline(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _ECHO), EchoClient(lab.cloud, 33001) as echo:
        assert await echo.echoes()
        await verb(lab, "drain-tunnel", _A, "--timeout", "300ms")
        assert await echo.is_reset()
        assert (await status(lab, _A))["admin"] == "disabled"


async def test_manual_failback_waits_for_the_operator(lab, tmp_path):
    manual = forward("hello", 33000, HTTP_PORT, 'failback = "manual"')
    async with sealed_gateway(lab, tmp_path, manual, forward("auto", 33001)) as gateway:
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel=_A, old="up", new="down")
        await active(gateway, "auto", Site.A)  # for this one even the hold-down is over
        assert await page(lab, 33000) == lab.vpn(Site.B).address
        assert "hello" in await verb(lab, "failback", "hello")
        assert await page(lab, 33000) == lab.vpn(Site.A).address
        moved = await gateway.event("forward.failback", lambda event: "hello" in event["names"])
        assert (moved["from_tunnel"], moved["to_tunnel"]) == (_B, _A)


async def test_the_operator_ends_a_hold_down(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, tunnel='[tunnel.health]\ninterval = "200ms"') as gateway:
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel=_A, old="up", new="down")
        await gateway.event("tunnel.transition", tunnel=_A, old="down", new="up")
        assert 0 < (await status(lab, _A))["held_for_seconds"] <= 30
        assert await page(lab, 33000) == lab.vpn(Site.B).address
        await verb(lab, "failback", _A)
        assert await page(lab, 33000) == lab.vpn(Site.A).address
        assert (await status(lab, _A))["held_for_seconds"] is None


async def test_a_drill_shows_the_recovery_and_restores_the_tunnel(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _ECHO) as gateway:
        async with EchoClient(lab.cloud, 33001) as echo, reading(lab.cloud, 33000) as readings:
            assert await echo.echoes()
            await answered(readings, lab.vpn(Site.A).address)
            began = time.monotonic()
            report = await verb(lab, "drill", _A, "--for", f"{_DRILL:.0f}s")
            assert time.monotonic() - began >= _DRILL
            assert await echo.is_reset()
            await answered(readings, lab.vpn(Site.A).address, since=len(readings))
        rows = {words[0]: words[1:3] for words in map(str.split, report.splitlines()) if words}
        assert (rows["hello"], rows["echo"]) == (["yes", _B], ["yes", _B])
        assert f"{_A} takes new sessions again" in report
        assert {each.outcome for each in readings} <= {Outcome.ANSWERED, Outcome.RESET}
        assert lab.vpn(Site.B).address in {each.seen for each in readings}
        assert not [each for each in gateway.events if each["event"] == "tunnel.transition" and each["old"] == "up"]


async def test_a_drill_is_refused_where_it_would_leave_a_forward_without_a_tunnel(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _STEADY) as gateway:
        refused = await attempt_verb(lab, "drill", _B, "--for", "1s")
        assert refused.status == 1
        assert "steady" in refused.err
        assert not [each for each in gateway.events if each["event"] == "tunnel.drilled"]
        assert await page(lab, 33000) == lab.vpn(Site.A).address
