"""The matrix as a Markdown table: a row for each fault, the worst of its rounds in each column. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tests.e2e.matrix.cases import Case
from tests.e2e.matrix.results import Count, Round, complaints, false_transitions

BEGIN = "<!-- matrix: written by `python -m tests.e2e.matrix report` -->"
END = "<!-- matrix: end -->"

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
    align = "|---|---|" + "---:|" * 4 + "---|" + "---:|" * 4 + "---|"
    lines = ["| " + " | ".join(_HEAD) + " |", align, *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join(lines) + "\n"


def into(document: str, made: str) -> str:
    """`document` with `made` between its marks. Raises ValueError if it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def _row(case: Case, rounds: Sequence[Round]) -> Sequence[str]:
    wrong = [complaint for each in rounds for complaint in complaints(case, each)]
    causes = sorted({each.cause for each in rounds if each.cause})
    return (
        case.title,
        case.sort.title,
        str(len(rounds)),
        _worst(rounds, lambda each: each.decided) if case.sort.moves else _NONE,
        _worst(rounds, lambda each: each.moved) if case.sort.moves else _NONE,
        _NONE if case.sort.goal is None else f"≤ {_seconds(case.sort.goal)}",
        ", ".join(causes) or _NONE,
        _lost(each.active for each in rounds),
        _lost(each.standby for each in rounds),
        f"{sum(false_transitions(case, each) for each in rounds)} in {_seconds(sum(each.watched for each in rounds))}",
        _worst(rounds, lambda each: each.back) if case.sort.moves else _NONE,
        _pages(rounds),
        "good" if not wrong else "missed: " + "; ".join(wrong).replace("|", "/"),
    )


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
