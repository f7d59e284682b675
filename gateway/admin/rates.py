"""How fast things go: bytes and connections a second by tunnel and forward, over the last ten seconds.

The data plane counts totals only. A sample a second is compared with the one before, and of the difference only what
is not zero is kept: ten thousand idle forwards cost their look, and no memory.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.admin.stats import StatsView
from gateway.model import ConnectResult

_WINDOW: Final = 10.0  # seconds
_EVERY: Final = 1.0  # seconds
_AT_LEAST_EVERY: Final = 5.0  # seconds: two samples in the window, whatever they cost
_SHARE: Final = 100  # a sample may take this part of the time: with very many forwards they come less often

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Bytes a second, both ways, and connections a second: of a forward the clients, of a tunnel the dials."""

    to_target: float = 0.0
    to_client: float = 0.0
    connections: float = 0.0


_NOTHING: Final = Rate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All rates over the last `seconds`; 0: nothing was measured yet. What has no entry stood still."""

    seconds: float = 0.0
    tunnels: Mapping[str, Rate] = field(default_factory=dict)
    forwards: Mapping[str, Rate] = field(default_factory=dict)

    def of_tunnel(self, name: str) -> Rate | None:
        """The rate of a tunnel; None before anything was measured."""
        return self.tunnels.get(name, _NOTHING) if self.seconds else None

    def of_forward(self, name: str) -> Rate | None:
        """The rate of a forward; None before anything was measured."""
        return self.forwards.get(name, _NOTHING) if self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Totals:
    """What is compared of a sample. The mappings are the data plane's own copies, never changed."""

    at: float
    to_target: Mapping[tuple[str, str], int]
    to_client: Mapping[tuple[str, str], int]
    clients: Mapping[tuple[str, ConnectResult], int]
    dials: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What was added from one sample to the next, at `at`."""

    at: float
    seconds: float
    to_target: Mapping[tuple[str, str], int]
    to_client: Mapping[tuple[str, str], int]
    clients: Mapping[tuple[str, ConnectResult], int]
    dials: Mapping[str, int]


class RateWindow:
    """The steps of the last ten seconds. No clock of its own: `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._last: _Totals | None = None
        self._steps: deque[_Step] = deque()

    def add(self, stats: StatsView, now: float) -> None:
        """Take a sample; the first one is only what the next is compared with."""
        totals = _Totals(
            at=now,
            to_target=stats.to_target,
            to_client=stats.to_client,
            clients=stats.connections,
            dials={tunnel: sum(seen.counts) for tunnel, seen in stats.connect_seconds.items()},
        )
        last, self._last = self._last, totals
        if last is None or now <= last.at:
            return
        self._steps.append(
            _Step(
                at=now,
                seconds=now - last.at,
                to_target=_added(totals.to_target, last.to_target),
                to_client=_added(totals.to_client, last.to_client),
                clients=_added(totals.clients, last.clients),
                dials=_added(totals.dials, last.dials),
            )
        )
        while self._steps[0].at <= now - _WINDOW:
            self._steps.popleft()

    def rates(self) -> Rates:
        """The rates over the steps in the window."""
        seconds = sum(step.seconds for step in self._steps)
        if not seconds:
            return Rates()
        tunnels: dict[str, list[int]] = {}
        forwards: dict[str, list[int]] = {}
        for step in self._steps:
            for direction, added in enumerate((step.to_target, step.to_client)):
                for (forward, tunnel), count in added.items():
                    forwards.setdefault(forward, [0, 0, 0])[direction] += count
                    tunnels.setdefault(tunnel, [0, 0, 0])[direction] += count
            for (forward, _), count in step.clients.items():
                forwards.setdefault(forward, [0, 0, 0])[2] += count
            for tunnel, count in step.dials.items():
                tunnels.setdefault(tunnel, [0, 0, 0])[2] += count
        return Rates(
            seconds=seconds, tunnels=_a_second(tunnels.items(), seconds), forwards=_a_second(forwards.items(), seconds)
        )


class RateMeter:
    """Takes samples of `stats` until cancelled: `run` belongs to a task of the owner. The rest is for tests."""

    def __init__(
        self,
        stats: Callable[[], StatsView],
        *,
        clock: Callable[[], float] = time.monotonic,
        effort: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stats = stats
        self._clock = clock
        self._effort = effort
        self._sleep = sleep
        self._window = RateWindow()

    def rates(self) -> Rates:
        """The rates as of the last sample."""
        return self._window.rates()

    async def run(self) -> None:
        """A sample a second; fewer where one costs so much that the relay would feel it."""
        while True:
            before = self._effort()
            self._window.add(self._stats(), self._clock())
            cost = self._effort() - before
            await self._sleep(min(max(_EVERY, _SHARE * cost), _AT_LEAST_EVERY))


def _added(now: Mapping[_Key, int], before: Mapping[_Key, int]) -> dict[_Key, int]:
    """By how much each count has grown. Bytes of a session that has just ended never shrink a total: all only grow."""
    known = before.get
    return {key: count - known(key, 0) for key, count in now.items() if count != known(key, 0)}


def _a_second(sums: Iterable[tuple[str, list[int]]], seconds: float) -> dict[str, Rate]:
    return {
        name: Rate(to_target=to_target / seconds, to_client=to_client / seconds, connections=connections / seconds)
        for name, (to_target, to_client, connections) in sums
    }
