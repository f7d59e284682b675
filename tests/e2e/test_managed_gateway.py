"""The gateway around a tunnel that it brings up: how soon it serves, what a dead client costs, what its end leaves."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.e2e.failover import forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.harness import configuration as interfaces
from tests.e2e.managed import activities, configuration, driver, stands, tunnel
from tests.e2e.traces import children, kept, place
from tests.lab.servers.openvpn import OpenVpnServer
from tests.lab.topology import CORP_ADDRESS, Site
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_FORWARD = forward("hello", 33000, 8080)
_POOL = "10.71.1."  # of the server: what the company sees


@pytest.fixture
def entry(empty_lab):
    """A `[[tunnel]]` of a server that runs."""
    with empty_lab.serving(OpenVpnServer(empty_lab.workshop, Site.A)) as server:
        yield tunnel("zone-a", server.access)


async def test_the_first_client_finds_the_tunnel_up_and_nothing_is_left_at_the_end(empty_lab, entry, tmp_path):
    before = kept(empty_lab)
    async with GatewayProcess(empty_lab, tmp_path, configuration(empty_lab, tmp_path, entry, _FORWARD)) as gateway:
        await gateway.event("gateway.started")
        (first,) = [it for it in gateway.events if it.get("event") == "tunnel.transition"]
        assert (first["old"], first["new"], first["cause"]) == ("unknown", "up", "first_good"), "nothing was wrong"
        assert (await page(empty_lab, 33000)).startswith(_POOL)
        assert kept(empty_lab) != before
        sockets = place(gateway.pid)
        assert any(sockets.iterdir())
        assert await gateway.terminate() == 0
    assert not sockets.exists()
    after = kept(empty_lab)
    for what, it in before.items():
        assert after[what] == it, what


async def test_a_client_that_is_killed_is_known_to_be_and_connects_again(empty_lab, entry, tmp_path):
    async with GatewayProcess(empty_lab, tmp_path, configuration(empty_lab, tmp_path, entry, _FORWARD)) as gateway:
        await gateway.event("gateway.started")
        (pid,) = children(gateway.pid, "openvpn")
        mark = len(gateway.events)
        os.kill(pid, signal.SIGKILL)
        fallen = await gateway.event("tunnel.transition", since=mark, new="down")
        assert fallen["cause"] in {"driver", "carrier_lost"}
        await gateway.event("tunnel.transition", since=mark, new="up")
        assert (await page(empty_lab, 33000)).startswith(_POOL)
        assert [it for it in await activities(gateway, "zone-a", "disconnected") if "client_died" in it]
        assert await gateway.terminate() == 0


async def test_a_tunnel_that_carries_nothing_is_connected_anew(empty_lab, entry, tmp_path):
    """The client is sure that it is connected; probes of a target that does not exist say otherwise."""
    lines = ['reconnect_after = "1s"', "[tunnel.health]", 'interval = "200ms"', 'timeout = "150ms"']
    lines += ['suspect_after = "100ms"', 'down_after = "400ms"', 'probes = ["tcp://192.168.100.77:1"]']
    dead = "\n".join([entry, *lines])
    async with GatewayProcess(empty_lab, tmp_path, configuration(empty_lab, tmp_path, dead, _FORWARD)) as gateway:
        await gateway.event("tunnel.reconnecting")
        found = await stands(gateway, "zone-a", "reconnecting", "connected")
        assert found["state"] == "connected" or "down for 1 s and more (probes)" in found["failure"]["detail"]
        given_up = [it.get("event") for it in gateway.events].index("tunnel.reconnecting")
        await gateway.event("tunnel.connected", since=given_up)
        assert await gateway.terminate() == 0


async def test_a_second_signal_ends_it_at_once_while_it_connects_and_leaves_nothing(empty_lab, entry, tmp_path):
    before = kept(empty_lab)
    text = configuration(empty_lab, tmp_path, entry, _FORWARD, gateway='drain_delay = "20s"')
    with empty_lab.faults.blackhole(Site.A):
        async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
            await gateway.event("gateway.started")  # clients are let in, though nothing is connected
            assert (await driver(gateway, "zone-a"))["state"] in {"connecting", "reconnecting"}
            gateway.signal(signal.SIGTERM)
            await gateway.event("gateway.draining")
            gateway.signal(signal.SIGTERM)
            assert await gateway.exit_code(within=3.0) == 1
    assert kept(empty_lab) == before


async def test_without_the_capability_it_says_which_and_serves_its_other_tunnels(empty_lab, entry, tmp_path):
    other = '[[tunnel]]\nname = "zone-b"\nkind = "interface"\ninterface = "lo"\n[tunnel.health]\nprobes = []'
    local = '[[forward]]\nname = "local"\nlisten = "33001"\ntarget = "127.0.0.1:9099"\ntunnels = ["zone-b"]'
    text = configuration(
        empty_lab, tmp_path, entry, other, forward("hello", 33000, 8080, 'tunnels = ["zone-a"]'), local
    )
    launcher = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"]
    async with GatewayProcess(empty_lab, tmp_path, text, launcher=launcher) as gateway:
        await gateway.event("gateway.started")
        found = await stands(gateway, "zone-a", "reconnecting", reason="not_permitted")
        assert "CAP_NET_ADMIN" in found["failure"]["detail"]
        await gateway.metric("gateway_forward_active_tunnel", lambda value: value == 1, forward="local")
        assert await gateway.terminate() == 0


async def test_routes_of_a_device_that_somebody_else_made_come_and_go_with_it(lab, tmp_path):
    text = interfaces(lab, _FORWARD, tunnel='routes = "managed"')
    before = kept(lab)
    async with GatewayProcess(lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        device = lab.vpns[Site.A].device

        def routed() -> set[str]:
            ours = json.loads(lab.cloud.run(["ip", "-j", "route", "show", "table", "all", "proto", "103"]))
            return {it["dst"] for it in ours if it.get("dev") == device}

        async def are_routed() -> bool:
            return routed() == {CORP_ADDRESS}

        await eventually(are_routed, within=10.0, what="its routes are there")
        assert (await page(lab, 33000)).startswith(_POOL)
        with lab.faults.tun_down(Site.A):
            await gateway.event("tunnel.transition", tunnel="zone-a", new="down")
            assert routed() == set()
        await eventually(are_routed, within=10.0, what="its routes are there again")
        assert await gateway.terminate() == 0
    assert kept(lab) == before
