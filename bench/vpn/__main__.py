"""The command line: `python -m bench.vpn`. Chooses kinds and loads, runs the plan, writes the results."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bench import results
from bench.build import BUILD, load_program
from bench.command_line import chosen, console, have_rights, say
from bench.machine import describe, machine_name
from bench.peers.gateway import gateway
from bench.results import PeerInfo, Run, Sample
from bench.vpn import report
from bench.vpn.cores import Cores, share_out
from bench.vpn.kinds import KINDS, Kind
from bench.vpn.loads import LOADS
from bench.vpn.plan import Sitting, sittings
from bench.vpn.sampling import Settings, take_all
from tests.lab import prerequisites

RESULTS = Path(__file__).parents[1] / "results"
QUICK = Settings(rounds=1, seconds=0.5)
_ALONE = gateway("gateway", "the gateway, one tunnel that it brought up, session log off", {})


def _run(kinds: Sequence[Kind], settings: Settings, cores: Cores, samples: Sequence[Sample]) -> Run:
    peers = {_ALONE.name: PeerInfo(what=_ALONE.what, version=_ALONE.version())}
    return Run(
        date=f"{datetime.now(tz=UTC):%Y-%m-%d}",
        machine=describe(),
        settings={
            "rounds": str(1 + max((sample.round for sample in samples), default=-1)),
            "seconds": str(settings.seconds),
            "pinned": str(cores),
        },
        peers=peers | {kind.name: PeerInfo(what=kind.what, version=kind.version()) for kind in kinds},
        samples=tuple(samples),
    )


def write(run: Run, directory: Path) -> None:
    """Writes the report of a run."""
    (directory / "vpn.md").write_text(report.markdown(run))


def _measure(plan: Sequence[Sitting], kinds: Sequence[Kind], settings: Settings, directory: Path) -> Run:
    """Takes the samples; keeps what there is when interrupted."""
    file = directory / f"vpn-{datetime.now(tz=UTC):%Y-%m-%d}-{machine_name()}.json"
    directory.mkdir(parents=True, exist_ok=True)
    cores = share_out(sorted(os.sched_getaffinity(0)))
    total = sum(len(sitting.questions) for sitting in plan)
    samples: list[Sample] = []
    try:
        for sample in take_all(plan, settings, load_program(), cores):
            samples.append(sample)
            say(sample, len(samples), total)
    finally:
        run = _run(kinds, settings, cores, samples)
        results.save(run, file)
        console.print(f"bench: {len(samples)} samples in {file}")
    return run


def main(  # noqa: PLR0917 - each is an option of the command line; typer knows no other way
    quick: Annotated[bool, typer.Option("--quick", help="One short round, for a first look.")] = False,  # noqa: FBT002
    only: Annotated[str | None, typer.Option(help="Loads, by name: bulk-up-1,churn-rst")] = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds, by name: openvpn-gcm,wireguard")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Seconds of steady load in a sample.")] = None,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="A round that would end after so many minutes is not begun: 6.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where results go.")] = None,
    again: Annotated[Path | None, typer.Option("--from", help="Measure nothing: write this result's report.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show kinds and loads, and end.")] = False,  # noqa: FBT002
) -> None:
    """Measures what the gateway costs beside the VPN client that it runs, through it and past it in one tunnel.

    A whole run goes to bench/results; a quick or partial one to bench/.build/results, unless --output says otherwise.
    """
    if again:
        write(results.load(again), output or again.parent)
        raise typer.Exit(0)
    if show:
        for kind in KINDS:
            console.print(f"{kind.name:17} {kind.what}")
        for load in LOADS:
            console.print(f"{load.name:17} {load.title}")
        raise typer.Exit(0)
    loads = chosen(only, {load.name: load for load in LOADS}, "load")
    asked = chosen(kinds, {kind.name: kind for kind in KINDS}, "kind")
    settings = QUICK if quick else Settings()
    settings = replace(
        settings,
        rounds=rounds or settings.rounds,
        seconds=seconds or settings.seconds,
        minutes=minutes or settings.minutes,
    )
    directory = output or (BUILD / "results" if any((quick, only, kinds)) else RESULTS)

    have_rights()
    if lacking := prerequisites.missing():
        console.print(f"bench: the lab needs {', '.join(lacking)}")
        raise typer.Exit(1)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a stop undoes, a kill -TERM undoes as well
    plan = list(sittings(rounds=settings.rounds, kinds=asked, loads=loads))
    write(_measure(plan, asked, settings, directory), directory)
    console.print(f"bench: report in {directory / 'vpn.md'}")


if __name__ == "__main__":
    typer.run(main)
