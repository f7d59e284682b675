"""An `ip` that has started already: what a fault's figures begin with is the fault, and not the start of a tool.

On a machine of two cores that runs three VPN clients, their servers and their load, that start takes up to 40 ms, and a
failover fewer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.commands import ENVIRONMENT
from tests.lab.errors import LabError
from tests.lab.netns import Namespace

_DONE = "link show dev lo"
"""What is asked for after each line: its answer says that the line was carried out."""


class ReadyIp:
    """Carries out lines of `ip` in one namespace, at once. For one thread at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def do(self, line: str) -> None:
        """Return when `line` (without the word `ip`) has been carried out. Raises LabError if it was not."""
        feed, answer = self._process.stdin, self._process.stdout
        assert feed is not None
        assert answer is not None
        feed.write(f"{line}\n{_DONE}\n")
        feed.flush()
        if not answer.readline().startswith("1: lo"):
            raise LabError(f"ip {line}: {self._process.communicate()[1]}")


@contextmanager
def ready_ip(space: Namespace) -> Iterator[ReadyIp]:
    """One for the block."""
    argv = ["ip", "-n", space.name, "-oneline", "-batch", "-"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            tool = ReadyIp(process)
            tool.do("link set dev lo up")  # as it is: the tool is there, and has the namespace's socket
            yield tool
        finally:
            assert process.stdin is not None
            process.stdin.close()
