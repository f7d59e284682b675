"""Every fault of the lab against a gateway with default settings: when it knows, what it ends, what it leaves alone.

`make test` has a short form, one round of the faults that differ most. `make matrix` has them all, several rounds
each, and keeps what was seen where `GATEWAY_MATRIX_OUTPUT` says; `GATEWAY_SOAK_SECONDS` shortens the ten minutes of
full load.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.e2e.failover import at, forward, page, sealed_gateway, zone
from tests.e2e.matrix.cases import CASES, Sort
from tests.e2e.matrix.play import play
from tests.e2e.matrix.results import complaints, save
from tests.e2e.matrix.stage import pair
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_ROUNDS = 3  # of each fault
_SOAK = "healthy"
_SITES = (Site.A, Site.B)


async def _played(lab, directory, case, *, lasts=None):
    async with pair(lab, directory, case) as stage:
        seen = await play(stage, case, lasts=lasts)
    return seen[zone(Site.B)]


@pytest.mark.parametrize(
    ("name", "lasts"),
    [("client-killed", 0.5), ("blackhole", 0.5), ("target-dead", 0.5), ("loss", 3.0)],
)
async def test_in_short(lab, tmp_path, name, lasts):
    case = CASES[name]
    seen = await _played(lab, tmp_path, case, lasts=lasts)
    print(seen)  # noqa: T201 - the figures; pytest shows them with -rP
    assert complaints(case, seen) == []


@pytest.mark.matrix
@pytest.mark.parametrize("site", _SITES)
async def test_silence_is_noticed_where_nobody_talks(lab, tmp_path, site):
    """Probes alone find it, on the active tunnel and on the standby."""
    async with sealed_gateway(lab, tmp_path, forward("hello", 33000), tunnel="") as gateway:
        for tunnel in map(zone, _SITES):
            await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=tunnel)
        began = time.time()
        with lab.faults.blackhole(site):
            fell = await gateway.event("tunnel.transition", tunnel=zone(site), old="up", new="down")
            assert at(fell) - began <= Sort.SILENT.goal
            (other,) = set(_SITES) - {site}
            assert await page(lab, 33000) == lab.vpn(other).address
        await gateway.event("tunnel.transition", tunnel=zone(site), old="down", new="up")
        assert (await gateway.metrics()).value("gateway_failovers_total") == (site is Site.A)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(1, 1 + _ROUNDS), ids=str)
@pytest.mark.parametrize("name", [name for name in CASES if name != _SOAK])
async def test_all(lab, tmp_path, name, number):
    case = CASES[name]
    seen = await _played(lab, tmp_path, case)
    save(case, number, seen)
    assert complaints(case, seen) == []


@pytest.mark.matrix
@pytest.mark.timeout(1800)
async def test_nothing_happens_under_healthy_full_load(lab, tmp_path):
    case = CASES[_SOAK]
    seen = await _played(lab, tmp_path, case, lasts=float(os.environ.get("GATEWAY_SOAK_SECONDS", case.lasts)))
    save(case, 1, seen)
    assert complaints(case, seen) == []
