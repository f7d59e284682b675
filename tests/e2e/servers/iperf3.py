"""A real iperf3 server: one test at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.programs import program
from tests.e2e.servers.process import server
from tests.lab.processes import mortal


@contextmanager
def iperf3(directory: Path, port: int) -> Iterator[int]:
    """An iperf3 server on `port` of 127.0.0.1, which it gives back."""
    log = directory / "iperf3.log"
    argv = mortal([program("iperf3"), "--server", "--bind", "127.0.0.1", "--port", str(port), "--forceflush"])
    # Not by connecting: a connection that brings no test would keep it busy.
    with server(argv, log, ready=lambda: b"Server listening" in log.read_bytes()):
        yield port
