"""Recovery: how long a failover took its clients, from the first evidence to the first connect that worked.

Only a client shows it. A forward that nobody connects to within a minute of its failover was not waited for: it says
nothing about how long anybody would have had to, and is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final

from gateway.model import Durations, Failover

_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 60.0)
_PATIENCE: Final = 60.0


class Recovery:
    """Follows failovers to the first connect that each one's forward makes through its new tunnel."""

    def __init__(self, await_connect: Callable[[str, str], None]) -> None:
        """`await_connect(forward, tunnel)` has the first successful dial reported."""
        self._await_connect = await_connect
        self._pending: dict[str, tuple[str, float, float]] = {}  # forward: tunnel, evidence, decided
        self._counts = [0] * (len(_BOUNDS) + 1)
        self._total = 0.0

    def failed_over(self, failovers: Iterable[Failover], now: float) -> None:
        """New sessions go elsewhere as of `now`. Failing over again before anybody connected is one recovery."""
        for it in failovers:
            _, since, _ = self._pending.get(it.forward, ("", it.evidence_at, 0.0))
            self._pending[it.forward] = it.to_tunnel, min(since, it.evidence_at), now
            self._await_connect(it.forward, it.to_tunnel)

    def connected(self, forward: str, tunnel: str, at: float) -> float | None:
        """`forward` has a session through `tunnel`: the seconds that took it, or None if nobody asked."""
        pending = self._pending.get(forward)
        if pending is None or pending[0] != tunnel:
            return None
        del self._pending[forward]
        _, since, decided = pending
        if at - decided > _PATIENCE:
            return None
        seconds = max(0.0, at - since)
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._total += seconds
        return seconds

    def durations(self) -> Durations | None:
        """All that were seen; None before the first."""
        return Durations(bounds=_BOUNDS, counts=tuple(self._counts), total=self._total) if any(self._counts) else None
