"""How long a process ran, and how long it was ready and had no processor: what a busy machine adds to a figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Of all threads of a process together, in seconds since their start."""

    running: float
    waiting: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """As of now. Raises FileNotFoundError when there is no such process."""
        threads = [
            [int(nanoseconds) for nanoseconds in (thread / "schedstat").read_text().split()]
            for thread in Path(f"/proc/{pid}/task").iterdir()
        ]
        return cls(sum(thread[0] for thread in threads) / 1e9, sum(thread[1] for thread in threads) / 1e9)

    def __sub__(self, earlier: Self) -> Self:
        return type(self)(self.running - earlier.running, self.waiting - earlier.waiting)
