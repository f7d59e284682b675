"""Saying something that happens a thousand times a second once a second, and how often it was."""

from __future__ import annotations

from collections.abc import Hashable


class Throttle:
    """Lets one event a key pass every `seconds`. Pure but for its memory; one entry a key, so keys must be few."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[Hashable, tuple[float, int]] = {}

    def passes(self, key: Hashable, now: float) -> int | None:
        """None: keep quiet. Otherwise say it, with the number of events since it was last said (this one included)."""
        last, withheld = self._seen.get(key, (float("-inf"), 0))
        if now - last < self._seconds:
            self._seen[key] = (last, withheld + 1)
            return None
        self._seen[key] = (now, 0)
        return withheld + 1
