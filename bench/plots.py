"""A run as pictures (SVG): one per place with a panel per measure, and the goals as ratios beside their reach."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.goals import GOALS, Kind, Verdict, judge
from bench.measures import MEASURES, Measure
from bench.peers.catalogue import GATEWAY
from bench.places import PlaceName
from bench.results import Run
from bench.summary import Spread, Summary

_OURS, _OTHERS, _MISSED = "#1b6ca8", "#b8bec7", "#c0392b"
_COLUMNS = 3

# The same run gives the same file, byte for byte; and text stays text.
mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 8})


def _save(canvas: Canvas, path: Path) -> str:
    canvas.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    return path.name


def _bars(axes: Axes, place: PlaceName, measure: Measure, summary: Summary) -> None:
    figure = measure.headline
    known: dict[str, Spread] = {}
    for peer in summary.peers(place, measure.name):
        value = summary.figure(place, measure.name, peer, figure.key)
        if value is not None:
            known[peer] = value
    if not known:
        axes.set_visible(False)
        return
    names = sorted(known, key=lambda peer: known[peer].median, reverse=True)
    medians = [known[name].median for name in names]
    errors = [[known[n].median - known[n].low for n in names], [known[n].high - known[n].median for n in names]]
    colours = [_OURS if name.startswith(GATEWAY) else _OTHERS for name in names]
    axes.barh(names, medians, xerr=errors, color=colours, error_kw={"elinewidth": 0.8, "capsize": 2})
    axes.set_title(measure.title, fontsize=8, loc="left")
    axes.set_xlabel(f"{figure.title} {figure.unit}: less is better")
    if len(medians) > 1 and min(medians) > 0 and max(medians) > 12 * min(medians):
        axes.set_xscale("log")  # else the slowest peer flattens all others
    axes.spines[["top", "right"]].set_visible(False)


def _place(run: Run, summary: Summary, place: PlaceName, directory: Path) -> str | None:
    measures = [measure for measure in MEASURES if summary.peers(place, measure.name)]
    if not measures:
        return None
    lines = -(-len(measures) // _COLUMNS)
    canvas = Canvas(figsize=(12, 2.4 * lines), layout="constrained")
    grid = canvas.subplots(lines, min(_COLUMNS, len(measures)), squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for axes, measure in zip(grid.flat, measures, strict=False):
        axes.set_visible(True)
        _bars(axes, place, measure, summary)
    canvas.suptitle(f"{place.value}: {run.machine['processor']}, {run.machine['cores']} cores, {run.machine['kernel']}")
    return _save(canvas, directory / f"{place.value}.svg")


def _goals(run: Run, summary: Summary, directory: Path) -> str | None:
    judged = [judge(goal, summary) for goal in GOALS if goal.kind is Kind.RATIO]
    shown = [one for one in reversed(judged) if one.measured]
    if not shown:
        return None
    canvas = Canvas(figsize=(9, 0.3 * len(shown) + 1), layout="constrained")
    axes = canvas.subplots()
    for row, one in enumerate(shown):
        if one.measured is None:
            continue
        colour = _OURS if one.verdict is Verdict.MET else _MISSED
        axes.plot([one.measured.low, one.measured.high], [row, row], color=colour, linewidth=1)
        axes.plot(one.measured.median, row, "o", color=colour, markersize=5)
        axes.plot(one.goal.reach, row, "|", color="black", markersize=12)
    axes.axvline(1, color=_OTHERS, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(shown)), [f"{one.goal.title} ({one.goal.place.value})" for one in shown])
    axes.set_xlim(left=0)
    axes.set_xlabel("ratio to HAProxy in the same round: dot = median, line = range, | = to reach")
    axes.spines[["top", "right"]].set_visible(False)
    canvas.suptitle(f"{run.date}, {run.machine['processor']}, {run.machine['cores']} cores, {run.machine['kernel']}")
    return _save(canvas, directory / "goals.svg")


def draw(run: Run, directory: Path) -> list[str]:
    """Writes the plots into `directory`; returns their names."""
    summary = Summary(run.samples)
    drawn = [_goals(run, summary, directory), *(_place(run, summary, place, directory) for place in PlaceName)]
    return [name for name in drawn if name]
