"""Every fault of the matrix on tunnels that the gateway brings up itself, of each kind beside each other kind.

`make test` has a short form. `make matrix` has every fault on every kind, with both other kinds as standby, and keeps
what was seen where `GATEWAY_MATRIX_OUTPUT` says. Whatever befell a tunnel, it is to come back by itself once the fault
has ended, and new sessions are to go back to it.
"""

from __future__ import annotations

import pytest

from tests.e2e.kinds import Kind, servers
from tests.e2e.matrix.cases import CASES
from tests.e2e.matrix.kinds import kinds, place
from tests.e2e.matrix.play import play
from tests.e2e.matrix.results import complaints, save

pytestmark = pytest.mark.lab

_LONG = 20.0  # seconds for which a bad tunnel is watched: the longer ones are with tunnels of the lab
_BUSY = 5.0  # times as long: milliseconds are for a machine that does nothing else
_SOAK = "healthy"


@pytest.fixture(scope="module")
def running(shared_empty_lab):
    with servers(shared_empty_lab) as running:
        yield running


async def _complaints(lab, directory, case, active, running, *, lasts, number=None, slack=1.0):
    """What was wrong, by standby; the figures are saved as those of round `number`, if given."""
    async with kinds(lab, directory, case, active, running) as stage:
        seen = await play(stage, case, lasts=lasts)
    by_standby = {kind: seen[kind.tunnel] for kind in Kind if kind is not active}
    for standby, each in by_standby.items():
        print(f"{active} to {standby}: {each}")  # noqa: T201 - the figures; pytest shows them with -rP
        if number is not None:
            save(case, number, each, place=place(active, standby))
    return {
        str(standby): found for standby, each in by_standby.items() if (found := complaints(case, each, slack=slack))
    }


@pytest.mark.parametrize(
    ("name", "active", "slack"),
    [("blackhole", Kind.IPSEC, 1.0), ("client-killed", Kind.WIREGUARD, _BUSY)],
    ids=str,
)
async def test_in_short(empty_lab, running, tmp_path, name, active, slack):
    assert await _complaints(empty_lab, tmp_path, CASES[name], active, running, lasts=0.5, slack=slack) == {}


@pytest.mark.matrix
@pytest.mark.timeout(300)
@pytest.mark.parametrize("active", Kind, ids=str)
@pytest.mark.parametrize("name", [name for name in CASES if name != _SOAK])
async def test_all(empty_lab, running, tmp_path, name, active):
    case = CASES[name]
    found = await _complaints(empty_lab, tmp_path, case, active, running, lasts=min(case.lasts, _LONG), number=1)
    assert found == {}
