"""CPU time of processes to the nanosecond, and who descends from whom.

/proc/PID/stat counts in ticks of 10 ms. A tunnel in user space carries so little in a second that the gateway's part
of it is a few ticks; the kernel's CPU clock of a process has the same time exactly (user + system, all threads,
those that ended as well; children are processes of their own). clock_getcpuclockid(3), clock_gettime(2).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from bench.accounting import PROC
from bench.children import SampleError

_SCHED = 2  # CPUCLOCK_SCHED in the kernel's linux/posix-timers.h: the scheduler's own, exact account


def clock_of(pid: int) -> int:
    """The number of a process's CPU clock, as clock_getcpuclockid(3) makes it."""
    return (~pid << 3) | _SCHED


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time of these processes so far. Raises SampleError if one of them has ended: its time is lost."""
    total = 0.0
    for pid in pids:
        try:
            total += time.clock_gettime(clock_of(pid))
        except OSError as gone:
            raise SampleError(f"process {pid} ended while it was measured") from gone
    return total


def parents() -> Mapping[int, int]:
    """The parent of each process there is."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we were looking
            found[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    return found


def descendants(root: int, parents: Mapping[int, int]) -> tuple[int, ...]:
    """The children of `root`, and theirs, nearest first."""
    children = [pid for pid, parent in parents.items() if parent == root]
    return (*children, *(further for child in children for further in descendants(child, parents)))
