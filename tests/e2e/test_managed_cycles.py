"""Connecting and disconnecting again and again: nothing grows, nothing is left, and a client that keeps dying is slow.

`make test` has eight cycles of all kinds at once, `make matrix` two hundred.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.harness import GatewayProcess
from tests.e2e.kinds import FORWARDS, TUNNELS, Kind, entries, servers
from tests.e2e.managed import ask, configuration, connected, driver, stands
from tests.e2e.traces import children, kept
from tests.lab.processes import ProcessId
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_FEW = 6  # connections of scrapers, threads of the pool; fewer than there are cycles
_WARM = 2  # cycles after which everything that is kept has been made
_GROWTH = 4 << 20  # bytes of memory in the second half: caches (the book's is 2 MiB) fill up, and then it is over
_DEATHS = 3
_WAITS = 0.5 + 1.0  # seconds before the second and the third start, at least: half of 1 s, half of 2 s


@pytest.fixture(scope="module")
def running(shared_empty_lab):
    with servers(shared_empty_lab) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a gateway with no tunnel connected holds. `memory` in bytes, the rest by number."""

    descriptors: int
    threads: int
    processes: int
    memory: int

    @staticmethod
    def of(pid: int) -> Holdings:
        status = dict(re.findall(r"^(Threads|VmRSS):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return Holdings(descriptors, int(status["Threads"]), len(children(pid)), int(status["VmRSS"]) << 10)


@pytest.mark.parametrize("cycles", [8, pytest.param(200, marks=[pytest.mark.matrix, pytest.mark.timeout(1800)])])
async def test_cycles_leave_nothing_and_nothing_grows(empty_lab, running, tmp_path, cycles):
    text = configuration(empty_lab, tmp_path, *entries(running, "autoconnect = false"), *FORWARDS)
    async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
        await gateway.event("gateway.started")
        fresh = Holdings.of(gateway.pid)
        for number in range(cycles):
            if number == _WARM:
                warm, traces = Holdings.of(gateway.pid), kept(empty_lab)
            if number == cycles // 2:
                half = Holdings.of(gateway.pid)
            await asyncio.gather(*(ask(empty_lab, "connect", name) for name in TUNNELS))
            await connected(gateway, *TUNNELS)
            await asyncio.gather(*(ask(empty_lab, "disconnect", name) for name in TUNNELS))
            for name in TUNNELS:
                await stands(gateway, name, "stopped")
        assert kept(empty_lab) == traces
        after = await _at_rest(gateway, fresh, warm)
        print(fresh, warm, half, after)  # noqa: T201 - the figures; pytest shows them with -rP
        assert after.memory - half.memory < _GROWTH
        assert await gateway.terminate() == 0


async def _at_rest(gateway, fresh, warm):
    """What it holds once it holds little more than at its start, as it has to: what scraped it may take a while."""
    found = fresh

    async def there() -> bool:
        nonlocal found
        found = Holdings.of(gateway.pid)
        return (
            found.descriptors <= fresh.descriptors + _FEW
            and found.threads <= fresh.threads + _FEW
            and found.processes <= warm.processes  # wireguard-go keeps the device
        )

    await eventually(there, within=10.0, what="all is given back", detail=lambda: f"from {fresh} to {found}")
    return found


@pytest.mark.parametrize(
    "kind",
    [Kind.OPENVPN, *(pytest.param(kind, marks=pytest.mark.matrix) for kind in (Kind.IPSEC, Kind.WIREGUARD))],
    ids=str,
)
async def test_a_client_that_dies_whenever_it_starts_is_seen_and_started_ever_more_slowly(
    empty_lab, running, tmp_path, kind
):
    text = configuration(empty_lab, tmp_path, *entries(running, "autoconnect = false"), *FORWARDS)
    with empty_lab.faults.blackhole(kind.site):  # it never connects: what it dies in are attempts
        async with GatewayProcess(empty_lab, tmp_path, text) as gateway:
            await gateway.event("gateway.started")
            began = time.monotonic()
            await ask(empty_lab, "connect", kind.tunnel)
            killed: list[ProcessId] = []
            for _ in range(_DEATHS):
                await _kill_another(gateway, kind, killed)
            assert time.monotonic() - began >= _WAITS

            async def said() -> bool:
                found = await driver(gateway, kind.tunnel)
                return found["attempts"] == _DEATHS and found["retry_in_seconds"] is not None

            await eventually(said, within=10.0, what="all deaths have counted")
            await stands(gateway, kind.tunnel, "reconnecting", reason="client_died")
            attempts = (await gateway.metrics()).value("gateway_tunnel_attempts_total", tunnel=kind.tunnel)
            assert attempts == _DEATHS
            assert await gateway.terminate() == 0


async def _kill_another(gateway, kind, killed) -> None:
    """Kill the tunnel's client as soon as there is one that was not `killed` before."""

    async def there() -> bool:
        for pid in children(gateway.pid, kind.program):
            found = ProcessId.of(pid)
            if found is not None and found not in killed:
                killed.append(found)
                return True
        return False

    await eventually(there, within=10.0, what=f"{kind.program} runs")
    killed[-1].end()
