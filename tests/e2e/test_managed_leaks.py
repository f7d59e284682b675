"""Nothing leaves beside a tunnel of the gateway's own: neither by the default route nor by another tunnel.

No tunnel is probed, so that whatever is seen on another tunnel's device, or outside, has leaked: but for what comes
late of that tunnel's own sessions of other tests. A device is deleted
under a session that waits for an answer. When the tunnel is back the company's server goes on sending to a socket that
is no more, and the kernel answers with RST, which belongs to no socket and knows nothing of devices.
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
def running(shared_empty_lab):
    with servers(shared_empty_lab) as running:
        yield running


@pytest.mark.timeout(180)
async def test_whatever_becomes_of_a_tunnel_nothing_leaves_beside_it(empty_lab, running, tmp_path):
    text = configuration(empty_lab, tmp_path, *entries(running, _LINES), *FORWARDS)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        await connected(gateway, *TUNNELS)
        for kind in Kind:
            elsewhere = (*PHYSICAL_LINKS, *(name for name in TUNNELS if name != kind.tunnel))
            with Capture(empty_lab.cloud, empty_lab.processes, TO_CORP, elsewhere) as capture:
                await _late_answer(empty_lab, gateway, kind, running[kind].pool)
                await _without(empty_lab, gateway, kind)
            others = {other.tunnel: running[other].pool for other in Kind if other is not kind}
            assert [each for each in capture.packets if not _is_late(each, others)] == [], kind
        assert await gateway.terminate() == 0


@pytest.mark.parametrize(
    ("packet", "late"),
    [
        ("zone-a In  IP 192.168.100.30.8080 > 10.71.1.2.44104: Flags [P.], seq 1", True),
        ("zone-a Out IP 10.71.1.2.44104 > 192.168.100.30.8080: Flags [R], seq 1", True),
        ("zone-a Out IP 10.71.1.2.44104 > 192.168.100.30.8080: Flags [S], seq 1", False),
        ("zone-a Out IP 10.72.1.2.44104 > 192.168.100.30.8080: Flags [R], seq 1", False),
        ("uplink Out IP 10.71.1.2.44104 > 192.168.100.30.8080: Flags [R], seq 1", False),
    ],
)
def test_what_is_late_is_not_what_leaks(packet, late):
    assert _is_late(f"04:36:07.460020 {packet}", {"zone-a": "10.71.1"}) is late


async def test_what_asks_for_an_address_before_it_is_routed_is_not_answered_beside_the_tunnel(
    empty_lab, running, tmp_path
):
    """ESP in user space begins when charon's device has its address, which nobody knew before."""
    text = configuration(empty_lab, tmp_path, *entries(running, _LINES), *FORWARDS)
    address, corp = f"{running[Kind.IPSEC].pool}.1", empty_lab.spaces[Role.CORP]
    asking = subprocess.Popen(corp.command([sys.executable, "-c", _ASKS, address]))  # noqa: ASYNC220 - not waited for
    try:
        with Capture(empty_lab.cloud, empty_lab.processes, TO_CORP, PHYSICAL_LINKS) as capture:
            async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
                await gateway.event("gateway.started")
                await connected(gateway, *TUNNELS)
                for _ in range(3):
                    await _without(empty_lab, gateway, Kind.IPSEC)
                assert await page(empty_lab, Kind.IPSEC.port)
                assert await gateway.terminate() == 0
        assert capture.packets == ()
    finally:
        assert asking.poll() is None
        asking.kill()
        asking.wait()


def _is_late(packet, pools):
    """Whether it belongs to a session that another test ended: what the company's server still sends down the tunnel
    that it was of, and the kernel's RST, back by the same. `pools`: the addresses of tunnels, by device."""
    _, device, direction, _, source, _, destination, *rest = packet.split()
    pool = pools.get(device)
    if pool is None:
        return False
    if direction == "In":
        return destination.startswith(f"{pool}.")
    return source.startswith(f"{pool}.") and rest[:1] == ["Flags"] and rest[1].startswith("[R")


async def _late_answer(lab, gateway, kind, pool):
    """Delete its device under a session, and return when the kernel's RST has come to the company's server."""

    def served() -> set[str]:
        """The ends of sessions that the company's server knows; some are of tunnels that other tests ended."""
        question = f"ss -Htn state established sport = :8080 dst {pool}.0/24"
        return {line.split()[-1] for line in lab.spaces[Role.CORP].run(question.split()).splitlines()}

    async def told() -> bool:
        return not ours & served()

    mark, before = len(gateway.events), served()
    reader, writer = await client.connect(lab.cloud, LOOPBACK, kind.port)
    writer.write(b"GET /slow?s=2 HTTP/1.1\r\nHost: corp\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"  # and the page comes later
    ours = served() - before
    lab.cloud.ip(f"link del {kind.tunnel}")
    await gateway.event("tunnel.transition", since=mark, tunnel=kind.tunnel, new="down")
    writer.transport.abort()
    with pytest.raises((OSError, EOFError)):
        await page(lab, kind.port)
    assert len(ours) == 1
    assert ours <= served()
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
