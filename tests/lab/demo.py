"""The gateway in six seconds: `python -m tests.lab.demo`, or `make demo`, as root.

Two VPN sites lead to one company. A client reads the company's page through the gateway, a new connection every 10 ms.
After three seconds the VPN client of the active tunnel is killed. What was seen is printed: which tunnel answered when,
how long the gap was, what was lost. Exit status 0 if the page was read before and after, 1 if not, and if there can be
no lab.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from statistics import median

import uvloop
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.e2e.harness import GatewayProcess, configuration
from tests.e2e.reading import Outcome, Reading, answered, reading
from tests.lab.corp import HTTP_PORT
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.topology import CORP_ADDRESS, Site

_PORT = 33000
_FORWARD = f"""[[forward]]
name = "hello"
listen = "127.0.0.1:{_PORT}"
target = "{CORP_ADDRESS}:{HTTP_PORT}"
"""
_BEFORE = _AFTER = 3.0  # seconds
_WORDS = {Outcome.RESET: "[red]reset", Outcome.FAILED: "[red]failed"}
_TOLD = ("tunnel.transition", "forward.failover")  # what is shown of the gateway's log


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the timeline: something happened, or the same was seen for a while."""

    at: float
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that was seen: `tunnels` is the tunnel by the address that the company saw, `happened` what else there was.

    All moments are seconds as of `time.time()`.
    """

    readings: Sequence[Reading]
    tunnels: Mapping[str, str]
    killed_at: float
    happened: Sequence[Line] = ()

    @property
    def pages(self) -> list[Reading]:
        """The readings that were answered, in order of their answers."""
        return [each for each in self.readings if each.outcome is Outcome.ANSWERED]

    @property
    def before(self) -> bool:
        """Whether the page was read before the tunnel died."""
        return any(each.ended < self.killed_at for each in self.pages)

    @property
    def back_at(self) -> float | None:
        """When the first page that was asked for after the tunnel had died was there; None for never."""
        return min((each.ended for each in self.pages if each.began > self.killed_at), default=None)

    @property
    def gap(self) -> float | None:
        """Seconds from the last page through the tunnel that died to the first one through another; None for never."""
        first = self.pages[0].seen if self.pages else ""
        last_at = max((each.ended for each in self.pages if each.seen == first), default=None)
        next_at = min((each.ended for each in self.pages if each.seen != first), default=None)
        return None if last_at is None or next_at is None else next_at - last_at

    def lost(self, outcome: Outcome) -> int:
        """How many readings had this outcome."""
        return sum(each.outcome is outcome for each in self.readings)

    def timeline(self) -> list[Line]:
        """What happened, and what the readings saw, in order."""
        lines = [*self.happened, Line(self.killed_at, "[bold]the VPN client of the active tunnel is killed")]
        for what, group in groupby(self.readings, self._what):
            run = list(group)
            milliseconds = median(each.ended - each.began for each in run) * 1000
            lines.append(Line(run[0].ended, what, f"{len(run)} × {milliseconds:.1f} ms"))
        return sorted(lines, key=lambda line: line.at)

    def _what(self, each: Reading) -> str:
        if each.outcome is not Outcome.ANSWERED:
            return f"{_WORDS[each.outcome]}: {escape(each.error)}"
        return f"[green]page through {self.tunnels.get(each.seen, each.seen)}"


async def watch(lab: Lab, directory: Path, console: Console) -> Seen:
    """Run the gateway, read, kill the active tunnel, read on."""
    async with GatewayProcess(lab, directory, configuration(lab, _FORWARD)) as gateway:
        await gateway.ready()
        tunnels = {vpn.address: f"zone-{site}" for site, vpn in lab.vpns.items()}
        console.print("The gateway runs; the page is read every 10 ms.")
        async with reading(lab.cloud, _PORT) as readings:
            await answered(readings, lab.vpn(Site.A).address)
            mark = len(gateway.events)
            await asyncio.sleep(_BEFORE)
            killed_at = time.time()
            await asyncio.to_thread(lab.faults.kill9(lab.vpn(Site.A).client).inject)
            console.print("The VPN client of zone-a is dead.")
            await asyncio.sleep(_AFTER)
        told = [
            Line(
                datetime.fromisoformat(str(event["timestamp"])).timestamp(),
                f"[yellow]{event['event']}",
                " ".join(
                    f"{key}={event[key]}" for key in ("tunnel", "from_tunnel", "to_tunnel", "cause") if key in event
                ),
            )
            for event in gateway.events[mark:]
            if event["event"] in _TOLD
        ]
        await gateway.terminate()
    return Seen(readings=readings, tunnels=tunnels, killed_at=killed_at, happened=told)


def show(seen: Seen, console: Console) -> None:
    """Print the timeline and the figures."""
    began = seen.readings[0].began
    timeline = Table(title="What was seen", title_justify="left")
    timeline.add_column("s", justify="right")
    timeline.add_column("what")
    timeline.add_column("how much, why")
    for line in seen.timeline():
        timeline.add_row(f"{line.at - began:.3f}", line.what, line.detail)
    console.print(timeline)

    figures = Table.grid(padding=(0, 2))
    figures.add_row("pages read", f"{len(seen.pages)} of {len(seen.readings)}")
    figures.add_row("gap, from page to page", f"{_milliseconds(seen.gap)} (10 ms is the beat)")
    back = None if seen.back_at is None else seen.back_at - seen.killed_at
    figures.add_row("from the kill to the next page", _milliseconds(back))
    lost = f"{seen.lost(Outcome.RESET)} reset at once, {seen.lost(Outcome.FAILED)} failed otherwise"
    figures.add_row("requests lost", lost)
    console.print(figures)


def _milliseconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds * 1000:.0f} ms"


def main() -> int:
    """The demonstration; its exit status. Raises LabError where there can be no lab."""
    console = Console()
    console.print("Building two VPN sites, and a company behind them ...")
    with Lab("openvpn") as lab, tempfile.TemporaryDirectory() as directory:
        seen = uvloop.run(watch(lab, Path(directory), console))
    show(seen, console)
    return 0 if seen.before and seen.back_at is not None else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"demo: {error}")
