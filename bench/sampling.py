"""Takes the samples of a plan, one after another, each in a fresh place with fresh processes.

A machine that others use as well disturbs them: the load shares its core, the proxy its caches. With patience, a
sample waits for a quiet machine, and is taken again when somebody came in between.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.accounting import machine_seconds
from bench.children import SampleError
from bench.measures import Settings
from bench.places import build
from bench.plan import Step
from bench.results import Sample
from bench.rig import rigged

QUIET_SHARE = 0.1  # of one core, by others


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


def _wait_until_quiet(until: float, window: float = 0.5) -> None:
    """Returns when the machine did nearly nothing for a `window` of seconds, or at the monotonic time `until`."""
    while time.monotonic() < until:
        before = machine_seconds()
        time.sleep(window)
        if machine_seconds() - before < QUIET_SHARE * window:
            return


def take_undisturbed(step: Step, settings: Settings, program: Path, patience: float) -> Sample:
    """A sample taken while the machine was quiet; after `patience` seconds, whatever can be had."""
    until = time.monotonic() + patience
    while True:
        _wait_until_quiet(until)
        sample = take(step, settings, program)
        if sample.values.get("foreign_share", 0.0) <= QUIET_SHARE or time.monotonic() >= until:
            return sample


def take_all(steps: Iterable[Step], settings: Settings, program: Path, patience: float) -> Iterator[Sample]:
    """The samples of the steps, as they are taken."""
    for step in steps:
        yield take_undisturbed(step, settings, program, patience)
