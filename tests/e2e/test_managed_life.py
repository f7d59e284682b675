"""Three kinds of tunnels in one gateway: what the death of a client costs, and what the gateway's own end leaves."""

from __future__ import annotations

import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.failover import page
from tests.e2e.harness import GatewayProcess
from tests.e2e.kinds import FORWARDS, TUNNELS, Kind, entries, servers
from tests.e2e.managed import activities, configuration, connected
from tests.e2e.traces import child, children, descendants, kept, place
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_AT_ONCE = 0.5  # seconds for what takes milliseconds, on a machine that may be busy
_GOES = 1.0  # seconds for what dies with the gateway


@pytest.fixture(scope="module")
def running(shared_empty_lab):
    with servers(shared_empty_lab) as running:
        yield running


@pytest.fixture
def strict(empty_lab):
    """The strictest reverse-path filter: a packet must have come by the device that its answer would leave by."""
    for name in ("all", "default"):
        empty_lab.cloud.sysctl(f"ipv4/conf/{name}/rp_filter", 1)
    yield
    for name in ("all", "default"):
        empty_lab.cloud.sysctl(f"ipv4/conf/{name}/rp_filter", 0)


async def _pages(lab, running):
    """Read the company's page by each tunnel; the address it saw must be of that tunnel's server."""
    for kind in Kind:
        assert (await page(lab, kind.port)).startswith(f"{running[kind].pool}."), kind


async def test_all_kinds_work_at_once_under_strict_reverse_path_filtering_and_leave_nothing(
    empty_lab, running, strict, tmp_path
):
    before = kept(empty_lab)
    text = configuration(empty_lab, tmp_path, *entries(running), *FORWARDS)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        await _pages(empty_lab, running)
        sockets, clients = place(gateway.pid), descendants(gateway.pid)
        assert len(clients) == len(Kind)
        assert kept(empty_lab) != before
        assert await gateway.terminate() == 0
    assert not any(each.alive for each in clients)
    assert not sockets.exists()
    assert not _wireguard_is_left()
    assert kept(empty_lab) == before


async def test_a_client_that_is_killed_is_missed_at_once_and_connects_again(empty_lab, running, tmp_path):
    text = configuration(empty_lab, tmp_path, *entries(running), *FORWARDS)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        mark = len(gateway.events)
        for kind in Kind:
            began = time.monotonic()
            child(gateway.pid, kind.program).signal(signal.SIGKILL)
            fell = await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="down")
            assert time.monotonic() - began < _AT_ONCE, kind
            assert fell["cause"] in {"driver", "carrier_lost", "device_gone"}, kind
        for kind in Kind:
            ended = await gateway.event("tunnel.disconnected", since=mark, tunnel=kind.tunnel)
            assert ended["reason"] == "client_died", kind
            assert f"{kind.program} was ended by SIGKILL" in str(ended["detail"])
            await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="up")
            (said,) = await activities(gateway, kind.tunnel, "disconnected")
            assert "client_died" in said
        await _pages(empty_lab, running)
        assert await gateway.terminate() == 0


async def test_of_a_gateway_that_is_killed_nothing_runs_on_and_the_next_one_is_clean(empty_lab, running, tmp_path):
    before = kept(empty_lab)
    text = configuration(empty_lab, tmp_path, *entries(running), *FORWARDS)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        made, clients, sockets = kept(empty_lab), descendants(gateway.pid), place(gateway.pid)
        gateway.signal(signal.SIGKILL)
        assert await gateway.exit_code() == -signal.SIGKILL

        async def all_gone() -> bool:
            return not any(each.alive for each in clients)

        await eventually(all_gone, within=_GOES, what="its clients have ended")
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        await _pages(empty_lab, running)
        assert not sockets.exists()
        assert _shape(kept(empty_lab)) == _shape(made), "all is there once"
        assert await gateway.terminate() == 0
    assert not _wireguard_is_left()
    assert kept(empty_lab) == before


def _wireguard_is_left():
    """Whether there is a socket of a WireGuard process, which is not with the gateway's own."""
    return Path(f"/var/run/wireguard/{Kind.WIREGUARD.tunnel}.sock").exists()


def _shape(traces):
    """How much there is of each: numbers of tables, devices and addresses may be others."""
    return {what: len(found) for what, found in traces.items()}


async def test_a_second_signal_ends_attempts_of_all_kinds_and_leaves_nothing(empty_lab, running, tmp_path):
    before = kept(empty_lab)
    text = configuration(empty_lab, tmp_path, *entries(running), *FORWARDS, gateway='drain_delay = "20s"')
    async with AsyncExitStack() as stack:
        for kind in Kind:
            stack.enter_context(empty_lab.faults.blackhole(kind.site))
        gateway = await stack.enter_async_context(GatewayProcess(empty_lab, tmp_path, text))
        await gateway.event("gateway.started")

        async def all_try() -> bool:  # also once more: where nobody answers for the address, an attempt soon fails
            return all(children(gateway.pid, kind.program) for kind in Kind)

        await eventually(all_try, within=20.0, what="all kinds are trying")
        clients = descendants(gateway.pid)
        gateway.signal(signal.SIGTERM)
        await gateway.event("gateway.draining")
        gateway.signal(signal.SIGTERM)
        assert await gateway.exit_code(within=3.0) == 1
    assert not any(each.alive for each in clients)
    assert kept(empty_lab) == before
