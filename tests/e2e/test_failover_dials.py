"""A dial that gets no answer through one tunnel goes on through the other, with every byte of the client."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from tests.e2e.failover import LOOPBACK, PATIENCE, forward, sealed_gateway, zone
from tests.lab import client
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_A = zone(Site.A)
_BODY = bytes(range(256)) * 1024  # more than the buffers of one socket take at once


async def _digest(lab, port):
    """POST a body and read the page's answer to it, the body sent without waiting for anything."""
    head = f"POST /digest HTTP/1.1\r\nHost: corp\r\nConnection: close\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    async with asyncio.timeout(PATIENCE):
        reader, writer = await client.connect(lab.cloud, LOOPBACK, port, within=PATIENCE)
        try:
            writer.write(head.encode() + _BODY)
            return (await reader.read()).decode().splitlines()[-1]
        finally:
            writer.transport.abort()


_DIGEST = f"{len(_BODY)} {hashlib.sha256(_BODY).hexdigest()}"


async def test_a_dial_under_way_goes_on_when_its_tunnel_falls(lab, tmp_path):
    async with sealed_gateway(lab, tmp_path, forward("hello", 33000, 8080, 'connect_timeout = "1m"')) as gateway:
        with lab.faults.blackhole(Site.A):
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(_digest(lab, 33000))
                await gateway.metric("gateway_connections_active", lambda value: value == 1, tunnel=_A)
                began = time.monotonic()
                with lab.faults.tun_down(Site.A):
                    assert await reading == _DIGEST
                    assert time.monotonic() - began < PATIENCE  # and not half of the minute it might have waited
        metrics = await gateway.metrics()
        assert metrics.value("gateway_connect_failures_total", tunnel=_A, reason="tunnel_down") == 1
        assert metrics.value("gateway_connections_total", forward="hello", result="ok") == 1


@pytest.mark.parametrize("words", [("blackhole", "a", "to_site"), ("kill9", "openvpn-server-a")], ids=" ".join)
async def test_a_dial_that_times_out_goes_on_within_the_connect_timeout(lab, tmp_path, words):
    async with sealed_gateway(lab, tmp_path, forward("hello", 33000, 8080, 'connect_timeout = "1s"')) as gateway:
        with lab.faults.by_name(*words):
            began = time.monotonic()
            assert await _digest(lab, 33000) == _DIGEST
            assert time.monotonic() - began >= 0.5  # the first tunnel's share of the time
            failed = await gateway.event("dial.failed")
            assert (failed["tunnel"], failed["reason"], failed["forward"]) == (_A, "timed_out", "hello")
        metrics = await gateway.metrics()
        assert metrics.value("gateway_connect_failures_total", tunnel=_A, reason="timed_out") == 1
        assert metrics.value("gateway_connections_total", forward="hello", result="ok") == 1
        assert metrics.value("gateway_connections_total", forward="hello") == 1
