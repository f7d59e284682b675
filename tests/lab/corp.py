"""The company's servers, seen from the lab: where they listen, and how they are started.

`corp_server` is the program itself. All ports answer on both of the company's addresses.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.lab.netns import Namespace
from tests.lab.processes import ProcessBook
from tests.lab.topology import CORP_ADDRESS
from tests.lab.waiting import wait_until

HTTP_PORT = 8080
ECHO_PORT = 8081
HOLD_PORT = 8082
NAME = "corp"
_READY = "ready"
_START = 10.0  # seconds


class Corp:
    """The company's servers, as one process in the namespace `space`."""

    address = CORP_ADDRESS

    def __init__(self, space: Namespace, processes: ProcessBook) -> None:
        self._space = space
        self._processes = processes
        self._lives = 0

    def start(self) -> None:
        """Start the process; it listens after `wait_ready`."""
        program = Path(__file__).with_name("corp_server.py")
        ports = map(str, (HTTP_PORT, ECHO_PORT, HOLD_PORT))
        self._processes.spawn(NAME, [sys.executable, "-I", str(program), *ports], self._space)
        self._lives += 1

    def wait_ready(self) -> None:
        """Return when all ports listen. Raises NotReadyError with what the process said."""
        wait_until(
            lambda: self._processes.log(NAME).count(_READY) >= self._lives,
            within=_START,
            what="the company's servers listen",
            detail=lambda: self._processes.log(NAME),
        )

    def restart(self) -> None:
        """Kill the process, and start it again."""
        self._processes.restart(NAME)
        self._lives += 1
        self.wait_ready()
