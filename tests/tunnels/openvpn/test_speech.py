"""What OpenVPN prints, in its own form and before it knows of it."""

from __future__ import annotations

import pytest

from gateway.model import LineLevel
from gateway.tunnels.openvpn.speech import Said, said


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1700000000.123456 1 VERIFY OK: depth=0, CN=a", Said(level=LineLevel.INFO, text="VERIFY OK: depth=0, CN=a")),
        ("1700000000.123456 41 something", Said(level=LineLevel.WARNING, text="something")),
        ("1700000000.123456 21 TLS Error: x", Said(level=LineLevel.ERROR, text="TLS Error: x")),
        ("1700000000.123456 1 WARNING: x", Said(level=LineLevel.WARNING, text="WARNING: x")),
        ("1700000000.123456 80 detail", Said(level=LineLevel.DEBUG, text="detail")),
        ("1700000000.123456 1 VERIFY ERROR: x", Said(level=LineLevel.ERROR, text="VERIFY ERROR: x")),
        (
            "1700000000.123456 21 event_wait : Interrupted system call (fd=-1,code=4)",
            Said(level=LineLevel.DEBUG, text="event_wait : Interrupted system call (fd=-1,code=4)"),
        ),
        ("2026-11-27 18:00:00 Note: x", Said(level=LineLevel.INFO, text="Note: x")),
        ("Options error: x", Said(level=LineLevel.ERROR, text="Options error: x")),
    ],
)
def test_a_line_is_taken_apart(line, found):
    assert said(line) == found
