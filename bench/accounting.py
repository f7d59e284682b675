"""What the kernel's books say: CPU time and memory of a session of processes, and the busy time of the machine.

A session here is what setsid made: a peer with all its workers and forked children. CPU time is user + system of the
living and of the children they have reaped; the kernel keeps it in ticks of 10 ms, so that a sample should cost
seconds. On loopback the proxy's own time is nearly all there is; across veth part of its work (packets delivered
while the sender runs) is booked on others, which is why the machine's busy time is kept beside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """User-space memory of a session, bytes.

    `anonymous` is what it allocated (heap and stacks; pages that forked processes share are counted once). `pss` is
    its part of everything mapped: that depends on who else runs the same programs, so only the first is compared.
    """

    anonymous: int
    pss: int


def parse_stat(text: str) -> tuple[int, float]:
    """(session, CPU seconds) of a /proc/PID/stat line; CPU includes reaped children."""
    fields = text.rpartition(")")[2].split()
    return int(fields[3]), sum(map(int, fields[11:15])) * _TICK


def parse_rollup(text: str) -> Memory:
    """The sums of a /proc/PID/smaps_rollup."""
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    return Memory(anonymous=kib["Pss_Anon"] * 1024, pss=kib["Pss"] * 1024)


def parse_machine(text: str) -> float:
    """Busy seconds of all cores since boot, from /proc/stat: all but idle, waiting for disks, and stolen time."""
    fields = list(map(int, text.splitlines()[0].split()[1:9]))
    user, nice, system, _idle, _iowait, irq, softirq, _steal = fields
    return (user + nice + system + irq + softirq) * _TICK


def _processes(session: int) -> Iterator[tuple[Path, float]]:
    """The living processes of a session, with their CPU seconds."""
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we were looking
        owner, seconds = parse_stat(text)
        if owner == session:
            yield entry, seconds


def cpu_seconds(session: int) -> float:
    """User + system time of a session so far."""
    return sum(seconds for _, seconds in _processes(session))


def memory(session: int) -> Memory:
    """User-space memory of a session, now."""
    parts = [parse_rollup((entry / "smaps_rollup").read_text()) for entry, _ in _processes(session)]
    return Memory(anonymous=sum(part.anonymous for part in parts), pss=sum(part.pss for part in parts))


def machine_seconds() -> float:
    """Busy time of the whole machine since boot."""
    return parse_machine((PROC / "stat").read_text())
