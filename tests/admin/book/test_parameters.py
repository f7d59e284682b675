"""What a request for entries asks."""

import pytest

from gateway.admin.answers import BadRequestError
from gateway.admin.book.parameters import (
    OF_ACTIVITIES,
    OF_ACTIVITIES_FOLLOWED,
    OF_LINES,
    OF_LINES_FOLLOWED,
    query_of,
)
from gateway.admin.book.queries import Query
from gateway.model import LineLevel
from tests.admin.book.entries import NOW


def asked(*pairs, allowed=OF_LINES, **more):
    return query_of(pairs, allowed, now_unix=NOW, **more)


def test_nothing_said():
    assert asked() == Query()
    assert asked(page=10).limit == 10
    assert asked(("limit", "7"), page=10).limit == 7


def test_everything_said():
    pairs = [("tunnel", "zone-a"), ("since", "1h30m"), ("level", "warning"), ("grep", "TLS ü"), ("limit", "1000")]
    assert asked(*pairs, ("before", "0")) == Query(
        tunnel="zone-a", since_unix=NOW - 5400, level=LineLevel.WARNING, grep="TLS ü", before=0, limit=1000
    )
    assert asked(("after", "9007199254740993")).after == 9007199254740993


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([("level", "warn")], "'level': there are debug, info, warning, error"),
        ([("since", "1")], '"since": must be a duration'),
        ([("since", "99999d")], '"since": at most 36500d'),
        ([("limit", "0")], "'limit': a whole number, 1 to 1000"),
        ([("limit", "1001")], "'limit': a whole number, 1 to 1000"),
        ([("limit", "ten")], "'limit': a whole number"),
        ([("after", "-1")], "'after': a whole number"),
        ([("after", "²")], "'after': a whole number"),
        ([("before", "9" * 5000)], "'before': a whole number"),
        ([("before", str(2**63))], "'before': a whole number"),
        ([("after", "1"), ("before", "2")], "'after' or 'before', not both"),
        ([("tunnel", "a"), ("tunnel", "b")], "'tunnel': once only"),
        ([("tunel", "a")], "'tunel' is unknown: there are after, before, grep, level, limit, since, tunnel"),
    ],
)
def test_what_cannot_be_understood(pairs, says):
    with pytest.raises(BadRequestError) as caught:
        asked(*pairs)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    ("allowed", "key"),
    [
        (OF_ACTIVITIES, "level"),
        (OF_ACTIVITIES, "grep"),
        (OF_LINES_FOLLOWED, "before"),
        (OF_ACTIVITIES_FOLLOWED, "before"),
    ],
)
def test_what_makes_no_sense_there(allowed, key):
    with pytest.raises(BadRequestError, match=f"'{key}' is unknown"):
        asked((key, "1"), allowed=allowed)
