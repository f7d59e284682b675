"""Nothing leaves beside a tunnel, and the instrument that says so sees a leak where there is one.

A session ends while its tunnel is down, so that the company's server does not hear of it. Both tunnels come back, but
their routes do not yet. The server goes on sending; there is no socket for it any more, and the kernel itself answers
with RST. That RST belongs to no socket, so it is bound to no device: where nothing but the main table has a say, it
goes by the default route, onto the container platform's network.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.failover import LOOPBACK, PATIENCE, forward, sealed
from tests.e2e.harness import GatewayProcess, configuration
from tests.lab import client
from tests.lab.capture import Capture
from tests.lab.topology import CORP_ADDRESS, UPLINK, Site
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab


@pytest.fixture
async def gateway(lab, tmp_path):
    # Probes end by RST as well: without them, the late answer's is the only one.
    text = configuration(lab, forward("hello", 33000), tunnel="[tunnel.health]\nprobes = []")
    async with GatewayProcess(lab, tmp_path, text) as process:
        await process.ready()
        yield process


async def _late_answer(lab, gateway):
    """Have the kernel answer a late packet of the company's server with RST, and return when it has."""
    reader, writer = await client.connect(lab.cloud, LOOPBACK, 33000)
    writer.write(b"GET /slow?s=2 HTTP/1.1\r\nHost: corp\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"  # and the page comes later
    with lab.faults.tun_down(Site.A), lab.faults.tun_down(Site.B):
        await gateway.event("tunnel.transition", tunnel="zone-a", new="down")
        writer.transport.abort()
        await gateway.metric("gateway_connections_active", lambda value: value == 0)
        before = lab.cloud.call(_resets_sent)
        with Capture(lab.cloud, lab.processes, f"src host {CORP_ADDRESS}", (lab.vpn(Site.A).device,)) as late:
            lab.cloud.ip(*(f"link set {vpn.device} up" for vpn in lab.vpns.values()))
            wait_until(lambda: lab.cloud.call(_resets_sent) > before, within=PATIENCE, what="the kernel sends RST")
    assert late.packets


def _resets_sent():
    """How many RSTs the kernel has sent in the calling thread's namespace, whether or not they found a way out."""
    names, values = [
        line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines() if line.startswith("Tcp:")
    ]
    return int(dict(zip(names, values, strict=True))["OutRsts"])


async def test_without_own_tables_the_late_reset_of_the_kernel_leaks_and_is_seen(lab, gateway):
    with lab.capture() as capture:
        await _late_answer(lab, gateway)
    assert capture.packets
    assert all(
        f" {UPLINK} Out " in packet and f" > {CORP_ADDRESS}.8080: Flags [R" in packet for packet in capture.packets
    )


async def test_with_own_tables_the_late_reset_of_the_kernel_has_no_way_out(lab, gateway):
    with sealed(lab):
        await _late_answer(lab, gateway)
