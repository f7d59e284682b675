"""A bound for what a VPN client may say: where each packet that cannot be sent is a line, there are thousands a second.

Pure but for its memory: a bucket that holds so many lines, and fills again so fast.
"""

from __future__ import annotations


class Flood:
    """Lets `at_once` lines pass at once, and `a_second` lines a second later."""

    def __init__(self, *, at_once: int, a_second: float) -> None:
        self._size = float(at_once)
        self._rate = a_second
        self._held = self._size
        self._at = 0.0
        self._left_out = 0

    def passes(self, now: float) -> int | None:
        """None: leave this line out. Otherwise let it pass, after so many that were left out. `now` in seconds."""
        self._held = min(self._size, self._held + self._rate * max(0.0, now - self._at))
        self._at = now
        if self._held < 1.0:
            self._left_out += 1
            return None
        self._held -= 1.0
        left_out, self._left_out = self._left_out, 0
        return left_out
