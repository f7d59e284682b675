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


async def test_a_tunnel_is_disabled_enabled_and_drained(lab, tmp_path):
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    async with (
        sealed_gateway(lab, tmp_path, _HELLO, _ECHO, _STEADY) as gateway,
        EchoClient(lab.cloud, 33002) as steady,
    ):
        async with EchoClient(lab.cloud, 33001) as echo:
            assert await echo.echoes()
            assert await steady.echoes()
            await verb(lab, "disable", _A)
            assert await echo.is_reset()
            assert await page(lab, 33000) == by_b
            told = await status(lab, _A)
            assert (told["admin"], told["health"], told["sessions"]) == ("disabled", "up", 0)

        await verb(lab, "enable", _A)
        await active(gateway, "hello", Site.A)
        assert await page(lab, 33000) == by_a
        async with EchoClient(lab.cloud, 33001) as echo:
            assert await echo.echoes()
            mark = len(gateway.events)
            await verb(lab, "drain-tunnel", _A, "--timeout", "1m")
            assert await page(lab, 33000) == by_b
            assert await echo.echoes()
            told = await status(lab, _A)
            assert told["admin"] == "draining"
            assert 0 < told["drained_for_seconds"] <= 60
        # The last session has ended, long before the minute is over.
        await gateway.event("tunnel.admin", since=mark, tunnel=_A, admin="disabled")

        await verb(lab, "enable", _A)
        await active(gateway, "echo", Site.A)
        async with EchoClient(lab.cloud, 33001) as echo:
            assert await echo.echoes()
            await verb(lab, "drain-tunnel", _A, "--timeout", "300ms")
            assert await echo.is_reset()
        assert (await status(lab, _A))["admin"] == "disabled"
        assert await steady.echoes()
        assert not _falls(gateway)  # all of that was intent, and health is another thing


async def test_failback_ends_the_wait_of_a_forward_or_of_a_tunnel(lab, tmp_path):
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    manual = forward("manual", 33000, HTTP_PORT, 'failback = "manual"')
    soon_up = '[tunnel.health]\ninterval = "200ms"'  # and held down for half a minute
    async with sealed_gateway(lab, tmp_path, manual, forward("auto", 33001), tunnel=soon_up) as gateway:
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel=_A, old="up", new="down")
        await gateway.event("tunnel.transition", tunnel=_A, old="down", new="up")
        assert 0 < (await status(lab, _A))["held_for_seconds"] <= 30
        assert (await page(lab, 33000), await page(lab, 33001)) == (by_b, by_b)

        assert "manual" in await verb(lab, "failback", "manual")
        assert (await page(lab, 33000), await page(lab, 33001)) == (by_a, by_b)
        moved = await gateway.event("forward.failback")
        assert (moved["from_tunnel"], moved["to_tunnel"], moved["names"]) == (_B, _A, ["manual"])

        assert "auto" in await verb(lab, "failback", _A)
        assert (await page(lab, 33000), await page(lab, 33001)) == (by_a, by_a)
        assert (await status(lab, _A))["held_for_seconds"] is None


async def test_a_forward_with_manual_failback_waits_for_its_operator(lab, tmp_path):
    manual = forward("manual", 33000, HTTP_PORT, 'failback = "manual"')
    async with sealed_gateway(lab, tmp_path, manual, forward("auto", 33001)) as gateway:
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel=_A, old="up", new="down")
        await gateway.event("forward.failback", lambda event: event["names"] == ["auto"])  # the hold-down is over
        assert await page(lab, 33000) == lab.vpn(Site.B).address
        assert "manual" in await verb(lab, "failback", _A)
        assert await page(lab, 33000) == lab.vpn(Site.A).address


async def test_a_drill_shows_the_recovery_and_harms_nobody(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, _HELLO, _ECHO, _STEADY) as gateway:
        refused = await attempt_verb(lab, "drill", _B, "--for", "1s")
        assert refused.status == 1
        assert "steady" in refused.err  # which would be left without a tunnel
        assert not [each for each in gateway.events if each["event"] == "tunnel.drilled"]

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
        assert not _falls(gateway)


def _falls(gateway):
    return [each for each in gateway.events if each["event"] == "tunnel.transition" and each["old"] == "up"]
