"""A path that swallows large packets: bulk hangs once, and from then on segments are small enough, and it says why."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.e2e.failover import LOOPBACK, forward, sealed_gateway, zone
from tests.e2e.verbs import explain, status, verb
from tests.lab import client
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_A = zone(Site.A)
_BODY = bytes(range(256)) * 4096
_DIGEST = f"{len(_BODY)} {hashlib.sha256(_BODY).hexdigest()}"
_SEEN = 20.0  # seconds until segments that were sent again and again are taken for lost, on a machine that may be busy


async def _upload(lab, port, within):
    """POST a megabyte, and read the company's answer to it. Raises TimeoutError."""
    head = f"POST /digest HTTP/1.1\r\nHost: corp\r\nConnection: close\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    async with asyncio.timeout(within):
        reader, writer = await client.connect(lab.cloud, LOOPBACK, port, within=within)
        try:
            writer.write(head.encode() + _BODY)
            return (await reader.read()).decode().splitlines()[-1]
        finally:
            writer.transport.abort()


@pytest.mark.timeout(90)
async def test_sessions_after_the_detection_are_clamped_and_work(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, forward("hello", 33000), tunnel="") as gateway:
        assert await _upload(lab, 33000, _SEEN) == _DIGEST
        with lab.faults.mtu(Site.A, 1300):
            async with asyncio.TaskGroup() as group:  # it is alone: nothing else passes but probes
                hanging = group.create_task(_upload(lab, 33000, 2 * _SEEN))
                clamp = await gateway.metric(
                    "gateway_tunnel_mss_clamp", lambda value: value > 0, tunnel=_A, within=_SEEN
                )
                hanging.cancel()
            assert await _upload(lab, 33000, _SEEN) == _DIGEST
            told = await status(lab, _A)
            assert (told["health"], told["mss"]) == ("up", clamp)
            (candidate,) = [
                each for each in (await explain(lab, "hello"))["candidates"] if each["tunnel"]["name"] == _A
            ]
            assert candidate["chosen"]
            assert candidate["tunnel"]["mss"] == clamp
            assert f"{clamp:.0f}" in await verb(lab, "explain", "hello")
        assert not [each for each in gateway.events if each["event"] == "tunnel.transition" and each["old"] == "up"]
