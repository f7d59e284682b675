"""Pipes for splice(2), pooled: borrowed by a pump, given back whenever empty.

A pipe stays with a pump only while it holds bytes that the pump's sink does not take. Two rules come from a bug that
mixed two sessions' data: a pipe has one borrower at a time, and one that is not empty is never pooled, but closed.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

PIPE_BYTES: Final = 512 * 1024  # measured with 50 flows: a fifth less CPU than with 128 KiB
_DEFAULT_CAPACITY: Final = 64  # × 512 KiB = 32 MiB: half of fs.pipe-user-pages-soft (16,384 pages)


class Pipe:
    """A non-blocking pipe and how many bytes are in it."""

    __slots__ = ("held", "lent", "read_fd", "write_fd")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        self.lent = False

    def close(self) -> None:
        """Close both ends; what is in the pipe is gone."""
        os.close(self.read_fd)
        os.close(self.write_fd)


class PipePool:
    """At most `capacity` pipes in all, lent one to one. Owns every pipe, lent or not."""

    __slots__ = ("_capacity", "_idle", "_size", "_total")

    def __init__(self, *, capacity: int = _DEFAULT_CAPACITY, size: int = PIPE_BYTES) -> None:
        self._capacity = capacity
        self._size = size
        self._idle: list[Pipe] = []
        self._total = 0

    @property
    def total(self) -> int:
        """Pipes that exist, lent and idle."""
        return self._total

    def borrow(self) -> Pipe | None:
        """An empty pipe, or None when there is none to be had: then copy. Give it back when it is empty."""
        if self._idle:
            pipe = self._idle.pop()
        elif self._total < self._capacity:
            made = self._make()
            if made is None:
                return None
            pipe = made
        else:
            return None
        pipe.lent = True
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """End the loan. A pipe that still holds bytes is closed: they belong to a session that is over."""
        if not pipe.lent:
            raise AssertionError("a pipe was given back twice")
        pipe.lent = False
        if pipe.held or self._total > self._capacity:
            self._total -= 1
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close the idle pipes. Lent ones are closed as they come back (they are never pooled again)."""
        self._capacity = 0
        while self._idle:
            self._total -= 1
            self._idle.pop().close()

    def _make(self) -> Pipe | None:
        try:
            pipe = Pipe()
        except OSError:  # out of descriptors, or over fs.pipe-user-pages-hard: copying needs neither, and it may pass
            return None
        self._total += 1
        try:
            fcntl.fcntl(pipe.write_fd, fcntl.F_SETPIPE_SZ, self._size)
        except OSError:  # over fs.pipe-user-pages-soft, or out of memory: a small pipe still works
            self._capacity = self._total
        return pipe
