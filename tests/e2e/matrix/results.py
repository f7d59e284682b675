"""What was seen of one fault, what is wrong with it, and the file it is kept in. Pure but for that file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.e2e.failover import zone
from tests.e2e.matrix.cases import Case, Sort
from tests.lab.topology import Site

OUTPUT = "GATEWAY_MATRIX_OUTPUT"
"""The environment variable that names the directory for results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """So many sessions were held, and so many of them ended."""

    held: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One time that a fault was injected. Durations are seconds, None for what did not come.

    `tunnel`: the one that it was done to. `decided`: from the fault to the log's line that the tunnel is DOWN, or that
    new sessions leave it. `moved`: to the first page that the company answered to the standby's address. `cause`: the
    log's word for why. `forwards`: those that left for the standby. `transitions`: by tunnel, from the fault to the end
    of the round, "old new cause" each. `back`: from the fault's end to the tunnel being UP, or the target active on it,
    again; from the fault where the gateway did not wait for its end. `returned`: whether new sessions went back to it,
    None where that was not waited for.
    `active`, `standby`: the sessions on either tunnel. `reset`, `failed`, `slowest`: of the client's loop. `rate`:
    Mbit/s through the tunnel, while it was watched.
    """

    tunnel: str = zone(Site.A)
    decided: float | None = None
    moved: float | None = None
    cause: str = ""
    forwards: Sequence[str] = ()
    transitions: Mapping[str, Sequence[str]]
    back: float | None = None
    returned: bool | None = None
    active: Count
    standby: Count
    readings: int
    reset: int
    failed: int
    slowest: float
    watched: float
    rate: float


def false_transitions(case: Case, seen: Round) -> int:
    """How many transitions there were beyond the fall and the recovery of a tunnel that had to fall."""
    owed = {seen.tunnel: 2 if case.sort.falls else 0}
    return sum(max(0, len(made) - owed.get(tunnel, 0)) for tunnel, made in seen.transitions.items())


def complaints(case: Case, seen: Round, *, slack: float = 1.0) -> list[str]:
    """What the gateway owed and did not give, in words; empty when all is well.

    It may take `slack` times as long as is its goal: on a machine that does much else meanwhile.
    """
    found = []
    if false_transitions(case, seen):
        found.append(f"false transitions: {seen.transitions}")
    if seen.standby.lost:
        found.append(f"{seen.standby.lost} of {seen.standby.held} sessions lost on the standby")
    if not case.sort.falls and seen.active.lost:
        found.append(f"{seen.active.lost} of {seen.active.held} sessions lost on a tunnel that works")
    if case.sort.falls and seen.active.lost < seen.active.held:
        found.append(f"only {seen.active.lost} of {seen.active.held} sessions ended on the fallen tunnel")
    if case.sort is Sort.TARGET and set(seen.forwards) != {"hello"}:
        found.append(f"forwards that left the tunnel: {seen.forwards}, and only one had reason to")
    if case.sort is Sort.HARMLESS and seen.forwards:
        found.append(f"forwards that left a tunnel that works: {seen.forwards}")
    if seen.rate < case.busy:
        found.append(f"the tunnel was to be busy with {case.busy} Mbit/s, and carried {seen.rate:.1f}")
    if case.sort.moves:
        assert case.sort.goal is not None
        goal = case.sort.goal * slack
        for what, seconds in (("decided", seen.decided), ("moved", seen.moved)):
            if seconds is None or seconds > goal:
                found.append(f"{what} after {seconds} s instead of {goal} s")
        if seen.back is None:
            found.append("did not come back")
        if seen.returned is False:
            found.append("new sessions did not go back to it")
        if seen.failed and case.sort.falls:
            found.append(f"{seen.failed} readings saw worse than RST")
    return found


def save(case: Case, number: int, seen: Round, *, place: str = "") -> None:
    """Write what was seen in round `number` where `OUTPUT` says, in `place` below it; nothing without it."""
    if directory := os.environ.get(OUTPUT):
        path = Path(directory, place)
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{case.name}.{number}.json").write_text(json.dumps(asdict(seen), indent=1) + "\n")


def load(directory: Path, case: Case) -> list[Round]:
    """All rounds of the case that were saved there."""
    return [_round(json.loads(path.read_text())) for path in sorted(directory.glob(f"{case.name}.*.json"))]


def _round(saved: dict[str, Any]) -> Round:
    return Round(**{**saved, "active": Count(**saved["active"]), "standby": Count(**saved["standby"])})
