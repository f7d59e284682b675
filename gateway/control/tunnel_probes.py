"""The probes of one tunnel while it keeps its path: asked when the cadence says so, and what came of them handed on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isfinite
from time import monotonic
from typing import Final

import structlog

from gateway.control.probes.answer import Answer, Ask
from gateway.control.tally import Tally
from gateway.model import Aim, Doubt, Endpoint, Path, ProbeKind, ProbeOutcome, ProbePlan
from gateway.observe.events import Event
from gateway.observe.throttle import Throttle
from gateway.policy.cadence import Cadence
from gateway.policy.evidence import Doubted, Evidence, Heard, Probed

log = structlog.get_logger()

_LATE: Final = 0.05  # seconds by which the loop may be late before that excuses what is not answered
_TICK: Final = 0.0005  # a timer of whole milliseconds is not to wake us before the moment
_TURNS: Final = 3  # of the loop: an answer that is in the kernel is polled, told to its probe, and taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Introductions:
    """Whom the probes of all tunnels know; `Prober` says what each is for."""

    post: Callable[[Evidence], None]
    look: Callable[[str], None]
    dialled: Callable[[str, Endpoint], float | None]
    note_expiry: Callable[[str, str, float], None]
    ask: Ask
    tally: Tally
    prevented: Throttle


class TunnelProbes:
    """Probes one tunnel by its plan, whose `path` is there. `follow` and `stop` are for its owner."""

    def __init__(self, tunnel: str, plan: ProbePlan, path: Path, know: Introductions) -> None:
        self._tunnel = tunnel
        self._plan: ProbePlan | None = None
        self._path = path
        self._settings = plan.settings
        self._know = know
        self._cadence = Cadence(plan.settings)
        self._aims: dict[str, Aim] = {}
        self._labels: dict[Endpoint, str] = {}  # whom to ask about a target
        self._leading: dict[str, int] = {}  # by label, the position of the address that answered last
        self._woken = asyncio.Event()
        self._sleeps_until = -inf
        self.follow(plan, path)

    def follow(self, plan: ProbePlan, path: Path) -> None:
        """Probe by `plan` from now on; what it has in common with the last one goes on as it is."""
        before, self._plan, self._path = self._plan, plan, path
        if before is not None and (before.aims, before.targets) == (plan.aims, plan.targets):
            return  # a path may get another weight or segment size
        aims = {aim.spec.label: aim for aim in plan.aims if aim.addresses}
        targets = {aim.spec.label: aim for aim in plan.targets if aim.addresses}
        self._aims = targets | aims
        self._labels = {}
        for label, aim in (*aims.items(), *targets.items()):
            if aim.spec.endpoint is not None:
                self._labels.setdefault(aim.spec.endpoint, label)
        self._leading = {label: index for label, index in self._leading.items() if label in self._aims}
        self._cadence.plan(tuple(aims), tuple(targets), monotonic())
        self._woken.set()

    def stop(self) -> None:
        """Hand nothing on any more, whatever still comes in until `run` is cancelled."""
        self._aims = {}

    def suspect(self, target: Endpoint, since: float) -> None:
        """Traffic to `target` looks bad since `since`."""
        label = self._labels.get(target)
        if label is not None:
            self._cadence.suspect(label, since, monotonic())
            self._wake_if_sooner()

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as probes:
            while True:
                await self._rest()
                turn = self._cadence.turn(monotonic(), self._dialled)
                for label, since in turn.doubted:
                    self._doubt(label, since)
                for label, at in turn.heard:
                    target = self._aims[label].spec.endpoint
                    self._know.post(Heard(tunnel=self._tunnel, target=target, at=at))
                for label, number in turn.ask:
                    probes.create_task(self._probe(self._aims[label], number), name=f"probe {self._tunnel} {label}")

    # ------------------------------------------------------------ when

    async def _rest(self) -> None:
        """Return when something is due, and answers that are here have been taken."""
        self._woken.clear()
        due = self._sleeps_until = self._cadence.next_due()
        rest = due - monotonic()
        if rest > 0:
            await self._woken_within(rest + _TICK)
            now = monotonic()
            if isfinite(due) and now - due > _LATE:
                self._cadence.excuse(now, now - due)
        if self._cadence.is_doubtful(monotonic()):
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    async def _woken_within(self, seconds: float) -> bool:
        """Whether somebody wakes us before `seconds` are over."""
        try:
            async with asyncio.timeout(seconds if isfinite(seconds) else None):
                return await self._woken.wait()
        except TimeoutError:
            return False

    def _wake_if_sooner(self) -> None:
        if self._cadence.next_due() < self._sleeps_until:
            self._woken.set()

    def _dialled(self, label: str) -> float:
        """When last a dial answered what the probe called `label` asks. A dial asks for a handshake, and no more."""
        spec = self._aims[label].spec
        if spec.kind is not ProbeKind.TCP or spec.endpoint is None:
            return -inf
        at = self._know.dialled(self._tunnel, spec.endpoint)
        return -inf if at is None else at

    # ------------------------------------------------------------ what

    async def _probe(self, aim: Aim, number: int) -> None:
        label, position = aim.spec.label, 0
        if len(aim.addresses) > 1:  # while one does not answer, the next is asked: a session would go on to it, too
            tried = max(0, self._cadence.unanswered(label) - 1)
            position = (self._leading.get(label, 0) + tried) % len(aim.addresses)
            aim = replace(aim, addresses=(*aim.addresses[position:], *aim.addresses[:position]))
        answer = await self._know.ask(aim, self._path, self._settings.timeout)
        if label in self._aims:
            self._take(label, number, position, answer)
            self._wake_if_sooner()

    def _take(self, label: str, number: int, position: int, answer: Answer) -> None:
        """Hand on what came of a probe."""
        self._know.tally.add(self._tunnel, label, answer)
        since = None
        match answer.outcome:
            case ProbeOutcome.PASSED | ProbeOutcome.ANSWERED:
                self._leading[label] = position
                self._cadence.answered(label, number, answer.sent_at, answer.at)
            case ProbeOutcome.FAILED:
                self._leading[label] = position + 1
                since = self._cadence.failed(label, number, monotonic())
                self._know.look(self._tunnel)  # what traffic has heard meanwhile comes before the failure
            case ProbeOutcome.LOCAL:
                self._cadence.withdrawn(label, number)
                self._say_prevented(label, answer.detail)
        if since is not None:
            self._doubt(label, since)
        if answer.expiry_at_unix is not None:
            self._know.note_expiry(self._tunnel, label, answer.expiry_at_unix)
        self._know.post(
            Probed(
                tunnel=self._tunnel,
                label=label,
                target=self._aims[label].spec.endpoint,
                outcome=answer.outcome,
                sent_at=answer.sent_at,
                at=answer.at,
                rtt=answer.rtt,
            )
        )

    def _doubt(self, label: str, since: float) -> None:
        target = self._aims[label].spec.endpoint
        self._know.post(Doubted(tunnel=self._tunnel, doubt=Doubt.UNANSWERED, since=since, target=target))

    def _say_prevented(self, label: str, error: str) -> None:
        count = self._know.prevented.passes((self._tunnel, error), monotonic())
        if count is not None:
            log.warning(Event.PROBE_PREVENTED, tunnel=self._tunnel, probe=label, error=error, count=count)
