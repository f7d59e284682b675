"""A real redis-server, in memory only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.programs import program, run
from tests.e2e.servers.process import accepts, server
from tests.lab.processes import mortal


@dataclass(frozen=True, slots=True)
class Redis:
    """A running redis-server."""

    port: int

    def accepted(self) -> int:
        """Connections that it has accepted so far, the one that asks included. It is asked directly."""
        said = run("redis-cli", "-p", self.port, "INFO", "stats")
        facts = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
        return int(facts["total_connections_received"])


@contextmanager
def redis(directory: Path, port: int) -> Iterator[Redis]:
    """redis-server on `port` of 127.0.0.1, working in `directory`."""
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(directory), "save": "", "appendonly": "no"}
    options = [word for key, value in settings.items() for word in (f"--{key}", value)]
    argv = mortal([program("redis-server"), *options])
    with server(argv, directory / "redis.log", ready=lambda: accepts(port)):
        yield Redis(port)
