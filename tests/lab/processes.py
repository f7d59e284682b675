"""Processes that never outlive their lab, and are never mistaken for others.

A process is known by its id *and* the moment it started, since ids are used again. It is recorded in a file
before anything depends on it, so that whoever finds a dead lab's directory can end what is left. It dies with the
thread that spawned it (PDEATHSIG), which has to be the main one. A zombie counts as gone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import ENVIRONMENT
from tests.lab.errors import LabError
from tests.lab.netns import Namespace
from tests.lab.waiting import wait_until

_STATE, _START = 0, 19  # fields of /proc/PID/stat, counted from behind the command's name
_DYING = 5.0  # seconds that a killed process may take


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for good: `start` is its start time in clock ticks since boot."""

    pid: int
    start: int

    @staticmethod
    def of(pid: int) -> ProcessId | None:
        """The process that has the id `pid` now; None if there is none."""
        fields = _stat(pid)
        return None if fields is None else ProcessId(pid, int(fields[_START]))

    @staticmethod
    def parse(text: str) -> ProcessId:
        """The reverse of `str`. Raises ValueError."""
        pid, start = text.split()
        return ProcessId(int(pid), int(start))

    def __str__(self) -> str:
        return f"{self.pid} {self.start}"

    @property
    def alive(self) -> bool:
        """Whether it still runs (or is frozen)."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START]) == self.start and fields[_STATE] != "Z"

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to this process and no other; whether it was there to get it."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:  # asked after opening: from here on the descriptor stands for this very process
                return False
            signal.pidfd_send_signal(fd, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def end(self) -> None:
        """Kill it and wait until it is gone. Raises NotReadyError if it will not go."""
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.alive, within=_DYING, what=f"process {self.pid} gone after SIGKILL")

    def wait(self, within: float) -> bool:
        """Whether it ended by itself within that many seconds."""
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            return not self.alive or bool(select.select([fd], [], [], within)[0])
        finally:
            os.close(fd)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the command's name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def mortal(argv: Sequence[str]) -> list[str]:
    """`argv` as a command that is killed when the thread that starts it ends."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def end_recorded(records: Path) -> None:
    """End every process recorded in `records`, whoever started it."""
    for record in records.glob("*"):
        ProcessId.parse(record.read_text()).end()


class ProcessBook:
    """The processes of one lab by name: `records` holds a file for each, `logs` what each of them said."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}

    def spawn(self, name: str, argv: Sequence[str], namespace: Namespace) -> ProcessId:
        """Start `argv` in `namespace` under `name`; its output, both kinds, goes to its log."""
        if self.alive(name):
            raise LabError(f"{name} runs already")
        self._commands[name] = namespace.command(mortal(argv))
        return self._start(name)

    def restart(self, name: str) -> ProcessId:
        """Kill `name` if it is alive, and start it again as it was started before."""
        if name not in self._commands:
            raise LabError(f"no process is called {name}; there are {', '.join(self._commands)}")
        self.kill(name)
        return self._start(name)

    def names(self) -> tuple[str, ...]:
        """All names ever spawned, alive or not."""
        return tuple(self._commands)

    def alive(self, name: str) -> bool:
        """Whether `name` runs."""
        child = self._children.get(name)
        return child is not None and child.poll() is None

    def id(self, name: str) -> ProcessId | None:
        """The process called `name`; None when it has ended."""
        return ProcessId.of(self._children[name].pid) if self.alive(name) else None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to `name`. Raises LabError if it is not alive."""
        if not self.alive(name):
            raise LabError(f"{name} is not alive")
        self._children[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait. Nothing happens to a process that has ended."""
        child = self._children.pop(name, None)
        if child is not None:
            child.kill()
            child.wait(_DYING)
        (self._records / name).unlink(missing_ok=True)

    def wait(self, name: str, within: float) -> int:
        """The exit status of `name`, which is on its way out. Raises subprocess.TimeoutExpired."""
        status = self._children[name].wait(within)
        self.kill(name)
        return status

    def kill_all(self) -> None:
        """SIGKILL to all at once, then wait for each."""
        for child in self._children.values():
            child.kill()
        for name in tuple(self._children):
            self.kill(name)

    def log(self, name: str) -> str:
        """All that `name` has said, over all its lives."""
        path = self._logs / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start(self, name: str) -> ProcessId:
        with (self._logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # waited for in `kill`
                self._commands[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        self._children[name] = child
        # Not reaped before `kill` or `poll`, so it has an entry in /proc even if it ended at once.
        identity = ProcessId.of(child.pid)
        if identity is None:
            raise LabError(f"{name} has no entry in /proc")
        (self._records / name).write_text(str(identity))
        return identity
