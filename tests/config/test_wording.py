from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        (True, "true"),
        (5, "5"),
        (1.5, "1.5"),
        (date(2026, 1, 2), "2026-01-02"),
        (10**30, "a huge number"),
        ({"password": "hunter2"}, "a table"),
        (["hunter2"], "an array"),
        ([], "[]"),
        ("http://me:hunter2@host/", f'"http://{wording.MASK}@host/"'),
    ],
)
def test_a_value_as_its_author_wrote_it(value, text):
    assert wording.shown(value) == text


@given(st.text(max_size=300))
def test_what_is_shown_is_short_and_one_line(text):
    shown = wording.shown(text)
    assert len(shown) <= 80
    assert "\n" not in shown
    assert "\x1b" not in shown


def test_the_closest_is_suggested_or_all_are_named():
    assert wording.suggestion("lisen", ["listen", "target"]) == 'did you mean "listen"?'
    assert wording.suggestion("xyz", ["listen", "a b"]) == 'known are listen, "a b"'
    assert wording.suggestion("xyz", []) == "none is known here"
