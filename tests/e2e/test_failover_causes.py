"""Everything that the kernel can tell of a tunnel, one by one: what each moves, what it ends, and the way back."""

from __future__ import annotations

import json
import time

import pytest

from tests.e2e.failover import HOLD_DOWN, RISE, EchoClient, active, at, forward, page, sealed_gateway, zone
from tests.lab.corp import ECHO_PORT, HTTP_PORT
from tests.lab.topology import CORP_SECOND_ADDRESS, Site

pytestmark = pytest.mark.lab

_A, _B = zone(Site.A), zone(Site.B)
_SLACK = 0.02  # seconds between a decision and its line in the log


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("tun_down", "link_down"),
        ("tun_carrier", "carrier_lost"),
        ("tun_deleted", "device_gone"),
        ("address_removed", "address_gone"),
    ],
)
async def test_a_tunnel_falls_at_once_and_is_taken_again_after_rise_and_hold_down(lab, tmp_path, fault, cause):
    forwards = [
        forward("hello", 33000),
        forward("echo", 33001, ECHO_PORT),
        forward("steady", 33002, ECHO_PORT, f'tunnels = ["{_B}"]'),
    ]
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    async with (
        sealed_gateway(lab, tmp_path, *forwards) as gateway,
        EchoClient(lab.cloud, 33001) as echo,
        EchoClient(lab.cloud, 33002) as steady,
    ):
        assert await page(lab, 33000) == by_a
        assert await echo.echoes()
        assert await steady.echoes()
        injected = lab.faults.by_name(fault, "a")
        injected.inject()
        fell = await gateway.event("tunnel.transition", tunnel=_A, new="down")
        assert (fell["cause"], fell["sessions_aborted"]) == (cause, 1)
        assert await echo.is_reset()
        assert await page(lab, 33000) == by_b
        assert await steady.echoes()

        began = time.time()
        injected.heal()
        rose = await gateway.event("tunnel.transition", tunnel=_A, old="down", new="up")
        assert rose["cause"] == "recovered"
        assert at(rose) - began > 0.7 * RISE  # answers count from 0.9 intervals on, and healing takes its time
        seen, ended = by_b, time.time()
        while seen == by_b:  # ended by the test's time-out, if it must
            seen, ended = await page(lab, 33000), time.time()
        assert seen == lab.vpn(Site.A).address  # for a device made again, through its new index
        assert ended - at(rose) > HOLD_DOWN - _SLACK
        assert await steady.echoes()


async def test_a_route_that_is_gone_moves_its_target_and_ends_no_session(lab, tmp_path):
    forwards = [
        forward("hello", 33000),
        forward("echo", 33001, ECHO_PORT),
        forward("second", 33002, HTTP_PORT, host=CORP_SECOND_ADDRESS),
        forward("second-echo", 33003, ECHO_PORT, host=CORP_SECOND_ADDRESS),
    ]
    by_a, by_b = lab.vpn(Site.A).address, lab.vpn(Site.B).address
    device = lab.vpn(Site.A).device
    async with sealed_gateway(lab, tmp_path, *forwards) as gateway:
        table = _table(lab, device)
        # The second host gets a route of its own; without that of the network the first one has none.
        lab.cloud.ip(f"route add {CORP_SECOND_ADDRESS} dev {device} table {table}")
        async with EchoClient(lab.cloud, 33001) as echo, EchoClient(lab.cloud, 33003) as second_echo:
            assert await echo.echoes()
            assert await second_echo.echoes()
            assert {await page(lab, 33000), await page(lab, 33002)} == {by_a}
            with lab.faults.route_removed(Site.A):
                moved = await gateway.event("forward.failover")
                assert (moved["from_tunnel"], moved["to_tunnel"], moved["cause"]) == (_A, _B, "no_route")
                assert sorted(moved["names"]) == ["echo", "hello"]
                assert (await page(lab, 33000), await page(lab, 33002)) == (by_b, by_a)
                assert await second_echo.echoes()
            await active(gateway, "hello", Site.A)  # the tunnel never fell: there is nothing to hold down
            assert await page(lab, 33000) == by_a
            assert await echo.echoes()  # was silent, as long as it had no route, and is as it was
            assert await second_echo.echoes()
        assert not [each for each in gateway.events if each["event"] == "tunnel.transition" and each["old"] == "up"]


def _table(lab, device):
    """The number of the table that belongs to `device`."""
    (rule,) = [rule for rule in json.loads(lab.cloud.run(["ip", "-j", "rule"])) if rule.get("oif") == device]
    return rule["table"]
