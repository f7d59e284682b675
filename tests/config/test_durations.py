from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import durations

MONTH_IN_MICROSECONDS = 30 * 86_400 * 1_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("5s", 5),
        ("1.4s", 1.4),
        ("0.000001s", 0.000001),
        ("1m1.50s", 61.5),
        ("1m30s", 90),
        ("1h", 3600),
        ("2d", 172_800),
        ("50us", 0.00005),
        ("0s", 0),
        ("90m", 5400),
        ("1d1h1m1s1ms1us", 90_061.001001),
    ],
)
def test_what_a_text_stands_for(text, seconds):
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        "5 s",
        " 5s",
        "5s\n",
        "1.5h",
        "1.5ms",
        "1.s",
        ".5s",
        "1,5s",
        "1.1234567s",
        "1.4s1ms",
        "1.4s1s",
        "5S",
        "30s1m",
        "5s5s",
        "1m 30s",
        "5sec",
        "٣s",
        "9" * 99 + "s",
        5,
        5.0,
        True,
        None,
        ["5s"],
        {},
    ],
)
def test_what_is_no_duration(value):
    with pytest.raises(ValueError, match=re.escape(durations.HOW)):
        durations.parse(value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.4, "1.4s"), (90, "1m30s"), (61.05, "1m1.05s"), (60.5, "1m500ms"), (1, "1s")],
)
def test_how_an_amount_is_shown(seconds, text):
    assert durations.render(seconds) == text


@given(st.integers(0, MONTH_IN_MICROSECONDS))
def test_what_is_shown_is_read_as_the_same(microseconds):
    seconds = microseconds / 1_000_000
    assert durations.parse(durations.render(seconds)) == seconds


@given(st.text(alphabet="0123456789.dhmsu ", max_size=12))
def test_what_is_read_is_shown_as_the_same_amount(text):
    try:
        seconds = durations.parse(text)
    except ValueError:
        return
    assert durations.parse(durations.render(seconds)) == seconds
    assert re.fullmatch(durations.PATTERN, text)
