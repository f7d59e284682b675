"""The gateway as a black box: a process in the lab's cloud, known by what it logs, answers and counts.

    async with GatewayProcess(lab, tmp_path, configuration(lab, FORWARD)) as gateway:
        await gateway.ready()
        with lab.faults.tun_carrier(Site.A):
            await gateway.event("tunnel.transition", tunnel="zone-a", new="down")

Nothing here imports the gateway or depends on more than its contracts: the configuration file, JSON logs with an
`event`, the endpoints, signals and exit codes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from tests.lab import client
from tests.lab.errors import LabError, NotReadyError
from tests.lab.lab import Lab
from tests.lab.processes import mortal
from tests.lab.waiting import eventually

Event = Mapping[str, object]

ADMIN = ("127.0.0.1", 9099)
_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 10.0  # seconds for what has to come, on a machine that may be busy
_SHOWN = 40  # lines of log beside a failure


def configuration(lab: Lab, *forwards: str, gateway: str = "", tunnel: str = "") -> str:
    """A configuration file with the lab's tunnels `zone-a` and `zone-b` as `interface` tunnels, in this order.

    `forwards` are whole `[[forward]]` entries; `gateway` and `tunnel` further lines of `[gateway]` and of each tunnel.
    """
    tunnels = (
        f'[[tunnel]]\nname = "zone-{site}"\nkind = "interface"\ninterface = "{vpn.device}"\n{tunnel}'
        for site, vpn in lab.vpns.items()
    )
    admin = f'[admin]\nlisten = "{ADMIN[0]}:{ADMIN[1]}"\nsocket = "{control_socket(lab)}"\nbook = false'
    return "\n\n".join([f"[gateway]\n{gateway}", admin, *tunnels, *forwards, ""])


def control_socket(lab: Lab) -> Path:
    """Where the control socket is in that configuration."""
    return lab.directory.sock / "gateway"


@dataclass(frozen=True, slots=True)
class Metrics:
    """One scrape: the value of each series by its name and labels."""

    series: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @staticmethod
    def parse(text: str) -> Metrics:
        """The reverse of what /metrics writes. Raises ValueError."""
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return Metrics({(each.name, frozenset(each.labels.items())): each.value for each in samples})

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels; 0 if none has: a series shows once it counts."""
        wanted = frozenset(labels.items())
        return sum(value for (found, has), value in self.series.items() if found == name and wanted <= has)


