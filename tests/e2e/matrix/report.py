"""The matrix as Markdown tables: a row for each fault, the worst of its rounds in each column. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.e2e.matrix.cases import Case
from tests.e2e.matrix.results import Count, Round, complaints, false_transitions

_WRITTEN = "written by `python -m tests.e2e.matrix report`"
MATRIX, KINDS = "matrix", "kinds"
"""The marks of the two tables in a document."""

Pair = tuple[str, str]
"""An active kind, and the one that stands by."""

_NONE = "–"
_HEAD = (
    "fault",
    "shows as",
    "rounds",
    "decided",
    "first session on the standby",
    "goal",
    "cause",
    "lost: active",
    "lost: standby",
    "false transitions",
    "back UP after",
    "pages: reset, failed",
    "",
)


def table(rounds: Mapping[str, Sequence[Round]], cases: Iterable[Case]) -> str:
    """The table. Cases without rounds are left out."""
    rows = [_row(case, rounds[case.name]) for case in cases if rounds.get(case.name)]
    align = "|---|---|" + "---:|" * 4 + "---|" + "---:|" * 5 + "---|"
    lines = [_line(_HEAD), align, *map(_line, rows)]
    return "\n".join(lines) + "\n"


def kinds_table(rounds: Mapping[Pair, Mapping[str, Sequence[Round]]], cases: Iterable[Case]) -> str:
    """The table of tunnels of different kinds: a column for each pair, active and standby; and what was missed.

    A cell has the time to the first session on the standby, and that to the active tunnel being UP again.
    """
    pairs = [pair for pair in rounds if any(rounds[pair].values())]
    played = [case for case in cases if any(rounds[pair].get(case.name) for pair in pairs)]
    head = ["fault", "goal", *(f"{active} → {standby}" for active, standby in pairs)]
    rows = [
        [case.title, _goal(case), *(_cell(case, rounds[pair].get(case.name, ())) for pair in pairs)] for case in played
    ]
    lines = [_line(head), "|---|" + "---:|" * (len(head) - 1), *map(_line, rows)]
    missed = [
        f"- {case.title}, {active} → {standby}: {complaint}"
        for case in played
        for active, standby in pairs
        for each in rounds[active, standby].get(case.name, ())
        for complaint in complaints(case, each)
    ]
    return "\n".join([*lines, *(["", "Missed:", "", *missed] if missed else [])]) + "\n"


def begin(mark: str) -> str:
    """The line of a document after which the table `mark` begins."""
    return f"<!-- {mark}: {_WRITTEN} -->"


def end(mark: str) -> str:
    """The line before which it ends."""
    return f"<!-- {mark}: end -->"


def into(document: str, made: str, mark: str = MATRIX) -> str:
    """`document` with `made` between its marks. Raises ValueError if it has none."""
    before, first, rest = document.partition(begin(mark))
    _, last, after = rest.partition(end(mark))
    if not first or not last:
        raise ValueError(f"the document has no {begin(mark)} and {end(mark)}")
    return f"{before}{first}\n\n{made}\n{last}{after}"


def _row(case: Case, rounds: Sequence[Round]) -> Sequence[str]:
    wrong = [complaint for each in rounds for complaint in complaints(case, each)]
    causes = sorted({each.cause for each in rounds if each.cause})
    return (
        case.title,
        case.sort.title,
        str(len(rounds)),
        _worst(rounds, lambda each: each.decided) if case.sort.moves else _NONE,
        _worst(rounds, lambda each: each.moved) if case.sort.moves else _NONE,
        _goal(case),
        ", ".join(causes) or _NONE,
        _lost(each.active for each in rounds),
        _lost(each.standby for each in rounds),
        f"{sum(false_transitions(case, each) for each in rounds)} in {_seconds(sum(each.watched for each in rounds))}",
        _worst(rounds, lambda each: each.back) if case.sort.moves else _NONE,
        _pages(rounds),
        "good" if not wrong else "missed: " + "; ".join(wrong).replace("|", "/"),
    )


def _cell(case: Case, rounds: Sequence[Round]) -> str:
    if not rounds:
        return _NONE
    shown = (
        f"{_worst(rounds, lambda each: each.moved)}, {_worst(rounds, lambda each: each.back)}"
        if case.sort.moves
        else f"{sum(false_transitions(case, each) for each in rounds)} false"
    )
    return f"**{shown}**" if any(complaints(case, each) for each in rounds) else shown


def _goal(case: Case) -> str:
    return _NONE if case.sort.goal is None else f"≤ {_seconds(case.sort.goal)}"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _worst(rounds: Sequence[Round], figure: Callable[[Round], float | None]) -> str:
    figures = [figure(each) for each in rounds]
    known = [each for each in figures if each is not None]
    return "never" if len(known) < len(figures) else _seconds(max(known))


def _lost(counts: Iterable[Count]) -> str:
    all_counts = list(counts)
    return f"{sum(each.lost for each in all_counts)} of {sum(each.held for each in all_counts)}"


def _pages(rounds: Sequence[Round]) -> str:
    reset, failed, pages = (
        sum(figures) for figures in zip(*((r.reset, r.failed, r.readings) for r in rounds), strict=True)
    )
    return f"{reset}, {failed} of {pages:,}"


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
