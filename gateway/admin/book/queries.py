"""What can be asked of the book, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.admin.book.activity import Activity
from gateway.model import LineLevel, VpnLine

PAGE: Final = 100
"""Entries of a page, when nobody says."""

LONGEST_PAGE: Final = 1000

T = TypeVar("T", VpnLine, Activity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which entries. Numbers are those of `Kept`. `tunnel` of an activity is either of its two.

    With `after` the oldest of those that fit, otherwise the newest (of those before `before`), `limit` at most.
    Of lines only: `level`, the least serious one, and `grep`, text in the line, whatever the case of ASCII letters.
    """

    tunnel: str | None = None
    since_unix: float | None = None
    level: LineLevel = LineLevel.DEBUG
    grep: str = ""
    after: int | None = None
    before: int | None = None
    limit: int = PAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(Generic[T]):
    """An entry with its number. Numbers grow, through restarts and new books, and have gaps."""

    number: int
    entry: T


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Entries, the oldest first. `more`: there are others in the direction that was asked for.

    `newest` is the number of the last entry that the book had, whether or not it fits the query.
    """

    entries: tuple[Kept[T], ...]
    more: bool
    newest: int
