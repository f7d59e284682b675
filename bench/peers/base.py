"""What a peer is to the bench: a name, how it is started for a job, and what it cannot be asked."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.places import Place, PlaceName

# Room for the most that a measure holds (8,000 sessions), and the same for every peer; at two descriptors each it
# stays below the limit of 20,000 that some machines do not let even root raise.
MAX_CONNECTIONS = 8500
# The same life and death of a session wherever a peer is asked to be like the gateway.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT = 30, 10, 3
USER_TIMEOUT, CONNECT_TIMEOUT, IDLE_TIMEOUT = 60, 5, 3600
ALLOW = ("127.0.0.0/8", "10.0.0.0/8", "192.168.0.0/16")
BACKLOG = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a peer is to do in one sample. `directory` is its own, for files; it is removed afterwards."""

    place: Place
    directory: Path
    listen_port: int
    target_port: int
    admin_port: int

    @property
    def listen(self) -> str:
        return f"{self.place.listen}:{self.listen_port}"

    @property
    def target(self) -> str:
        return f"{self.place.target}:{self.target_port}"

    def write(self, name: str, text: str) -> str:
        """Writes a configuration file; returns its path."""
        path = self.directory / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer.

    `command` writes what configuration the job needs and returns how to start it; None: there is no process.
    `arrange` returns commands to run in the proxy's namespace instead. `bypass`: clients connect to the target.
    `only`: the measures that it takes part in, None for all; `places` likewise. `missing` says why the peer cannot
    be had on this machine, or None.
    """

    name: str
    what: str
    version: Callable[[], str]
    command: Callable[[Job], Sequence[str]] | None = None
    arrange: Callable[[Job], Sequence[Sequence[str]]] | None = None
    bypass: bool = False
    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()
    places: frozenset[PlaceName] = frozenset(PlaceName)
    missing: Callable[[], str | None] = lambda: None

    def takes_part(self, measure: str, place: PlaceName) -> bool:
        """Whether the peer can be asked this measure in this place."""
        allowed = self.only is None or measure in self.only
        return allowed and measure not in self.without and place in self.places


def first_line(command: Sequence[str]) -> str:
    """The first line that a command prints, on stdout or else on stderr: how programs give their version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return (done.stdout.strip() or done.stderr.strip()).splitlines()[0]