class _Output(asyncio.SubprocessProtocol):
    """Takes what the process says as it comes, and wakes whoever waits for it. Called back by the loop: no task."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[Event] = []
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed = asyncio.Event()
        self._partial = {1: b"", 2: b""}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *whole, self._partial[fd] = (self._partial[fd] + data).split(b"\n")
        for line in whole:
            self._take(line.decode(errors="replace"))
        self._wake()

    def process_exited(self) -> None:
        self.exited.set_result(None)
        self._wake()

    async def change(self) -> None:
        """Return when the process has said more or has ended."""
        await self._changed.wait()

    def _take(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("{"):
            self.events.append(json.loads(line))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class GatewayProcess:
    """One run of `gateway --config FILE` in the cloud of `lab`; the file is written to `directory`.

    `launcher` is the beginning of a command that replaces itself by the gateway: `setpriv ... --`, for instance;
    `environment` are further variables. What it keeps it keeps in `directory`.
    An async context manager: whatever still runs at its end is killed, and a failing test shows the log's end.
    """

    def __init__(
        self,
        lab: Lab,
        directory: Path,
        configuration: str,
        *,
        launcher: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._lab = lab
        self._launcher = launcher
        self._environment = {**os.environ, "STATE_DIRECTORY": str(directory), **(environment or {})}
        self.config = directory / "forwards.toml"
        self.config.write_text(configuration)

    async def __aenter__(self) -> Self:
        argv = mortal([*self._launcher, sys.executable, "-m", "gateway", "--config", str(self.config)])
        self._transport, self._output = await asyncio.get_running_loop().subprocess_exec(
            _Output, *self._lab.cloud.command(argv), stdin=None, cwd=_REPOSITORY, env=self._environment
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport.get_returncode() is None:
            self._transport.kill()
        await self._output.exited
        self._transport.close()
        if error is not None:
            error.add_note("the gateway said:\n" + self._tail())

    # ---------------------------------------------------------------- what it says

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def events(self) -> list[Event]:
        """All events logged so far, oldest first. A mark into the log is `len(gateway.events)`."""
        return self._output.events

    @property
    def lines(self) -> list[str]:
        """All lines said so far, events and others."""
        return self._output.lines

    async def event(
        self,
        name: str,
        predicate: Callable[[Event], bool] = lambda _: True,
        *,
        since: int = 0,
        within: float = _PATIENCE,
        **fields: object,
    ) -> Event:
        """The first event called `name` after the mark `since` that has these `fields` and satisfies `predicate`.

        Waits for it. Raises NotReadyError at the deadline, and LabError as soon as the process has ended without it.
        """
        what = " ".join([name, *(f"{key}={value}" for key, value in fields.items())])
        seen = since
        try:
            async with asyncio.timeout(within):
                while True:
                    for each in self.events[seen:]:
                        if each.get("event") == name and _has(each, fields) and predicate(each):
                            return each
                    seen = len(self.events)
                    if self._output.exited.done():
                        raise LabError(f"the gateway ended without {what}\n{self._tail()}")
                    await self._output.change()
        except TimeoutError as error:
            raise NotReadyError(what, within) from error

    # ---------------------------------------------------------------- what it answers

    async def admin(self, path: str) -> client.Answer:
        """GET `path` from the admin endpoint."""
        return await client.fetch(self._lab.cloud, path, host=ADMIN[0], port=ADMIN[1], within=_PATIENCE)

    async def ready(self, *, within: float = _PATIENCE) -> None:
        """Return when /readyz says 200. Raises NotReadyError, or LabError as soon as the process has ended."""

        async def is_ready() -> bool:
            if self._output.exited.done():
                raise LabError(f"the gateway ended before it was ready\n{self._tail()}")
            try:
                return (await self.admin("/readyz")).status == 200
            except OSError:  # it does not listen yet
                return False

        await eventually(is_ready, within=within, what="the gateway is ready", detail=self._tail)

    async def metrics(self) -> Metrics:
        """One scrape."""
        return Metrics.parse((await self.admin("/metrics")).body.decode())

    async def metric(
        self, name: str, predicate: Callable[[float], bool], *, within: float = _PATIENCE, **labels: str
    ) -> float:
        """Scrape until the metric's value satisfies `predicate`, and return it. Raises NotReadyError."""
        value = 0.0

        async def satisfied() -> bool:
            nonlocal value
            value = (await self.metrics()).value(name, **labels)
            return predicate(value)

        what = f"{name} {labels}"
        await eventually(satisfied, within=within, what=what, detail=lambda: f"the last value was {value}")
        return value

    # ---------------------------------------------------------------- its end

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal. Raises ProcessLookupError when it has ended."""
        self._transport.send_signal(number)

    async def exit_code(self, *, within: float = _PATIENCE) -> int:
        """Wait for its end; what it returned, a negative signal number if it was killed. Raises NotReadyError."""
        try:
            async with asyncio.timeout(within):
                await asyncio.shield(self._output.exited)
        except TimeoutError as error:
            raise NotReadyError("the gateway ends", within, self._tail()) from error
        code = self._transport.get_returncode()
        assert code is not None
        return code

    async def terminate(self, *, within: float = _PATIENCE) -> int:
        """SIGTERM, and `exit_code`."""
        self.signal(signal.SIGTERM)
        return await self.exit_code(within=within)

    def _tail(self) -> str:
        return "\n".join(self.lines[-_SHOWN:])


def _has(event: Event, fields: Mapping[str, object]) -> bool:
    return all(key in event and event[key] == value for key, value in fields.items())
