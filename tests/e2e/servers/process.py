"""A server process: started, awaited, and ended by its id. What it says goes to a file beside its data."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM, Signals

from tests.e2e.programs import ENVIRONMENT
from tests.lab.errors import LabError
from tests.lab.waiting import wait_until

_PATIENCE = 20.0  # seconds to start, and again to end, on a machine that may be busy
_SHOWN = 4000  # characters of its log beside a failure


@contextmanager
def server(
    argv: Sequence[str],
    log: Path,
    *,
    ready: Callable[[], bool],
    stop: Signals = SIGTERM,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves from the moment `ready()` says so, until the end of the block, when it gets `stop`.

    Raises NotReadyError, or LabError as soon as it has ended by itself, with the end of its log.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(  # waited for below
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
        )
    try:
        wait_until(
            lambda: _alive(process, log) and ready(),
            within=_PATIENCE,
            what=f"{argv[-1]} serves",
            detail=lambda: tail(log),
        )
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-_SHOWN:]


def _alive(process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise LabError(f"it ended by itself with {process.returncode}\n{tail(log)}")
    return True
