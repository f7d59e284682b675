"""The harness sees what the gateway does, and does not take silence for success."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.harness import GatewayProcess, Metrics, configuration
from tests.lab import client
from tests.lab.errors import LabError, NotReadyError
from tests.lab.processes import ProcessId
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_HELLO = """[[forward]]
name = "hello"
listen = "0.0.0.0:33000"
target = "192.168.100.30:8080"
"""


async def _page(lab):
    return await client.fetch(lab.cloud, host="127.0.0.1", port=33000)


async def test_a_page_is_read_through_the_gateway_and_counted(lab, tmp_path):
    async with GatewayProcess(lab, tmp_path, configuration(lab, _HELLO)) as gateway:
        await gateway.ready()
        assert (await _page(lab)).seen == lab.vpn(Site.A).address
        assert await gateway.metric("gateway_connections_total", lambda value: value == 1, forward="hello") == 1
        assert (await gateway.metrics()).value("gateway_connections_total", forward="nothing") == 0
        assert await gateway.terminate() == 0


async def test_an_event_is_awaited_and_found_by_its_fields(lab, tmp_path):
    async with GatewayProcess(lab, tmp_path, configuration(lab, _HELLO)) as gateway:
        await gateway.ready()
        mark = len(gateway.events)
        with lab.faults.tun_carrier(Site.A):
            fell = await gateway.event("tunnel.transition", since=mark, tunnel="zone-a")
            assert fell["new"] == "down"
            assert (await _page(lab)).seen == lab.vpn(Site.B).address
        with pytest.raises(NotReadyError, match=r"tunnel\.transition tunnel=zone-x"):
            await gateway.event("tunnel.transition", tunnel="zone-x", within=0.05)
        with pytest.raises(NotReadyError, match=r"tunnel\.transition"):
            await gateway.event("tunnel.transition", lambda event: event["new"] == "sideways", within=0.05)


async def test_a_gateway_that_will_not_start_is_an_error_at_once(lab, tmp_path):
    async with GatewayProcess(lab, tmp_path, "nonsense = 1") as gateway:
        with pytest.raises(LabError, match=r"ended before it was ready(?s:.*)nonsense"):
            await gateway.ready()
        with pytest.raises(LabError, match=r"ended without gateway\.started"):
            await gateway.event("gateway.started")
        assert await gateway.exit_code() == 2


async def test_what_still_runs_is_killed_and_a_failure_shows_the_log(lab, tmp_path):
    processes = []

    async def fail() -> None:
        async with GatewayProcess(lab, tmp_path, configuration(lab, _HELLO)) as gateway:
            await gateway.ready()
            await gateway.event("gateway.started")  # /readyz may be a moment ahead of the log
            processes.append(ProcessId.of(gateway.pid))
            assert processes[0].alive
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await fail()
    assert not processes[0].alive
    assert "gateway.started" in "".join(caught.value.__notes__)


async def test_a_killed_gateway_tells_the_signal(lab, tmp_path):
    async with GatewayProcess(lab, tmp_path, configuration(lab, _HELLO)) as gateway:
        await gateway.ready()
        with pytest.raises(NotReadyError, match="the gateway ends"):
            await gateway.exit_code(within=0.05)
        gateway.signal(signal.SIGKILL)
        assert await gateway.exit_code() == -signal.SIGKILL


def test_metrics_are_summed_over_the_labels_not_named():
    metrics = Metrics.parse(
        '# TYPE x counter\nx_total{a="1",b="1"} 2\nx_total{a="1",b="2"} 3\nx_total{a="2",b="1"} 4\n'
    )
    assert metrics.value("x_total") == 9
    assert metrics.value("x_total", a="1") == 5
    assert metrics.value("x_total", a="1", b="2") == 3
