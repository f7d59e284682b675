"""A pipe nobody reads until the test does, and a set-up of logging that is undone."""

import contextlib
import json
import logging
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
import structlog

from gateway.observe import logs

DEADLINE = 30.0


@dataclass
class Pipe:
    """A real pipe: `write_end` is the log's descriptor, and the lines are read here."""

    read_end: int
    write_end: int
    _buffer: bytes = field(default=b"")

    def read_line(self) -> str:
        """The next whole line; fails the test when none comes in time."""
        until = time.monotonic() + DEADLINE
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, until - time.monotonic()))
            assert ready, f"no line within {DEADLINE} s; so far: {self._buffer!r}"
            chunk = os.read(self.read_end, 65536)
            assert chunk, "the log ended"
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode()

    def read_event(self) -> dict[str, object]:
        return json.loads(self.read_line())

    def read_all(self) -> list[str]:
        """What is in the pipe now, as lines."""
        while select.select([self.read_end], [], [], 0)[0] and (chunk := os.read(self.read_end, 65536)):
            self._buffer += chunk
        lines, self._buffer = self._buffer.decode().splitlines(), b""
        return lines


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read_end, write_end = os.pipe()
    made = Pipe(read_end, write_end)
    yield made
    for end in (made.read_end, made.write_end):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(end)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < until, "the condition did not come true in time"
            os.sched_yield()

    return wait


@pytest.fixture
def configure(pipe: Pipe) -> Iterator[Callable[..., logs.LineWriter]]:
    """`logs.configure` onto the pipe; afterwards logging is as it was."""
    root = logging.getLogger()
    level = root.level

    def to_pipe(**settings: object) -> logs.LineWriter:
        for handler in root.handlers[:]:  # pytest's own, for this phase: it would format each message a second time
            if type(handler).__module__ == "_pytest.logging":
                root.removeHandler(handler)
        return logs.configure(**{"environment": "test", "descriptor": pipe.write_end, **settings})

    yield to_pipe
    logging.captureWarnings(capture=False)
    for handler in [each for each in root.handlers if type(each).__module__ == logs.__name__]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    structlog.reset_defaults()
