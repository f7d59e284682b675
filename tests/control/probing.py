"""A prober that runs while a test looks at what it posted, and a network of which the test decides what answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar

from gateway.control.prober import Prober
from gateway.control.probes.answer import Answer
from gateway.model import Aim, HealthSettings, Path, ProbeOutcome, ProbePlan
from gateway.policy.evidence import Evidence, Probed
from tests.control.watching import DEADLINE

_E = TypeVar("_E")

QUICK = HealthSettings(interval=0.04, timeout=0.06, suspect_after=0.02, fast_interval=0.01, down_after=0.1)


class Posted:
    """The evidence so far, in order. Other things that happen may be noted among it."""

    def __init__(self) -> None:
        self.all: list[object] = []
        self._news = asyncio.Event()

    def __call__(self, what: object) -> None:
        self.all.append(what)
        self._news.set()

    def of(self, kind: type[_E]) -> list[_E]:
        return [it for it in self.all if isinstance(it, kind)]

    def probed(self, label: str, outcome: ProbeOutcome | None = None) -> list[Probed]:
        return [it for it in self.of(Probed) if it.label == label and outcome in {None, it.outcome}]

    async def until(self, condition: Callable[[], object], *, within: float = DEADLINE) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Network:
    """Answers what `answers` says to, at once, and notes what was asked; anything else waits for its deadline."""

    def __init__(self, answers: Callable[[Aim, Path], ProbeOutcome | None] = lambda *_: ProbeOutcome.PASSED) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Path]] = []
        self.waiting = 0

    async def __call__(self, aim: Aim, path: Path, seconds: float) -> Answer:
        sent_at = monotonic()
        self.asked.append((aim.spec.label, aim.addresses[0], path))
        outcome = self.answers(aim, path)
        if outcome is None:
            self.waiting += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self.waiting -= 1
            outcome = ProbeOutcome.FAILED
        return Answer(outcome=outcome, sent_at=sent_at, at=monotonic(), detail=outcome.value)

    def labels(self) -> list[str]:
        return [label for label, _, _ in self.asked]


def plan(path: Path | None, *aims: Aim, targets: tuple[Aim, ...] = (), settings: HealthSettings = QUICK) -> ProbePlan:
    return ProbePlan(path=path, settings=settings, aims=aims, targets=targets)


@asynccontextmanager
async def running(prober: Prober) -> AsyncIterator[None]:
    """Run `prober` for the body."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(prober.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()


def ignore(_evidence: Evidence) -> None:
    """For tests that look elsewhere."""
