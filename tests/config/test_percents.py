from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import percents


@pytest.mark.parametrize(
    ("text", "ratio"), [("20%", 0.2), ("0%", 0), ("100%", 1), ("12.5%", 0.125), ("0.1%", 0.001), ("05.50%", 0.055)]
)
def test_what_a_text_stands_for(text, ratio):
    assert percents.parse(text) == ratio


@pytest.mark.parametrize(
    "value",
    ["", "20", "%", "20 %", "-1%", "101%", "100.1%", "1000%", ".5%", "5.%", "1.2345%", "٣%", "20%\n", 0.2, 20, None],
)
def test_what_is_no_percentage(value):
    with pytest.raises(ValueError, match=re.escape(percents.HOW)):
        percents.parse(value)


@given(st.integers(0, 100_000))
def test_what_is_shown_is_read_as_the_same(thousandths):
    ratio = thousandths / 100_000
    shown = percents.render(ratio)
    assert percents.parse(shown) == ratio
    assert re.fullmatch(percents.PATTERN, shown)


@pytest.mark.parametrize(
    ("ratio", "text"), [(0, "0%"), (0.1, "10%"), (0.125, "12.5%"), (1, "100%"), (0.00001, "0.001%")]
)
def test_how_a_ratio_is_shown(ratio, text):
    assert percents.render(ratio) == text
