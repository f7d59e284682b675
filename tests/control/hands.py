"""Hands that remember what they were told, in order, and wake whoever waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from gateway.model import CloseReason, ProbePlan, RoutingTable

Done = RoutingTable | tuple[str, frozenset[str]]


class RecordingHands:
    """`sessions` is how many each abort finds, `sheddable` how many there are to shed."""

    def __init__(self, *, sessions: int = 3, sheddable: int = 0) -> None:
        self.done: list[Done] = []
        self.plans: list[Mapping[str, ProbePlan]] = []
        self.reasons: list[CloseReason] = []
        self.shed_orders: list[tuple[str, str, int]] = []
        self.awaited: list[tuple[str, str]] = []
        self.something_done = asyncio.Event()
        self._sessions = sessions
        self._sheddable = sheddable

    @property
    def tables(self) -> list[RoutingTable]:
        return [it for it in self.done if isinstance(it, RoutingTable)]

    @property
    def aborts(self) -> list[tuple[str, frozenset[str]]]:
        return [it for it in self.done if isinstance(it, tuple)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to be done that makes `condition` true; the caller has the deadline."""
        while not condition():
            self.something_done.clear()
            await self.something_done.wait()

    def probe(self, plans: Mapping[str, ProbePlan]) -> None:
        self.plans.append(plans)

    def apply(self, table: RoutingTable) -> None:
        self.done.append(table)
        self.something_done.set()

    def abort(self, tunnel: str, forwards: frozenset[str], reason: CloseReason) -> int:
        self.done.append((tunnel, forwards))
        self.reasons.append(reason)
        self.something_done.set()
        return self._sessions

    def shed(self, forward: str, tunnel: str, sessions: int) -> int:
        self.shed_orders.append((forward, tunnel, sessions))
        gone = min(sessions, self._sheddable)
        self._sheddable -= gone
        self.something_done.set()
        return gone

    def await_connect(self, forward: str, tunnel: str) -> None:
        self.awaited.append((forward, tunnel))
        self.something_done.set()
