"""A run as Markdown: first what the gateway leaves of each tunnel and what it costs there, then every figure. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report import circumstances, not_taken, plain, table, with_spread
from bench.results import Run
from bench.summary import Spread, Summary
from bench.vpn.loads import LOADS, Load
from bench.vpn.ways import Way


def markdown(run: Run) -> str:
    """The whole report."""
    summary = Summary(run.samples)
    loads = [load for load in LOADS if any(sample.measure == load.name for sample in run.samples)]
    kinds = list(dict.fromkeys(sample.place for sample in run.samples))
    lines = [*_head(run, summary), *_overview(summary, kinds, loads)]
    for kind in kinds:
        lines += _details(summary, kind, run.peers[kind].what if kind in run.peers else kind, loads)
    lines += not_taken(summary, "kind", "way")
    return "\n".join(lines).rstrip() + "\n"


def _head(run: Run, summary: Summary) -> list[str]:
    rows = [[name, info.what, info.version] for name, info in run.peers.items()]
    return [
        f"# Throughput through each kind of VPN, {run.date}, on a {run.machine['machine']}",
        "",
        "Written by `python -m bench.vpn`; [docs/benchmarks.md](../../docs/benchmarks.md) says how it measures.",
        "",
        *circumstances(run, summary),
        "",
        *table(["", "what", "version"], rows, words=3),
    ]


def _overview(summary: Summary, kinds: Sequence[str], loads: Sequence[Load]) -> list[str]:
    def rows(cell: Callable[[str, Load], Spread | None]) -> list[list[str]]:
        return [[load.title, *(with_spread(cell(kind, load)) for kind in kinds)] for load in loads]

    return [
        "## What is left of a tunnel's rate with the gateway in it",
        "",
        "Rate through the gateway ÷ rate past it, in the same tunnel and the same round: median (least – greatest).",
        "",
        *table(["load", *kinds], rows(lambda kind, load: _ratio(summary, kind, load, "rate"))),
        "## The gateway's part of the CPU time of gateway and VPN client",
        "",
        *table(["load", *kinds], rows(lambda kind, load: _figure(summary, kind, load, Way.GATEWAY, "gateway_share"))),
        "## CPU time of both, through the gateway ÷ of the VPN client alone, past it",
        "",
        *table(["load", *kinds], rows(lambda kind, load: _ratio(summary, kind, load, "path_cpu"))),
    ]


def _details(summary: Summary, kind: str, what: str, loads: Sequence[Load]) -> list[str]:
    rates, latencies = [], []
    for load in loads:
        for way in Way:
            cells = [load.title, way.value]
            figures = [
                _figure(summary, kind, load, way, key)
                for key in ("rate", "gateway_cpu", "client_cpu", "server_cpu", "machine_cpu")
            ]
            rate, *costs = figures
            unit = f" {load.work.rate_unit}" if rate else ""
            rates.append([*cells, with_spread(rate) + unit, load.work.cost_unit, *map(with_spread, costs)])
            half = _figure(summary, kind, load, way, "p50_us")
            if half is not None:
                late = _figure(summary, kind, load, way, "p99_us")
                failed = _figure(summary, kind, load, way, "failed")
                latencies.append([*cells, with_spread(half), with_spread(late), plain(failed)])
    head = ["load", "way", "rate", "CPU in", "gateway", "VPN client", "VPN server", "machine busy"]
    lines = [f"## {kind}: {what}", "", *table(head, rates, words=2)]
    if latencies:
        lines += table(["load", "way", "half within µs", "99 % within µs", "failed"], latencies, words=2)
    return lines


def _figure(summary: Summary, kind: str, load: Load, way: Way, key: str) -> Spread | None:
    return summary.figure(kind, load.name, way, key)


def _ratio(summary: Summary, kind: str, load: Load, key: str) -> Spread | None:
    return summary.ratio(kind, load.name, key, peer=Way.GATEWAY, baseline=Way.DIRECT)
