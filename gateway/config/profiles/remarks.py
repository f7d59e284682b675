"""What is to be said of a profile: gathered while it is read, each with its line.

Arguments are never shown: one may be a secret, or a piece of one.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.wording import shown


class Remarks:
    """Problems and warnings of the profile at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._problems: list[str] = []
        self._warnings: list[str] = []

    def problem(self, line: int | None, what: str, why: str) -> None:
        """The profile cannot be used because of `what` (an option, a key, a section). No line: something is missing."""
        self._problems.append(self._at(line, what, why))

    def warning(self, line: int | None, what: str, why: str) -> None:
        """The profile can be used, but `what` is not done as it says."""
        self._warnings.append(self._at(line, what, why))

    @property
    def problems(self) -> Sequence[str]:
        """All problems, in the order in which they were found: that of the lines."""
        return tuple(self._problems)

    @property
    def warnings(self) -> Sequence[str]:
        """All warnings, in the same order."""
        return tuple(self._warnings)

    def _at(self, line: int | None, what: str, why: str) -> str:
        where = shown(self._path) if line is None else f"{shown(self._path)}, line {line}"
        return f"{where}: {what}: {why}"
