"""Nothing leaves beside a tunnel of the gateway's own: neither by the default route nor by another tunnel.

No tunnel is probed, so that whatever is seen on another tunnel's device, or outside, has leaked. A device is deleted
under a session that waits for an answer. When the tunnel is back the company's server goes on sending to a socket that
is no more, and the kernel answers with RST, which belongs to no socket and knows nothing of devices. The lab is these
tests' own: the company's server goes on sending to the sessions of other tests, too.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tests.e2e.failover import LOOPBACK, PATIENCE, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.kinds import FORWARDS, TUNNELS, Kind, entries, servers
from tests.e2e.managed import ask, configuration, connected, stands
from tests.lab import client
from tests.lab.capture import TO_CORP, Capture
from tests.lab.lab import Lab
from tests.lab.topology import PHYSICAL_LINKS, Role
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_ASKS = """
import socket, sys, time
while True:
    with socket.socket() as asking:
        asking.setblocking(False)
        asking.connect_ex((sys.argv[1], 9))
    time.sleep(0.0005)
"""
_LATE = 30.0  # seconds: what is not acknowledged is sent again after 0.2, and then after twice as long each time
_LINES = 'reconnect_after = "1s"\n[tunnel.health]\nprobes = []'


@pytest.fixture(scope="module")
def own_lab():
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def running(own_lab):
    with servers(own_lab) as running:
        yield running


@pytest.mark.timeout(180)
async def test_whatever_becomes_of_a_tunnel_nothing_leaves_beside_it(own_lab, running, tmp_path):
    text = configuration(own_lab, tmp_path, *entries(running, _LINES), *FORWARDS)
    async with GatewayProcess(own_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        for kind in Kind:
            elsewhere = (*PHYSICAL_LINKS, *(name for name in TUNNELS if name != kind.tunnel))
            with Capture(own_lab.cloud, own_lab.processes, TO_CORP, elsewhere) as capture:
                await _late_answer(own_lab, gateway, kind, running[kind].pool)
                await _without(own_lab, gateway, kind)
            assert capture.packets == (), kind
        assert await gateway.terminate() == 0


async def test_what_asks_for_an_address_before_it_is_routed_is_not_answered_beside_the_tunnel(
    own_lab, running, tmp_path
):
    """ESP in user space begins when charon's device has its address, which nobody knew before."""
    text = configuration(own_lab, tmp_path, *entries(running, _LINES), *FORWARDS)
    address, corp = f"{running[Kind.IPSEC].pool}.1", own_lab.spaces[Role.CORP]
    asking = subprocess.Popen(corp.command([sys.executable, "-c", _ASKS, address]))  # noqa: ASYNC220 - not waited for
    try:
        with Capture(own_lab.cloud, own_lab.processes, TO_CORP, PHYSICAL_LINKS) as capture:
            async with GatewayProcess(own_lab, tmp_path, text) as gateway:
                await gateway.event("gateway.started")
                await connected(gateway, *TUNNELS)
                for _ in range(3):
                    await _without(own_lab, gateway, Kind.IPSEC)
                assert await page(own_lab, Kind.IPSEC.port)
                assert await gateway.terminate() == 0
        assert capture.packets == ()
    finally:
        assert asking.poll() is None
        asking.kill()
        asking.wait()


async def _late_answer(lab, gateway, kind, pool):
    """Delete its device under a session, and return when the kernel's RST has come to the company's server."""

    def served() -> list[str]:
        """The sessions that the company's server knows of."""
        question = f"ss -Htn state established sport = :8080 dst {pool}.0/24"
        return lab.spaces[Role.CORP].run(question.split()).splitlines()

    async def told() -> bool:
        return not served()

    mark = len(gateway.events)
    reader, writer = await client.connect(lab.cloud, LOOPBACK, kind.port)
    writer.write(b"GET /slow?s=2 HTTP/1.1\r\nHost: corp\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"  # and the page comes later
    lab.cloud.ip(f"link del {kind.tunnel}")
    await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="down")
    writer.transport.abort()
    with pytest.raises((OSError, EOFError)):
        await page(lab, kind.port)
    assert len(served()) == 1
    await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="up", within=_LATE)
    await eventually(told, within=_LATE, what="the company's server has had an RST")


async def _without(lab, gateway, kind):
    """Disconnect it, ask for the page in vain, and connect it again."""
    mark = len(gateway.events)
    await ask(lab, "disconnect", kind.tunnel)
    await stands(gateway, kind.tunnel, "stopped")
    with pytest.raises((OSError, EOFError)):
        await page(lab, kind.port)
    await ask(lab, "connect", kind.tunnel)
    await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="up")
