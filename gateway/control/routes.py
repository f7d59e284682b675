"""Bookkeeping of route lookups: a pass over all pairs, done in slices, and what the last complete pass found.

A pass that is asked for while one is under way follows it, rather than replacing it: a storm of hints must not keep
the first pass from ever coming to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Pair = tuple[str, str]
"""Interface name and IP address text."""


class RoutePass:
    """Which pairs are to be asked about next. Asks nobody itself."""

    def __init__(self) -> None:
        self.unrouted: frozenset[Pair] = frozenset()
        """The pairs without a route, as of the last complete pass."""
        self._requested = False
        self._waiting: list[Pair] = []
        self._found: set[Pair] = set()

    @property
    def pending(self) -> bool:
        """Whether there is something to take."""
        return self._requested or bool(self._waiting)

    def request(self) -> None:
        """Have a pass begin, after the one under way."""
        self._requested = True

    def take(self, askable: Callable[[], list[Pair]], size: int) -> list[Pair]:
        """Up to `size` pairs to ask about; `askable` gives all, when a pass begins. `answer` is to follow."""
        if not self._waiting:
            self._requested = False
            self._waiting = askable()
            self._found = set()
        taken, self._waiting = self._waiting[:size], self._waiting[size:]
        return taken

    def answer(self, unrouted: Iterable[Pair]) -> bool:
        """Of the pairs taken last these have no route. True when that completes the pass."""
        self._found.update(unrouted)
        if self._waiting:
            return False
        self.unrouted = frozenset(self._found)
        return True
