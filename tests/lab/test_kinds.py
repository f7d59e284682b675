"""Every kind of VPN beside the others, one at each site: what the faults do to each, and that all of it heals."""

from __future__ import annotations

import asyncio

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.topology import CORP_ADDRESS, Site

pytestmark = pytest.mark.lab

_KINDS = {Site.A: "openvpn", Site.B: "ipsec", Site.C: "wireguard"}
_PERSISTENT = (Site.A, Site.C)  # whose device outlives its process
_ENDURED = "local_down", "remote_down", "blackhole", "corp_dead", "tun_down", "address_removed"
_PATIENCE = 20.0  # seconds for an answer that has to come, on a machine that may be busy


@pytest.fixture(scope="module")
def mixed_lab():
    with Lab(*_KINDS.values()) as lab:
        yield lab


@pytest.fixture
def mixed(mixed_lab):
    """The lab of all kinds; whatever a test did to it is healed afterwards, and is tried."""
    yield mixed_lab
    mixed_lab.heal()
    assert all(mixed_lab.answers(site) for site in mixed_lab.vpns)


def _others_answer(lab, site):
    return all(lab.answers(other) for other in lab.vpns if other is not site)


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
async def test_each_answers_with_its_own_address(mixed, site):
    tunnel = mixed.vpn(site)
    assert tunnel.server == f"{_KINDS[site]}-server-{site}"
    assert tunnel.address.startswith(f"10.7{site.number}.")
    assert (await client.fetch(mixed.cloud, device=tunnel.device, within=_PATIENCE)).seen == tunnel.address


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
async def test_bulk_passes_through_each(mixed, site):
    page = await client.fetch(mixed.cloud, "/bytes/1000000", device=mixed.vpn(site).device, within=_PATIENCE)
    assert len(page.body) == 1_000_000


async def test_with_own_tables_each_is_chosen_by_device_and_by_address(mixed):
    with mixed.routes.owned(*((site, tunnel.device) for site, tunnel in mixed.vpns.items())):
        for tunnel in mixed.vpns.values():
            by_device = await client.fetch(mixed.cloud, device=tunnel.device, within=_PATIENCE)
            by_address = await client.fetch(mixed.cloud, source=tunnel.address, within=_PATIENCE)
            assert by_device.seen == by_address.seen == tunnel.address


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
async def test_nothing_of_it_is_seen_on_the_links(mixed, site):
    with mixed.capture() as capture:
        await client.fetch(mixed.cloud, device=mixed.vpn(site).device, within=_PATIENCE)
    assert capture.packets == ()


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
@pytest.mark.parametrize("name", _ENDURED)
def test_a_fault_silences_it_and_it_alone(mixed, name, site):
    words = (site, "both") if name == "blackhole" else (site,)
    with mixed.faults.by_name(name, *words):
        assert not mixed.answers(site)
        assert _others_answer(mixed, site)
    assert mixed.cloud.link(mixed.vpn(site).device).carrier


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
def test_its_routes_can_be_taken_away(mixed, site):
    device = mixed.vpn(site).device
    with mixed.faults.route_removed(site):
        assert device not in mixed.cloud.run(["ip", "route", "show", "192.168.100.0/24"])
    assert device in mixed.cloud.run(["ip", "route", "show", "192.168.100.0/24"])


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
@pytest.mark.parametrize("part", ["server", "client"])
@pytest.mark.parametrize("fault", ["kill9", "freeze", "stop"])
def test_its_processes_can_be_killed_frozen_and_stopped(mixed, fault, part, site):
    process = getattr(mixed.vpn(site), part)
    with mixed.faults.by_name(fault, process):
        assert mixed.processes.alive(process) is (fault == "freeze")
        assert not mixed.answers(site)
        assert _others_answer(mixed, site)
    assert mixed.processes.alive(process)


@pytest.mark.parametrize("site", _KINDS, ids=_KINDS.get)
def test_its_device_can_be_deleted_and_is_another_one_afterwards(mixed, site):
    device = mixed.vpn(site).device
    before = mixed.cloud.link(device)
    with mixed.faults.tun_deleted(site):
        assert mixed.cloud.link(device) is None
        assert _others_answer(mixed, site)
    assert mixed.cloud.link(device).index != before.index


@pytest.mark.parametrize("site", _PERSISTENT, ids=_KINDS.get)
def test_without_its_process_a_persistent_device_loses_its_carrier(mixed, site):
    before = mixed.cloud.link(mixed.vpn(site).device)
    with mixed.faults.tun_carrier(site):
        link = mixed.cloud.link(mixed.vpn(site).device)
        assert (link.index, link.addresses, link.carrier) == (before.index, before.addresses, False)
    assert mixed.cloud.link(mixed.vpn(site).device).index == before.index


def test_the_device_of_ipsec_goes_with_its_process_and_comes_back_under_its_name(mixed):
    tunnel = mixed.vpn(Site.B)
    with mixed.faults.kill9(tunnel.client):
        assert mixed.cloud.link(tunnel.device) is None
    assert tunnel.device == "ipsec1"
    assert mixed.answers(Site.B)


async def test_a_connection_outlives_a_short_silence(mixed):
    for site, tunnel in mixed.vpns.items():
        reader, writer = await client.connect(mixed.cloud, CORP_ADDRESS, 8081, device=tunnel.device)
        with mixed.faults.blackhole(site):
            writer.write(b"late")
        async with asyncio.timeout(_PATIENCE):
            assert await reader.readexactly(4) == b"late"
        writer.close()


@pytest.mark.parametrize("kind", ["ipsec", "wireguard"])
def test_labs_of_one_kind_live_side_by_side(mixed, kind):
    with Lab(kind) as other:
        assert all(other.answers(site) for site in (Site.A, Site.B))
        assert set(other.vpns) == {Site.A, Site.B}
    assert all(mixed.answers(site) for site in mixed.vpns)


def test_there_are_no_more_kinds_than_sites():
    with pytest.raises(LabError, match="3 sites, not 4"):
        Lab("openvpn", "openvpn", "openvpn", "openvpn")
