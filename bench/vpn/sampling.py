"""Takes the samples of a plan: sitting after sitting, each with a fresh server and a fresh gateway."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.children import SampleError
from bench.results import Sample
from bench.vpn.cores import Cores
from bench.vpn.loads import values
from bench.vpn.plan import Question, Sitting
from bench.vpn.sitting import Bench, Tunnel, brought_up, prepared
from tests.lab.errors import LabError

_WARM_UP = 0.2  # seconds before each sample: slow start, pools of upstream sockets
_FAILURES = (SampleError, LabError, subprocess.SubprocessError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How often, and for how many `seconds` of steady load. A round that would end after `minutes` is not begun."""

    rounds: int = 3
    seconds: float = 1.0
    minutes: float = 6.0


def take_all(plan: Sequence[Sitting], settings: Settings, program: Path, cores: Cores) -> Iterator[Sample]:
    """The samples, as they are taken: of whole rounds, as many as there is time for. Raises LabError without a lab."""
    until = time.monotonic() + 60 * settings.minutes
    with TemporaryDirectory(prefix="bench-") as name, prepared(program, cores, Path(name)) as bench:
        longest = 0.0
        for _, sittings in groupby(plan, key=lambda sitting: sitting.round):
            begun = time.monotonic()
            if begun + longest > until:
                return
            for sitting in sittings:
                yield from _take(bench, sitting, settings)
            longest = max(longest, time.monotonic() - begun)


def _take(bench: Bench, sitting: Sitting, settings: Settings) -> Iterator[Sample]:
    """The samples of a sitting. Without a tunnel each of them says why."""
    begun = 0
    try:
        with TemporaryDirectory(prefix="bench-") as name, brought_up(bench, sitting.kind, Path(name)) as tunnel:
            for question in sitting.questions:
                begun += 1
                yield _asked(tunnel, sitting, question, settings)
    except _FAILURES as error:
        for question in sitting.questions[begun:]:
            yield _sample(sitting, question, {}, str(error))


def _asked(tunnel: Tunnel, sitting: Sitting, question: Question, settings: Settings) -> Sample:
    """One sample; what goes wrong is a sample without values that says why."""
    try:
        tunnel.ask(question, _WARM_UP)
        answer, cost = tunnel.metered(question, settings.seconds)
        return _sample(sitting, question, values(question.load, question.way, answer, cost))
    except _FAILURES as error:
        return _sample(sitting, question, {}, str(error))


def _sample(sitting: Sitting, question: Question, found: Mapping[str, float], error: str = "") -> Sample:
    return Sample(
        place=sitting.kind.name,
        measure=question.load.name,
        peer=question.way.value,
        round=sitting.round,
        values={key: float(f"{value:.6g}") for key, value in found.items()},
        error=error.replace("\n", " "),
    )
