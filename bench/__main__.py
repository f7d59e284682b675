"""The command line: `python -m bench`. Chooses peers, measures and places, runs the plan, writes the results."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bench import plots, report, results
from bench.build import BUILD, load_program
from bench.command_line import chosen, console, have_rights, say
from bench.machine import describe, machine_name
from bench.measures import MEASURES, Settings
from bench.peers.base import Peer
from bench.peers.catalogue import contender, pairs, standard, variant
from bench.places import PlaceName, remove_stale
from bench.plan import Step, steps
from bench.results import PeerInfo, Run, Sample
from bench.sampling import take_all

RESULTS = Path(__file__).parent / "results"
QUICK = Settings(rounds=2, seconds=1.0)


def _available(peers: Sequence[Peer]) -> list[Peer]:
    for peer in peers:
        why = peer.missing()
        if why:
            console.print(f"bench: {peer.name} is left out: {why}")
    return [peer for peer in peers if peer.missing() is None]


def _run(peers: Sequence[Peer], settings: Settings, samples: Sequence[Sample]) -> Run:
    return Run(
        date=f"{datetime.now(tz=UTC):%Y-%m-%d}",
        machine=describe(),
        settings={name.replace("_", " "): str(value) for name, value in asdict(settings).items()},
        peers={peer.name: PeerInfo(what=peer.what, version=peer.version()) for peer in peers},
        samples=tuple(samples),
    )


def write(run: Run, directory: Path) -> None:
    """Writes the plots and the report of a run."""
    names = plots.draw(run, directory)
    (directory / "README.md").write_text(report.markdown(run, names))


def _measure(plan: Sequence[Step], peers: Sequence[Peer], settings: Settings, patience: float, directory: Path) -> Run:
    """Takes the samples; saves after each round, and what there is when interrupted."""
    file = directory / f"{datetime.now(tz=UTC):%Y-%m-%d}-{machine_name()}.json"
    directory.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    try:
        for sample in take_all(plan, settings, load_program(), patience):
            samples.append(sample)
            say(sample, len(samples), len(plan))
    finally:
        run = _run(peers, settings, samples)
        results.save(run, file)
        console.print(f"bench: {len(samples)} samples in {file}")
    return run


def main(  # noqa: PLR0917 - each is an option of the command line; typer knows no other way
    quick: Annotated[bool, typer.Option("--quick", help="Two short rounds, for a first look.")] = False,  # noqa: FBT002
    only: Annotated[str | None, typer.Option(help="Measures, by name: churn-rst,bulk-up-1")] = None,
    peers: Annotated[str | None, typer.Option(help="Peers, by name: gateway,haproxy")] = None,
    places: Annotated[str | None, typer.Option(help="Places: loopback,veth,tunnels")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; at least five for figures to be quoted.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Seconds of steady load in a sample.")] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds that a sample may wait for a quiet machine, and be taken again.")
    ] = 0,
    gateway_option: Annotated[
        list[str] | None, typer.Option(help="key=value in the gateway's [gateway]; may be repeated.")
    ] = None,
    variants: Annotated[
        list[str] | None,
        typer.Option("--variant", help="One more gateway beside it: no-reuse:reuse_upstreams=false[,key=value]"),
    ] = None,
    contenders: Annotated[
        list[str] | None,
        typer.Option("--contender", help="Any relay: 'name=command {listen_port} {target_port}' ({device}, {listen})"),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where results go.")] = None,
    again: Annotated[Path | None, typer.Option("--from", help="Measure nothing: write this result's report.")] = None,
    show: Annotated[bool, typer.Option("--list", help="Show measures and peers, and end.")] = False,  # noqa: FBT002
) -> None:
    """Measures the gateway beside its peers, interleaved, and writes tables and plots.

    A whole run goes to bench/results; a quick or partial one to bench/.build/results, unless --output says otherwise.
    """
    if again:
        write(results.load(again), output or again.parent)
        raise typer.Exit(0)
    options = pairs(gateway_option or [])
    known = standard(options)
    known += [variant(text, options) for text in variants or []] + [contender(text) for text in contenders or []]
    if show:
        for measure in MEASURES:
            console.print(f"{measure.name:17} {measure.title}")
        for peer in known:
            console.print(f"{peer.name:17} {peer.what}")
        raise typer.Exit(0)
    measures = chosen(only, {measure.name: measure for measure in MEASURES}, "measure")
    asked = chosen(peers, {peer.name: peer for peer in known}, "peer")
    where = chosen(places, {place.value: place for place in PlaceName}, "place")
    settings = QUICK if quick else Settings()
    settings = replace(settings, rounds=rounds or settings.rounds, seconds=seconds or settings.seconds)
    partial = any((quick, only, peers, places, gateway_option, variants, contenders))
    directory = output or (BUILD / "results" if partial else RESULTS)

    have_rights()
    remove_stale()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a stop undoes, a kill -TERM undoes as well
    asked = _available(asked)
    plan = list(steps(rounds=settings.rounds, places=where, measures=measures, peers=asked))
    write(_measure(plan, asked, settings, patience, directory), directory)
    console.print(f"bench: report in {directory / 'README.md'}")


if __name__ == "__main__":
    typer.run(main)
