"""The processes that a sample starts: pinned to a core, in a namespace, and ended with everything they forked.

Each gets a session of its own (setsid), so that its descendants are known by their session number even after their
parent died, and a signal to the group reaches them all. PDEATHSIG takes them along should the bench be killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from bench.places import Namespace

PROXY_CORE = 0
LOAD_CORE = 1


class SampleError(Exception):
    """A sample cannot be taken: a process failed or said nothing in time. The text says which and shows its words."""


class Child(NamedTuple):
    """A running process of a sample. `session` identifies it and its descendants."""

    name: str
    process: subprocess.Popen[str]
    errors: Path

    @property
    def session(self) -> int:
        return self.process.pid

    def fail(self, what: str) -> SampleError:
        """An error that carries the last words of the process."""
        words = self.errors.read_text(errors="replace").strip().splitlines()[-5:]
        return SampleError(f"{self.name} {what}: " + " | ".join(words))

    def line(self) -> dict[str, object]:
        """The next JSON line that the process prints. Raises SampleError if it ends instead."""
        stdout = self.process.stdout
        text = stdout.readline() if stdout else ""
        if not text:
            raise self.fail("ended without a result")
        answer: dict[str, object] = json.loads(text)
        return answer

    def say(self, text: str) -> None:
        """Writes one line to the process's stdin."""
        stdin: IO[str] | None = self.process.stdin
        if stdin:
            stdin.write(text + "\n")
            stdin.flush()


@contextmanager
def child(
    name: str, command: Sequence[str], *, namespace: Namespace, core: int, directory: Path, quiet: bool = False
) -> Iterator[Child]:
    """Runs `command` in `namespace`, pinned to `core`; ends it and its descendants on leaving.

    stderr goes to a file in `directory`; stdout to a pipe, or to the same file if `quiet`.
    """
    errors = directory / f"{name}.log"
    argv = ["setpriv", "--pdeathsig", "KILL", *namespace.prefix, "taskset", "-c", str(core), *command]
    with errors.open("w") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=log if quiet else subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    with process:
        try:
            yield Child(name, process, errors)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str], patience: float = 3.0) -> None:
    """SIGTERM to the leader, then SIGKILL to whatever is left of the group."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # nothing was left, as it should be


def ask(name: str, command: Sequence[str], *, namespace: Namespace, core: int, timeout: float) -> dict[str, object]:
    """Runs `command` to its end and returns its last JSON line. Raises SampleError if it fails or takes too long."""
    argv = ["setpriv", "--pdeathsig", "KILL", *namespace.prefix, "taskset", "-c", str(core), *command]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=True
        )
    except subprocess.TimeoutExpired as late:
        raise SampleError(f"{name} took longer than {timeout:.0f} s") from late
    except subprocess.CalledProcessError as failure:
        raise SampleError(f"{name} failed: {failure.stderr.strip()}") from failure
    answer: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
