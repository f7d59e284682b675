"""What a request for entries of the book asks, from the query of its URL. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.admin.answers import BadRequestError, seconds_of
from gateway.admin.book.queries import LONGEST_PAGE, PAGE, Query
from gateway.model import LineLevel

_FOREVER: Final = 100 * 365 * 86_400.0  # seconds; nothing is older
_LAST: Final = 2**63 - 1
_OF_ALL: Final = frozenset({"tunnel", "since", "limit", "after"})

OF_LINES: Final = _OF_ALL | {"level", "grep", "before"}
OF_LINES_FOLLOWED: Final = _OF_ALL | {"level", "grep"}
OF_ACTIVITIES: Final = _OF_ALL | {"before"}
OF_ACTIVITIES_FOLLOWED: Final = _OF_ALL


def query_of(pairs: Iterable[tuple[str, str]], allowed: frozenset[str], *, now_unix: float, page: int = PAGE) -> Query:
    """The query that names and values say; `page` entries where nobody says how many. Raises BadRequestError."""
    asked: dict[str, str] = {}
    for key, value in pairs:
        if key not in allowed:
            raise BadRequestError(f"{key!r} is unknown: there are {', '.join(sorted(allowed))}")
        if key in asked:
            raise BadRequestError(f"{key!r}: once only")
        asked[key] = value
    since = seconds_of(asked.get("since"), "since", at_most=_FOREVER)
    query = Query(
        tunnel=asked.get("tunnel"),
        since_unix=None if since is None else now_unix - since,
        level=_level(asked),
        grep=asked.get("grep", ""),
        after=_number(asked, "after", at_least=0, at_most=_LAST),
        before=_number(asked, "before", at_least=0, at_most=_LAST),
        limit=_number(asked, "limit", at_least=1, at_most=LONGEST_PAGE) or page,
    )
    if query.after is not None and query.before is not None:
        raise BadRequestError("'after' or 'before', not both")
    return query


def _level(asked: Mapping[str, str]) -> LineLevel:
    level = asked.get("level", LineLevel.DEBUG)
    try:
        return LineLevel(level)
    except ValueError as exc:
        raise BadRequestError(f"'level': there are {', '.join(LineLevel)}") from exc


def _number(asked: Mapping[str, str], key: str, *, at_least: int, at_most: int) -> int | None:
    text = asked.get(key)
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_LAST)) and at_least <= int(text) <= at_most:
        return int(text)
    raise BadRequestError(f"{key!r}: a whole number, {at_least} to {at_most}")
