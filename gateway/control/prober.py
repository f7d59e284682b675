"""The prober: keeps probes of all tunnels going, each by its plan, from one change of the plans to the next.

What comes of them is evidence and no more; who is DOWN is decided elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.control.probes.answer import Ask
from gateway.control.probes.asking import ask
from gateway.control.tally import ProberStats, Tally
from gateway.control.tunnel_probes import Introductions, TunnelProbes
from gateway.model import Endpoint, Path, ProbePlan
from gateway.observe.throttle import Throttle
from gateway.policy.evidence import Evidence

__all__ = ["Prober", "ProberStats"]

_PREVENTED_EVERY: Final = 60.0  # seconds between log lines about probes that could not be sent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    plan: ProbePlan
    probes: TunnelProbes
    task: asyncio.Task[None]


class Prober:
    """Posts evidence about tunnels by probing them. Call it from the event loop's thread only."""

    def __init__(
        self,
        *,
        post: Callable[[Evidence], None],
        look: Callable[[str], None] = lambda _tunnel: None,
        dialled: Callable[[str, Endpoint], float | None] = lambda _tunnel, _target: None,
        note_expiry: Callable[[str, str, float], None] = lambda _tunnel, _label, _expiry: None,
        ask: Ask = ask,
    ) -> None:
        """What the prober is introduced to; none of it may block.

        `post` takes evidence. `look(tunnel)` posts the signs of life of the tunnel's traffic, before a failure is
        posted. `dialled(tunnel, target)` is when last a dial of `target` worked: that stands for a probe of it.
        `note_expiry(tunnel, label, unix_time)` hears of each certificate that is shown. `ask` asks one probe.
        """
        self._tally = Tally()
        self._know = Introductions(
            post=post,
            look=look,
            dialled=dialled,
            note_expiry=note_expiry,
            ask=ask,
            tally=self._tally,
            prevented=Throttle(_PREVENTED_EVERY),
        )
        self._plans: Mapping[str, ProbePlan] = {}
        self._running: dict[str, _Running] = {}
        self._group: asyncio.TaskGroup | None = None  # while `run` does

    def watch(self, plans: Mapping[str, ProbePlan]) -> None:
        """Probe by `plans`, by tunnel, from now on. Before `run` or at any time.

        What does not change is not disturbed. A tunnel whose path is another one starts over at once; without a path,
        nothing more is posted about it.
        """
        self._plans = plans
        if self._group is not None:
            self._reconcile(self._group)

    def suspect(self, tunnel: str, target: Endpoint, since: float) -> None:
        """A dial to `target` or a session with it looks bad since `since`: it is asked at once, and fast."""
        running = self._running.get(tunnel)
        if running is not None:
            running.probes.suspect(target, since)

    def stats(self) -> ProberStats:
        """An immutable copy of what was counted since the start."""
        return self._tally.stats()

    async def run(self) -> None:
        """Probe until cancelled. What `post` and the others raise ends it."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._reconcile(group)
                await asyncio.Event().wait()  # the plans come by themselves
        finally:
            self._group = None
            self._running.clear()

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        for tunnel, running in list(self._running.items()):
            plan = self._plans.get(tunnel)
            if plan is None or _identity(plan) != _identity(running.plan):
                running.probes.stop()
                running.task.cancel()
                del self._running[tunnel]
        for tunnel, plan in self._plans.items():
            if plan.path is None:
                continue
            known = self._running.get(tunnel)
            if known is None:
                self._start(group, tunnel, plan, plan.path)
            elif known.plan != plan:
                known.probes.follow(plan, plan.path)
                self._running[tunnel] = _Running(plan=plan, probes=known.probes, task=known.task)

    def _start(self, group: asyncio.TaskGroup, tunnel: str, plan: ProbePlan, path: Path) -> None:
        probes = TunnelProbes(tunnel, plan, path, self._know)
        task = group.create_task(probes.run(), name=f"probes of {tunnel}")
        self._running[tunnel] = _Running(plan=plan, probes=probes, task=task)


def _identity(plan: ProbePlan) -> object:
    """What makes probes start over: another device or address, or other settings. A path's weight and MSS do not."""
    path = plan.path
    return path and (path.interface, path.ifindex, path.source_address, plan.settings)
