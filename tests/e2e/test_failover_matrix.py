"""Every fault of the lab against a gateway with default settings: when it knows, what it ends, what it leaves alone.

`make test` has a short form, one round of the faults that differ most. `make matrix` has them all, several rounds
each, and keeps what was seen where `GATEWAY_MATRIX_OUTPUT` says; `GATEWAY_SOAK_SECONDS` shortens the ten minutes of
full load.
"""

from __future__ import annotations

import os

import pytest

from tests.e2e.matrix.cases import CASES
from tests.e2e.matrix.play import play
from tests.e2e.matrix.results import complaints, save

pytestmark = pytest.mark.lab

_ROUNDS = 3  # of each fault
_SOAK = "healthy"


@pytest.mark.parametrize(
    ("name", "lasts"),
    [("client-killed", 1.0), ("carrier", 1.0), ("blackhole", 1.0), ("target-dead", 1.0), ("loss", 5.0)],
)
async def test_in_short(lab, tmp_path, name, lasts):
    case = CASES[name]
    seen = await play(lab, tmp_path, case, lasts=lasts)
    print(seen)  # noqa: T201 - the figures; pytest shows them with -rP
    assert complaints(case, seen) == []


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("number", range(1, 1 + _ROUNDS), ids=str)
@pytest.mark.parametrize("name", [name for name in CASES if name != _SOAK])
async def test_all(lab, tmp_path, name, number):
    case = CASES[name]
    seen = await play(lab, tmp_path, case)
    save(case, number, seen)
    assert complaints(case, seen) == []


@pytest.mark.matrix
@pytest.mark.timeout(1800)
async def test_nothing_happens_under_healthy_full_load(lab, tmp_path):
    case = CASES[_SOAK]
    seen = await play(lab, tmp_path, case, lasts=float(os.environ.get("GATEWAY_SOAK_SECONDS", case.lasts)))
    save(case, 1, seen)
    assert complaints(case, seen) == []
