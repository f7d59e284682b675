from __future__ import annotations

import json

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.routes import RULE_PRIORITY
from tests.lab.topology import CORP_ADDRESS, Site

pytestmark = pytest.mark.lab


def _rules(lab):
    rules = json.loads(lab.cloud.run(["ip", "-j", "rule"]))
    return [rule for rule in rules if rule["priority"] == RULE_PRIORITY]


async def test_by_plain_routes_a_device_chooses_the_tunnel_and_an_address_does_not(lab):
    tunnel = lab.vpn(Site.B)
    assert (await client.fetch(lab.cloud, device=tunnel.device)).seen == tunnel.address
    chosen = lab.cloud.run(["ip", "route", "get", CORP_ADDRESS, "from", tunnel.address])
    assert f"dev {lab.vpn(Site.A).device} " in chosen


async def test_with_own_tables_device_and_address_both_choose(lab):
    tunnel = lab.vpn(Site.B)
    with lab.routes.owned(*((site, lab.vpn(site).device) for site in lab.vpns)):
        assert len(_rules(lab)) == 4
        assert (await client.fetch(lab.cloud, device=tunnel.device)).seen == tunnel.address
        assert (await client.fetch(lab.cloud, source=tunnel.address)).seen == tunnel.address
    assert _rules(lab) == []


async def test_an_own_table_without_its_route_ends_in_unreachable_and_not_in_another_tunnel(lab):
    tunnel = lab.vpn(Site.B)
    owned, removed = lab.routes.owned((Site.B, tunnel.device)), lab.faults.route_removed(Site.B)
    with owned, removed, pytest.raises(OSError, match="No route to host"):
        await client.fetch(lab.cloud, source=tunnel.address)


def test_a_rule_needs_an_address(lab):
    with lab.faults.address_removed(Site.A), pytest.raises(LabError, match="has no address"):
        lab.routes.own(Site.A, lab.vpn(Site.A).device)


def test_own_tables_outlive_their_device_and_can_be_taken_away(lab):
    lab.routes.own(Site.A, lab.vpn(Site.A).device)
    with lab.faults.tun_deleted(Site.A):
        assert len(_rules(lab)) == 2
    lab.routes.disown_all()
    assert _rules(lab) == []
