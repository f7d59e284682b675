"""The controller: one queue, one writer.

Everything that is learnt about tunnels comes here as evidence, in order. Each piece is weighed by `policy.reconcile`;
the controller keeps the state and carries the decision out: what to probe, then the new routing table, so that no new
session takes a fallen tunnel, then the aborts, then what is to be said about it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from gateway.control.recovery import Recovery
from gateway.control.reporting import report
from gateway.model import (
    Cause,
    CloseReason,
    ControlView,
    ForwardSpec,
    ProbePlan,
    RoutingTable,
    TunnelSpec,
)
from gateway.policy.evidence import Connected, Evidence, NothingToShed, TimePassed
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.state import State, initial
from gateway.policy.view import Viewer


class Hands(Protocol):
    """What the controller does to the world. What any of it raises ends `Controller.run`."""

    def probe(self, plans: Mapping[str, ProbePlan]) -> None:
        """Probe by `plans` (by tunnel) from now on."""

    def apply(self, table: RoutingTable) -> None:
        """Make `table` the truth for new sessions."""

    def abort(self, tunnel: str, forwards: frozenset[str], reason: CloseReason) -> int:
        """Reset the sessions of `forwards` on `tunnel`; how many there were."""

    def shed(self, forward: str, tunnel: str, sessions: int) -> int:
        """Reset at most `sessions` sessions of `forward` on `tunnel`; how many there were."""

    def await_connect(self, forward: str, tunnel: str) -> None:
        """Post `Connected` at the next successful dial of `forward` through `tunnel`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a piece of evidence has led to: the decision, and the sessions that were reset, by tunnel."""

    decision: Decision
    aborted: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    evidence: Evidence
    answer: asyncio.Future[Outcome] | None = None


class Controller:
    """Sole writer of tunnel state. Call it from the event loop's thread only."""

    def __init__(
        self,
        forwards: tuple[ForwardSpec, ...],
        tunnels: tuple[TunnelSpec, ...],
        *,
        hands: Hands,
        witness: Callable[[Evidence, Decision], None] = lambda _evidence, _decision: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`witness` sees each piece of evidence with what it has led to, when that has been carried out."""
        self._state = initial(forwards, tunnels)
        self._hands = hands
        self._witness = witness
        self._clock = clock
        self._queue: asyncio.Queue[_Item] = asyncio.Queue()
        self._recovery = Recovery(hands.await_connect)
        self._transitions: Counter[tuple[str, Cause]] = Counter()
        self._failovers: Counter[tuple[str, str, str, str]] = Counter()
        self._failbacks: Counter[tuple[str, str, str]] = Counter()
        self._viewer = Viewer()
        self._view: ControlView | None = None  # of the present state, once somebody has asked
        self._on_connected: list[Callable[[Connected], None]] = []
        self.settled = asyncio.Event()
        """Set once clients are let in: the gateway is serving."""

    def post(self, evidence: Evidence) -> None:
        """Hand in evidence. Returns at once; it is weighed in its turn."""
        self._queue.put_nowait(_Item(evidence=evidence))

    async def tell(self, evidence: Evidence) -> Outcome:
        """Hand in evidence, and wait until it has been acted upon."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Item(evidence=evidence, answer=answer))
        return await answer

    async def run(self) -> None:
        """Weigh evidence until cancelled."""
        while True:
            item = await self._next()
            outcome = self._act_on(item.evidence)
            if item.answer is not None and not item.answer.done():  # who asked may have gone
                item.answer.set_result(outcome)
            if self._state.is_open:
                self.settled.set()

    def view(self) -> ControlView:
        """The present picture. Made once a step: load balancers keep asking."""
        if self._view is None:
            self._view = self._viewer.view(
                self._state,
                self._clock(),
                transitions=self._transitions,
                failovers=self._failovers,
                failbacks=self._failbacks,
                failover_seconds=self._recovery.durations(),
            )
        return self._view

    def state(self) -> State:
        """What is believed now: immutable, replaced at each step."""
        return self._state

    def routing_table(self) -> RoutingTable:
        """What the data plane was told last."""
        return self._state.table

    def on_connected(self, callback: Callable[[Connected], None]) -> Callable[[], None]:
        """Have `callback` called with every first connect after a failover, until the result is called."""
        self._on_connected.append(callback)
        return lambda: self._on_connected.remove(callback)

    async def _next(self) -> _Item:
        """The next piece of evidence, or TimePassed when a moment comes that the state is waiting for."""
        now = self._clock()
        due = next_due(self._state, now)
        if due is None:
            return await self._queue.get()
        try:
            async with asyncio.timeout(max(0.0, due - now)):
                return await self._queue.get()
        except TimeoutError:
            return _Item(evidence=TimePassed())

    def _act_on(self, evidence: Evidence) -> Outcome:
        now = self._clock()
        self._state, decision = step(self._state, evidence, now)
        hands = self._hands
        if decision.plans is not None:
            hands.probe(decision.plans)
        if decision.table is not None:
            hands.apply(decision.table)
        aborted: Counter[str] = Counter()
        for order in decision.aborts:
            aborted[order.tunnel] += hands.abort(order.tunnel, order.forwards, order.reason)
        for batch in decision.sheds:
            if hands.shed(batch.forward, batch.tunnel, batch.sessions) < batch.sessions:
                self.post(NothingToShed(forward=batch.forward, tunnel=batch.tunnel))
        self._count(decision)
        report(decision, aborted)
        self._recovery.failed_over(decision.failovers, now)
        if isinstance(evidence, Connected):
            self._recovery.connected(evidence.forward, evidence.tunnel, evidence.at)
            for callback in tuple(self._on_connected):
                callback(evidence)
        self._view = None
        self._witness(evidence, decision)
        return Outcome(decision=decision, aborted=aborted)

    def _count(self, decision: Decision) -> None:
        self._transitions.update((it.tunnel, it.cause) for it in decision.transitions if it.target is None)
        self._failovers.update((it.forward, it.from_tunnel, it.to_tunnel, it.cause.value) for it in decision.failovers)
        self._failbacks.update((it.forward, it.from_tunnel, it.to_tunnel) for it in decision.returns)
