from __future__ import annotations

import pytest

from tests.e2e.reading import Outcome, Reading
from tests.lab.demo import Line, Seen


def _page(began, by, took=0.003):
    return Reading(began, began + took, Outcome.ANSWERED, seen=by)


_TUNNELS = {"10.71.1.2": "zone-a", "10.72.1.2": "zone-b"}
_READINGS = (
    _page(1.00, "10.71.1.2"),
    _page(1.01, "10.71.1.2"),
    Reading(1.02, 1.03, Outcome.RESET, error="[Errno 104] Connection reset by peer"),
    _page(1.03, "10.72.1.2"),
    _page(1.04, "10.72.1.2"),
)


def test_the_gap_is_from_page_to_page_and_what_was_lost_is_counted():
    seen = Seen(readings=_READINGS, tunnels=_TUNNELS, killed_at=1.022)
    assert seen.before
    assert seen.back_at == pytest.approx(1.033)
    assert seen.gap == pytest.approx(0.02)
    assert (len(seen.pages), seen.lost(Outcome.RESET), seen.lost(Outcome.FAILED)) == (4, 1, 0)


def test_what_never_came_back_is_no_success():
    seen = Seen(readings=_READINGS[:3], tunnels=_TUNNELS, killed_at=1.022)
    assert (seen.before, seen.back_at, seen.gap) == (True, None, None)


def test_what_was_never_there_is_no_success_either():
    seen = Seen(readings=_READINGS[3:], tunnels=_TUNNELS, killed_at=1.022)
    assert not seen.before
    assert Seen(readings=(), tunnels={}, killed_at=0).gap is None


def test_the_timeline_puts_everything_in_its_order():
    fell = Line(1.025, "tunnel.transition", "tunnel=zone-a")
    lines = Seen(readings=_READINGS, tunnels=_TUNNELS, killed_at=1.022, happened=[fell]).timeline()
    assert [line.what.rpartition("]")[2] for line in lines] == [
        "page through zone-a",
        "the VPN client of the active tunnel is killed",
        "tunnel.transition",
        " Connection reset by peer",
        "page through zone-b",
    ]
    assert lines[0].detail == "2 × 3.0 ms"
