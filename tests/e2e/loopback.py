"""A gateway on loopback as a black box: its one tunnel is the device `lo`, so it needs no privilege and no lab.

    with LoopbackGateway(directory, {"redis": Forwarding(6379)}) as gateway:
        with gateway.counting("redis") as counted:
            ...                                   # a client of gateway.port("redis")
        assert counted.results == {"ok": 1}

At its end the gateway drains, exits with 0, and must not have logged an error.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.e2e.harness import Metrics
from tests.e2e.ports import ReservedPorts
from tests.e2e.servers.process import server, tail
from tests.lab.processes import mortal
from tests.lab.waiting import wait_until

TUNNEL = "loop"
_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 15.0  # seconds for sessions to end once their client has


@dataclass(frozen=True, slots=True)
class Forwarding:
    """A forward to a port of 127.0.0.1. `settings` are further lines of its `[[forward]]`."""

    target: int
    settings: str = ""


@dataclass(slots=True)
class Counted:
    """What the gateway counted for one forward: clients by result, ends by reason, bytes by direction."""

    results: Mapping[str, float]
    closed: Mapping[str, float]
    to_target: float
    to_client: float

    def become(self, other: Counted) -> None:
        """Take its values."""
        self.results, self.closed = other.results, other.closed
        self.to_target, self.to_client = other.to_target, other.to_client

    def minus(self, earlier: Counted) -> Counted:
        """What was counted since."""
        return Counted(
            _minus(self.results, earlier.results),
            _minus(self.closed, earlier.closed),
            self.to_target - earlier.to_target,
            self.to_client - earlier.to_client,
        )


class LoopbackGateway:
    """One run of `gateway --config FILE`; the file and the log are in `directory`.

    `settings` are further lines of its `[gateway]`.
    """

    def __init__(self, directory: Path, forwards: Mapping[str, Forwarding], *, settings: str = "") -> None:
        self._forwards = forwards
        self._settings = settings
        self._config = directory / "forwards.toml"
        self.log = directory / "gateway.log"
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._ports = stack.enter_context(ReservedPorts("admin", *self._forwards))
            self._config.write_text(self._configuration())
            argv = mortal([sys.executable, "-m", "gateway", "--config", str(self._config)])
            state = {"STATE_DIRECTORY": str(self._config.parent)}
            environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), **state}
            self._process = stack.enter_context(server(argv, self.log, ready=self._is_ready, environment=environment))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if error is not None:
            error.add_note("the gateway said:\n" + tail(self.log))
            return
        assert self._process.returncode == 0, tail(self.log)
        assert self.complaints() == []

    @property
    def pid(self) -> int:
        return self._process.pid

    def port(self, forward: str) -> int:
        """Where clients of this forward connect, at 127.0.0.1."""
        return self._ports[forward]

    def complaints(self) -> list[str]:
        """Lines of the log that are errors, or no events at all: tracebacks."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith("{") or _is_error(line)]

    def metrics(self) -> Metrics:
        """One scrape."""
        status, body = self._get("/metrics")
        assert status == http.client.OK
        return Metrics.parse(body)

    @contextmanager
    def counting(self, forward: str) -> Iterator[Counted]:
        """What is counted for `forward` during the block; known when the block and the last session have ended."""
        before = self._settled(forward)
        counted = Counted({}, {}, 0, 0)
        yield counted
        counted.become(self._settled(forward).minus(before))

    def _settled(self, forward: str) -> Counted:
        """What was counted for `forward` so far, as soon as all its sessions have ended, each of them counted."""
        now = Counted({}, {}, 0, 0)

        def settled() -> bool:
            metrics = self.metrics()
            now.become(_count(metrics, forward))
            active = metrics.value("gateway_connections_active", forward=forward)
            return active == 0 and now.results.get("ok", 0) == sum(now.closed.values())

        wait_until(settled, within=_PATIENCE, what=f"all sessions of {forward} have ended", detail=lambda: str(now))
        return now

    def _is_ready(self) -> bool:
        try:
            return self._get("/readyz")[0] == http.client.OK
        except ConnectionError:  # it does not listen yet
            return False

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports["admin"], timeout=_PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def _configuration(self) -> str:
        listen, socket = f"127.0.0.1:{self._ports['admin']}", self._config.parent / "socket"
        admin = f'[admin]\nlisten = "{listen}"\nsocket = "{socket}"\nbook = false'
        tunnel = f'[[tunnel]]\nname = "{TUNNEL}"\nkind = "interface"\ninterface = "lo"'
        forwards = (
            f'[[forward]]\nname = "{name}"\nlisten = "127.0.0.1:{self._ports[name]}"\n'
            f'target = "127.0.0.1:{forward.target}"\n{forward.settings}'
            for name, forward in self._forwards.items()
        )
        gateway = f'[gateway]\ndrain_timeout = "5s"\n{self._settings}'
        return "\n\n".join([gateway, admin, tunnel, *forwards, ""])


def _count(metrics: Metrics, forward: str) -> Counted:
    return Counted(
        _by(metrics, "gateway_connections_total", forward, "result"),
        _by(metrics, "gateway_connections_closed_total", forward, "reason"),
        metrics.value("gateway_bytes_total", forward=forward, tunnel=TUNNEL, direction="to_target"),
        metrics.value("gateway_bytes_total", forward=forward, tunnel=TUNNEL, direction="to_client"),
    )


def _by(metrics: Metrics, name: str, forward: str, label: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for (each, labels), value in metrics.series.items():
        named = dict(labels)
        if each == name and named["forward"] == forward:
            found[named[label]] = value
    return found


def _minus(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """The growth of each counter; those that did not grow are left out."""
    return {key: grown for key, value in now.items() if (grown := value - before.get(key, 0)) != 0}


def _is_error(line: str) -> bool:
    return json.loads(line).get("level") in {"error", "critical"}
