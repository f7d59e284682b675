"""Takes the samples of a plan, one after another, each in a fresh place with fresh processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.children import SampleError
from bench.measures import Settings
from bench.places import build
from bench.plan import Step
from bench.results import Sample
from bench.rig import rigged


def take(step: Step, settings: Settings, program: Path) -> Sample:
    """One sample. What goes wrong with the peer is a sample without values that says why."""

    def sample(values: dict[str, float], error: str = "") -> Sample:
        return Sample(
            place=step.place.value,
            measure=step.measure.name,
            peer=step.peer.name,
            round=step.round,
            values={key: float(f"{value:.6g}") for key, value in values.items()},
            error=error,
        )

    try:
        with (
            TemporaryDirectory(prefix="bench-") as directory,
            build(step.place) as place,
            rigged(step.peer, place, step.measure.target, program, Path(directory)) as rig,
        ):
            return sample(step.measure.take(rig, settings))
    except (SampleError, subprocess.CalledProcessError) as error:
        return sample({}, str(error))


def take_all(steps: Iterable[Step], settings: Settings, program: Path) -> Iterator[Sample]:
    """The samples of the steps, as they are taken."""
    for step in steps:
        yield take(step, settings, program)
