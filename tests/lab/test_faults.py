"""Each fault does what it says, seen by a client bound to the tunnel's device; the other tunnel never feels it."""

from __future__ import annotations

import asyncio
import errno
import time

import pytest

from tests.lab import client
from tests.lab.corp import ECHO_PORT
from tests.lab.errors import LabError
from tests.lab.faults import Direction, Faults
from tests.lab.topology import CORP_ADDRESS, Site
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab

_SILENCE = 0.25  # seconds after which a tunnel that answers in milliseconds is taken for silent
_PATIENCE = 20.0  # seconds for an answer that has to come, on a machine that may be busy


async def _page(lab, site, within=_PATIENCE):
    return await client.fetch(lab.cloud, device=lab.vpn(site).device, within=within)


async def _assert_silent(lab, site):
    with pytest.raises(TimeoutError):
        await _page(lab, site, within=_SILENCE)


async def _assert_answers(lab, site):
    assert (await _page(lab, site)).seen == lab.vpn(site).address


async def _assert_echoes(lab, site):
    reader, writer = await client.connect(
        lab.cloud, CORP_ADDRESS, ECHO_PORT, device=lab.vpn(site).device, within=_PATIENCE
    )
    writer.write(b"!")
    async with asyncio.timeout(_PATIENCE):
        assert await reader.readexactly(1) == b"!"
    writer.transport.abort()


def _state(lab, device):
    link = lab.cloud.link(device)
    return link.up, link.carrier


@pytest.mark.parametrize(
    "words",
    [
        ("carrier", "a"),
        ("remote_down", "a"),
        ("blackhole", "a", "both"),
        ("blackhole", "a", "to_site"),
        ("blackhole", "a", "from_site"),
        ("loss", "a", "100"),
        ("corp_dead", "a"),
        ("freeze", "openvpn-server-a"),
        ("freeze", "openvpn-client-a"),
    ],
    ids=" ".join,
)
async def test_the_tunnel_falls_silent_and_its_device_shows_nothing(lab, words):
    tunnel = lab.vpn(Site.A)
    fault = lab.faults.by_name(*words)
    with fault:
        assert lab.faults.active == (fault.name,)
        await _assert_silent(lab, Site.A)
        await _assert_answers(lab, Site.B)
        assert _state(lab, tunnel.device) == (True, True)
    assert lab.faults.active == ()
    await _assert_answers(lab, Site.A)


async def test_carrier_shows_on_the_physical_device(lab):
    with lab.faults.carrier(Site.A):
        assert _state(lab, Site.A.link) == (True, False)
    assert _state(lab, Site.A.link) == (True, True)


async def test_local_down_shows_on_the_physical_device(lab):
    with lab.faults.local_down(Site.A):
        assert _state(lab, Site.A.link) == (False, False)
        assert _state(lab, lab.vpn(Site.A).device) == (True, True)
        await _assert_silent(lab, Site.A)
        await _assert_answers(lab, Site.B)
    await _assert_answers(lab, Site.A)


@pytest.mark.parametrize("fault", ["remote_down", "blackhole"])
async def test_the_cloud_sees_nothing_of_what_is_far(lab, fault):
    words = (fault, "a", "both") if fault == "blackhole" else (fault, "a")
    with lab.faults.by_name(*words):
        assert _state(lab, Site.A.link) == (True, True)


@pytest.mark.parametrize("percent", [0, 101])
def test_loss_is_a_share_of_all_frames(lab, percent):
    with pytest.raises(ValueError, match=f"{percent} %"):
        lab.faults.loss(Site.A, percent)


async def test_target_dead_silences_one_port_through_one_tunnel(lab):
    with lab.faults.target_dead(Site.A, ECHO_PORT):
        with pytest.raises(TimeoutError):
            await client.connect(lab.cloud, CORP_ADDRESS, ECHO_PORT, device=lab.vpn(Site.A).device, within=_SILENCE)
        await _assert_answers(lab, Site.A)  # another port
        await _assert_echoes(lab, Site.B)
    await _assert_echoes(lab, Site.A)


async def test_reject_is_said_aloud(lab):
    with lab.faults.reject(Site.A):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - asyncio words it, the kernel numbers it
            await _page(lab, Site.A)
        assert caught.value.errno == errno.EHOSTUNREACH
        await _assert_answers(lab, Site.B)
    await _assert_answers(lab, Site.A)


async def test_rate_slows_bulk(lab):
    with lab.faults.rate(Site.A, "8mbit"):
        began = time.monotonic()
        await client.fetch(lab.cloud, "/bytes/400000", device=lab.vpn(Site.A).device)
        # At 1 MB/s; what the shapers let pass at once is a small part of it.
        assert time.monotonic() - began > 0.3


async def test_mtu_lets_handshakes_pass_and_stops_bulk(lab):
    device = lab.vpn(Site.A).device
    with lab.faults.mtu(Site.A, 1300):
        await _assert_answers(lab, Site.A)
        with pytest.raises(TimeoutError):
            await client.fetch(lab.cloud, "/bytes/100000", device=device, within=_SILENCE)
    assert len((await client.fetch(lab.cloud, "/bytes/100000", device=device)).body) == 100_000


