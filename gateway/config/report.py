"""Collects what is wrong, and what is merely worth a look, while a file is read; sorts it into file order."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.places import Place
from gateway.errors import Problem

_LAST = 1 << 62


class Report:
    """Problems and warnings of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def problem(self, place: Place, key: str, expected: str, *, found: str | None = None) -> None:
        """The file cannot be used because of this."""
        self._problems.append(self._at(place, key, expected, found))

    def warning(self, place: Place, key: str, text: str) -> None:
        """The file can be used, but the operator should know this."""
        self._warnings.append(self._at(place, key, text, None))

    @property
    def problems(self) -> Sequence[Problem]:
        """All problems, by the line of their entry; those without a line last."""
        return sorted(self._problems, key=_line)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All warnings as text, in the same order."""
        return tuple(map(str, sorted(self._warnings, key=_line)))

    def _at(self, place: Place, key: str, expected: str, found: str | None) -> Problem:
        return Problem(file=self._file, place=place.name, key=key, found=found, expected=expected, line=place.line)


def _line(problem: Problem) -> int:
    return _LAST if problem.line is None else problem.line
