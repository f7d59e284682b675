"""Every fault of the lab against a gateway with default settings: when it knows, what it ends, what it leaves alone.

`make test` has a short form, one round of the faults that differ most. `make matrix` has them all, several rounds
each, and keeps what was seen where `GATEWAY_MATRIX_OUTPUT` says; `GATEWAY_SOAK_SECONDS` shortens the ten minutes of
full load.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.e2e.matrix.cases import CASES
from tests.e2e.matrix.play import play
from tests.e2e.matrix.results import complaints, save

pytestmark = pytest.mark.lab

_ROUNDS = 3
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
@pytest.mark.parametrize("name", CASES)
async def test_all(lab, tmp_path, name):
    case = CASES[name]
    if name == _SOAK:
        case = replace(case, lasts=float(os.environ.get("GATEWAY_SOAK_SECONDS", case.lasts)))
    rounds = []
    for _ in range(1 if name == _SOAK else _ROUNDS):
        rounds.append(await play(lab, tmp_path, case))
        lab.heal()
    save(case, rounds)
    for seen in rounds:
        print(seen)  # noqa: T201
    assert [complaints(case, seen) for seen in rounds] == [[] for _ in rounds]
