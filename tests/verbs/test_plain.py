"""Text of a VPN server does nothing to a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.verbs.plain import plain


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("TLS Error: TLS handshake failed", "TLS Error: TLS handshake failed"),
        ("CN=Zürich, O=日本", "CN=Zürich, O=日本"),
        ("\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
        ("one\r\ntwo", "one\\x0d\\x0atwo"),
        ("\x9b31m", "\\x9b31m"),  # the same in one character
        ("a\tb\u00a0c", "a b c"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_cannot_be_seen_is_shown(text, seen):
    assert plain(text) == seen


@given(st.text())
def test_whatever_it_is_it_becomes_one_line_that_can_be_printed(text):
    made = plain(text)
    assert made.isprintable()
    made.encode()
