"""The controller: one queue, one writer.

Everything that is learnt about tunnels comes here as evidence, in order. Each piece is weighed by `policy.reconcile`;
the controller keeps the state and carries the decision out: first the new routing table, so that no new session takes a
fallen tunnel, then the aborts, then what is to be said about it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby
from time import monotonic
from typing import Final

import structlog

from gateway.model import Cause, ControlView, Failover, ForwardSpec, Health, RoutingTable, Transition, TunnelSpec
from gateway.policy.evidence import Evidence, TimePassed
from gateway.policy.reconcile import Decision, next_due, step
from gateway.policy.state import initial
from gateway.policy.view import view

log = structlog.get_logger()

_NAMED: Final = 5  # forwards named in one log line; the others are counted


class Controller:
    """Sole writer of tunnel state. Call it from the event loop's thread only."""

    def __init__(
        self,
        forwards: tuple[ForwardSpec, ...],
        tunnels: tuple[TunnelSpec, ...],
        *,
        apply: Callable[[RoutingTable], None],
        abort: Callable[[str, frozenset[str]], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`apply` and `abort(tunnel, forwards)` are the data plane's; what they raise ends `run`."""
        self._state = initial(forwards, tunnels)
        self._apply = apply
        self._abort = abort
        self._clock = clock
        self._queue: asyncio.Queue[Evidence] = asyncio.Queue()
        self._transitions: Counter[tuple[str, Cause]] = Counter()
        self._failovers: Counter[tuple[str, str, str, str]] = Counter()
        self._view: ControlView | None = None  # of the present state, once somebody has asked
        self.settled = asyncio.Event()
        """Set once the first picture of the kernel has been acted upon: the gateway is serving."""

    def post(self, evidence: Evidence) -> None:
        """Hand in evidence. Returns at once; it is weighed in its turn."""
        self._queue.put_nowait(evidence)

    async def run(self) -> None:
        """Weigh evidence until cancelled."""
        while True:
            self._act_on(await self._next())
            if self._state.kernel is not None:
                self.settled.set()

    def view(self) -> ControlView:
        """The present picture. Made once a step: with ten thousand forwards it takes 40 ms, and probes keep asking."""
        if self._view is None:
            self._view = view(self._state, self._clock(), transitions=self._transitions, failovers=self._failovers)
        return self._view

    def routing_table(self) -> RoutingTable:
        """What the data plane was told last."""
        return self._state.table

    async def _next(self) -> Evidence:
        """The next piece of evidence, or TimePassed when a moment comes that the state is waiting for."""
        due = next_due(self._state)
        if due is None:
            return await self._queue.get()
        try:
            async with asyncio.timeout(max(0.0, due - self._clock())):
                return await self._queue.get()
        except TimeoutError:
            return TimePassed()

    def _act_on(self, evidence: Evidence) -> None:
        self._state, decision = step(self._state, evidence, self._clock())
        if decision.table is not None:
            self._apply(decision.table)
        aborted = Counter({order.tunnel: self._abort(order.tunnel, order.forwards) for order in decision.aborts})
        self._report(decision, aborted)
        self._view = None

    def _report(self, decision: Decision, aborted: Counter[str]) -> None:
        for transition in decision.transitions:
            self._transitions[transition.tunnel, transition.cause] += 1
            _log_transition(transition, aborted.pop(transition.tunnel, 0))
        for tunnel, sessions in (+aborted).items():  # +: only those that there were
            log.warning("sessions.aborted", tunnel=tunnel, sessions=sessions)
        for failover in decision.failovers:
            key = (failover.forward, failover.from_tunnel, failover.to_tunnel, failover.cause.value)
            self._failovers[key] += 1
        _log_failovers(decision.failovers)


def _log_transition(transition: Transition, aborted: int) -> None:
    write = log.warning if transition.new is Health.DOWN else log.info
    write(
        "tunnel.transition",
        tunnel=transition.tunnel,
        old=transition.old.value,
        new=transition.new.value,
        cause=transition.cause.value,
        sessions_aborted=aborted,
    )


def _log_failovers(failovers: Iterable[Failover]) -> None:
    """One line for all forwards that made the same move: there may be ten thousand."""

    def move(failover: Failover) -> tuple[str, str, str]:
        return failover.from_tunnel, failover.to_tunnel, failover.cause.value

    for (old, new, cause), group in groupby(sorted(failovers, key=move), key=move):
        names = [failover.forward for failover in group]
        log.warning(
            "forward.failover",
            from_tunnel=old,
            to_tunnel=new,
            cause=cause,
            forwards=len(names),
            names=names[:_NAMED],
        )
