"""A run as Markdown: what it ran on, goals first, an overview per place, then every figure with its spread. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.goals import GOALS, Kind, judge
from bench.measures import MEASURES, Figure, Measure
from bench.peers.catalogue import BASELINE, BASELINE_SAME, GATEWAY
from bench.places import PlaceName
from bench.results import Run
from bench.summary import Spread, Summary

NONE = "–"
_PLACES = {
    PlaceName.LOOPBACK: "Loopback: client, proxy and target meet on lo",
    PlaceName.VETH: "veth: client, proxy and target in namespaces of their own",
    PlaceName.TUNNELS: "Two tunnels: the active one loses its carrier",
}


def significant(value: float) -> str:
    """A number with three significant digits, without an exponent."""
    size = abs(value)
    if size >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"


def with_spread(spread: Spread | None) -> str:
    """Median (least – greatest)."""
    if spread is None:
        return NONE
    return f"{significant(spread.median)} ({significant(spread.low)} – {significant(spread.high)})"


def plain(spread: Spread | None) -> str:
    """The median alone."""
    return NONE if spread is None else significant(spread.median)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> list[str]:
    """A table; its first `words` columns are words, the others numbers."""
    align = "|" + "---|" * words + "---:|" * (len(head) - words)
    return ["| " + " | ".join(head) + " |", align, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _titled(figure: Figure) -> str:
    return f"{figure.title} {figure.unit}".strip()


def _goals(summary: Summary) -> list[str]:
    rows = []
    for goal in GOALS:
        judged = judge(goal, summary)
        unit = f" {goal.unit}" if goal.unit else ""
        measured = with_spread(judged.measured) + (unit if judged.measured else "")
        limit = f"≤ {goal.reach:g}{unit}" if goal.kind is Kind.ABSOLUTE else f"≤ {goal.reach:.2f}"
        rows.append([goal.title, goal.place.value, limit, measured, with_spread(judged.same), judged.verdict.value])
    head = ["figure", "place", "reach", "measured", "to HAProxy with the same options", ""]
    return [
        "## Goals",
        "",
        f"Ratios of `{GATEWAY}` to `{BASELINE}` (HAProxy with its default socket options) in the same round:",
        "median (least – greatest). `same` gives HAProxy the gateway's socket options; it decides nothing.",
        "",
        *table(head, rows, words=2),
    ]


def _overview(place: PlaceName, measures: Sequence[Measure], summary: Summary) -> list[str]:
    shown = [measure for measure in measures if summary.peers(place, measure.name)]
    peers = list(dict.fromkeys(peer for measure in shown for peer in summary.peers(place, measure.name)))
    order = [peer for peer in peers if peer.startswith(GATEWAY)] + [p for p in peers if not p.startswith(GATEWAY)]
    rows = [
        [
            f"{measure.title}: {_titled(measure.headline)}",
            *(plain(summary.figure(place, measure.name, peer, measure.headline.key)) for peer in order),
        ]
        for measure in shown
    ]
    return table(["median", *order], rows)


def _details(place: PlaceName, measure: Measure, summary: Summary) -> list[str]:
    rows = []
    key = measure.headline.key
    for peer in summary.peers(place, measure.name):
        figures = [with_spread(summary.figure(place, measure.name, peer, figure.key)) for figure in measure.figures]
        ratios = [
            plain(summary.ratio(place, measure.name, key, peer=peer, baseline=baseline))
            for baseline in (BASELINE, BASELINE_SAME)
        ]
        rows.append([peer, *figures, *ratios])
    if not rows:
        return []
    head = ["peer", *(_titled(figure) for figure in measure.figures), "÷ haproxy", "÷ haproxy-same"]
    return [f"### {place.value}, {measure.title}", "", *table(head, rows)]


def circumstances(run: Run, summary: Summary) -> list[str]:
    """What the figures must be read with: machine, settings, noise."""
    machine = ", ".join(f"{name} {value}" for name, value in run.machine.items() if name != "machine")
    settings = ", ".join(f"{name} {value}" for name, value in run.settings.items())
    lines = [f"- Machine: {machine}", f"- Settings: {settings}"]
    if noise := summary.foreign_share():
        lines.append(f"- Noise: other processes took {noise.median:.1%} of a core meanwhile (worst {noise.high:.1%})")
    return lines


def not_taken(summary: Summary, place: str = "place", peer: str = "peer") -> list[str]:
    """A section on the samples that could not be taken; nothing if all were. `place` and `peer` head their columns."""
    errors = summary.errors()
    if not errors:
        return []
    rows = [[e.place, e.measure, e.peer, str(e.round + 1), e.error.replace("|", "/")] for e in errors]
    head = [place, "measure", peer, "round", "why"]
    return ["## Samples that could not be taken", "", *table(head, rows, words=5)]


def _head(run: Run, summary: Summary, plots: Sequence[str]) -> list[str]:
    lines = [
        f"# Benchmark of {run.date} on a {run.machine['machine']}",
        "",
        "Written by `python -m bench`; [docs/benchmarks.md](../../docs/benchmarks.md) says how it measures.",
        "",
        *circumstances(run, summary),
    ]
    rows = [[name, info.what, info.version] for name, info in run.peers.items()]
    lines += ["", *table(["peer", "what", "version"], rows, words=3)]
    return lines + [line for plot in plots for line in (f"![{plot}]({plot})", "")]


def markdown(run: Run, plots: Sequence[str] = ()) -> str:
    """The whole report. `plots` are file names beside it."""
    summary = Summary(run.samples)
    lines = _head(run, summary, plots) + _goals(summary)
    for place, title in _PLACES.items():
        measures = [measure for measure in MEASURES if summary.peers(place, measure.name)]
        if not measures:
            continue
        lines += [f"## {title}", "", *_overview(place, measures, summary)]
        for measure in measures:
            lines += _details(place, measure, summary)
    lines += not_taken(summary)
    return "\n".join(lines).rstrip() + "\n"
