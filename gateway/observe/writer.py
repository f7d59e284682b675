"""A bounded queue of lines and the one thread that writes them to a descriptor.

Why a thread: whoever reads our standard error may stop reading (a full disk behind a collector, a stopped
terminal). A write to it then blocks, and an event loop that blocks relays nothing. Here only this thread waits;
when the queue is full, lines are dropped and counted, and the count is written as soon as there is room again.

The descriptor stays as it is: O_NONBLOCK belongs to the open file, which other processes may share. Instead the
thread polls, and then writes at most PIPE_BUF bytes, which a pipe that polls writable takes without blocking.
"""

from __future__ import annotations

import os
import select
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

_CHUNK: Final = 4096  # PIPE_BUF on Linux
_BATCH: Final = 64 * 1024
_LAST_WRITE: Final = 0.5  # seconds for a write under way to return after the thread was told to give up

_STOP: Final = None


class LineWriter:
    """Writes lines to `descriptor` (borrowed, never closed), in order, from a thread of its own.

    `notice(count)` renders the line, without its line feed, that tells of `count` dropped lines. At most `capacity`
    bytes wait in the queue. The thread starts with the first line, and again in a forked child, which begins with
    an empty queue: what was waiting is the parent's to write.
    """

    def __init__(self, descriptor: int, *, notice: Callable[[int], str], capacity: int = 4 * 1024 * 1024) -> None:
        self._descriptor = descriptor
        self._notice = notice
        self._capacity = capacity
        self._reset()
        _writers.add(self)

    def _reset(self) -> None:
        """Become as new. In a forked child the lock may be held, and the queue fed, by threads that do not exist."""
        self._lock = threading.RLock()  # reentrant: a destructor that logs may interrupt `write`
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._give_up: int | None = None  # eventfd that ends a poll
        self._closed = False
        # Each count has one writing side, so that neither needs the other's lock.
        self._queued = 0  # bytes ever accepted; written under the lock
        self._refused = 0  # lines ever refused; written under the lock
        self._taken = 0  # bytes ever taken from the queue; the thread's
        self._lost = 0  # lines that the descriptor did not take; the thread's
        self._told = 0  # dropped lines already told of; the thread's

    @property
    def dropped(self) -> int:
        """Lines that were not written and never will be, since the start: no room, no reader, or closed."""
        return self._refused + self._lost

    def write(self, line: str) -> None:
        """Queue `line` (without its line feed). Never blocks: without room, or when closed, drops and counts."""
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._lock:
            if self._closed or self._queued - self._taken + len(data) > self._capacity:
                self._refused += 1
                return
            if self._thread is None:
                self._start()
            self._queued += len(data)
            self._queue.put(data)

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits, for at most `timeout` seconds, and end the thread. Lines beyond that are dropped.

        Blocks, so it is for the very end. Closing again does nothing.
        """
        with self._lock:
            self._closed = True
            thread, give_up = self._thread, self._give_up
            self._thread = self._give_up = None
        if thread is None or give_up is None:
            return
        self._queue.put(_STOP)
        thread.join(timeout)
        os.eventfd_write(give_up, 1)
        thread.join(_LAST_WRITE)
        if not thread.is_alive():  # else it is stuck in a write that polled writable; it dies with the process
            os.close(give_up)

    def _start(self) -> None:
        self._give_up = os.eventfd(0, os.EFD_CLOEXEC)
        # A daemon: an interpreter that ends without `close` must not wait for a reader that never comes.
        self._thread = threading.Thread(target=self._run, args=(self._give_up,), name="log-writer", daemon=True)
        self._thread.start()

    def _run(self, give_up: int) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.register(give_up, select.POLLIN)
        stopping = False
        while not stopping:
            lines, stopping = self._take()
            self._lost += len(lines) - self._emit(poll, give_up, lines)
            # Not only when empty: under a load that never lets up, the news must get out too.
            if self.dropped > self._told and self._queued - self._taken < self._capacity // 2:
                self._tell(poll, give_up)

    def _take(self) -> tuple[list[bytes], bool]:
        """The next lines, at least one unless the end was asked for, and whether it was."""
        lines: list[bytes] = []
        size = 0
        item = self._queue.get()
        while item is not _STOP:
            lines.append(item)
            size += len(item)
            if size >= _BATCH:
                break
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
        self._taken += size
        return lines, item is _STOP

    def _tell(self, poll: select.poll, give_up: int) -> None:
        dropped = self.dropped
        line = self._notice(dropped - self._told).encode(errors="backslashreplace") + b"\n"
        if self._emit(poll, give_up, [line]):
            self._told = dropped

    def _emit(self, poll: select.poll, give_up: int, lines: list[bytes]) -> int:
        """Write `lines`; how many the descriptor took whole. Fewer when it is broken, or when told to give up."""
        data = memoryview(b"".join(lines))
        sent = 0
        while sent < len(data):
            if any(descriptor == give_up for descriptor, _ in poll.poll()):
                break
            try:
                sent += os.write(self._descriptor, data[sent : sent + _CHUNK])
            except BlockingIOError:  # someone else made the open file non-blocking, and filled it since the poll
                time.sleep(0.01)
            except OSError:
                # The log itself is gone (no reader, no space): there is nowhere to say so. The lines count as
                # dropped, and the next ones are tried again, for a full disk may be emptied.
                break
        return len(lines) if sent == len(data) else data[:sent].tobytes().count(b"\n")


_writers: weakref.WeakSet[LineWriter] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for writer in list(_writers):
        stale = writer._give_up  # noqa: SLF001 -- this module's own
        writer._reset()  # noqa: SLF001
        if stale is not None:
            os.close(stale)  # the child's copy; the parent's thread still polls its own


os.register_at_fork(after_in_child=_after_fork_in_child)