async def test_tun_down_keeps_index_and_address_and_loses_routes(lab):
    tunnel = lab.vpn(Site.A)
    before = lab.cloud.link(tunnel.device)
    with lab.faults.tun_down(Site.A):
        link = lab.cloud.link(tunnel.device)
        assert not link.up
        assert (link.index, link.addresses) == (before.index, before.addresses)
        assert tunnel.device not in lab.cloud.run(["ip", "route"])
        await _assert_answers(lab, Site.B)
    await _assert_answers(lab, Site.A)


async def test_tun_carrier_keeps_index_address_and_routes(lab):
    tunnel = lab.vpn(Site.A)
    before = lab.cloud.link(tunnel.device)
    with lab.faults.tun_carrier(Site.A):
        link = lab.cloud.link(tunnel.device)
        assert _state(lab, tunnel.device) == (True, False)
        assert (link.index, link.addresses) == (before.index, before.addresses)
        assert tunnel.device in lab.cloud.run(["ip", "route"])
        await _assert_silent(lab, Site.A)
        await _assert_answers(lab, Site.B)
    assert lab.cloud.link(tunnel.device).index == before.index
    await _assert_answers(lab, Site.A)


async def test_tun_deleted_comes_back_as_another_device(lab):
    tunnel = lab.vpn(Site.A)
    before = lab.cloud.link(tunnel.device)
    with lab.faults.tun_deleted(Site.A):
        assert lab.cloud.link(tunnel.device) is None
        await _assert_answers(lab, Site.B)
    assert lab.cloud.link(tunnel.device).index != before.index
    await _assert_answers(lab, Site.A)


async def test_address_removed_and_put_back(lab):
    tunnel = lab.vpn(Site.A)
    address = tunnel.address
    with lab.faults.address_removed(Site.A):
        assert lab.cloud.link(tunnel.device).addresses == ()
        with pytest.raises(LabError, match="has no address"):
            _ = tunnel.address
        await _assert_answers(lab, Site.B)
    assert tunnel.address == address
    await _assert_answers(lab, Site.A)


async def test_route_removed_leaves_the_device_alone(lab):
    tunnel = lab.vpn(Site.A)
    with lab.faults.route_removed(Site.A):
        route = lab.cloud.run(["ip", "route", "show", "192.168.100.0/24"])
        assert tunnel.device not in route
        assert lab.vpn(Site.B).device in route
        assert _state(lab, tunnel.device) == (True, True)
    assert tunnel.device in lab.cloud.run(["ip", "route", "show", "192.168.100.0/24"])


@pytest.mark.parametrize("process", ["openvpn-server-a", "openvpn-client-a"])
def test_a_killed_process_comes_back(lab, process):
    with lab.faults.kill9(process):
        assert not lab.processes.alive(process)
        assert not lab.answers(Site.A)
        assert lab.answers(Site.B)
    lab.heal()  # a client does not notice for seconds that its server is another one
    assert lab.answers(Site.A)


async def test_a_server_stopped_in_order_takes_leave_and_its_client_s_device_shows_nothing(lab):
    server = lab.vpn(Site.A).server
    with lab.faults.stop(server):
        assert not lab.processes.alive(server)
        wait_until(
            lambda: "reset command was pushed by server" in lab.processes.log(lab.vpn(Site.A).client),
            within=_PATIENCE,
            what="the client knows",
            detail=lambda: lab.processes.log(lab.vpn(Site.A).client),
        )
        assert _state(lab, lab.vpn(Site.A).device) == (True, True)
        await _assert_silent(lab, Site.A)
        await _assert_answers(lab, Site.B)
    assert lab.processes.alive(server)


async def test_killed_company_servers_come_back(lab):
    with lab.faults.kill9("corp"), pytest.raises(ConnectionRefusedError):
        await _page(lab, Site.A)
    await _assert_answers(lab, Site.A)


def test_all_faults_are_healed_at_once_and_each_only_once(lab):
    carrier, reject = lab.faults.carrier(Site.A), lab.faults.reject(Site.B)
    carrier.inject()
    carrier.inject()
    reject.inject()
    assert lab.faults.active == ("carrier a", "reject b")
    lab.heal()
    assert lab.faults.active == ()
    carrier.heal()
    assert all(lab.answers(site) for site in lab.vpns)


def test_what_failed_half_way_is_healed_too(lab):
    fault = lab.faults.rate(Site.A, "very fast")
    with pytest.raises(LabError, match="very fast"):
        fault.inject()
    assert lab.faults.active == ("rate a very fast",)
    lab.faults.heal()


def test_faults_are_found_by_name(lab):
    assert Faults.names()["blackhole"] == "SITE DIRECTION"
    assert lab.faults.by_name("blackhole", "b", "to_site").name == f"blackhole b {Direction.TO_SITE}"
    for words in (("flood",), ("carrier",), ("carrier", "z"), ("loss", "a", "much"), ("carrier", "a", "b")):
        with pytest.raises(LabError, match=r"no fault is called|usage"):
            lab.faults.by_name(*words)
