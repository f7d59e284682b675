from __future__ import annotations

from gateway.tunnels.flood import Flood


def test_so_many_at_once_then_so_many_a_second_and_how_many_were_left_out():
    flood = Flood(at_once=3, a_second=2.0)
    assert [flood.passes(10.0) for _ in range(5)] == [0, 0, 0, None, None]
    assert flood.passes(10.4) is None
    assert flood.passes(10.5) == 3
    assert flood.passes(10.6) is None
    assert [flood.passes(1000.0) for _ in range(4)] == [1, 0, 0, None]


def test_a_clock_that_stands_still_gives_nothing():
    flood = Flood(at_once=1, a_second=100.0)
    assert [flood.passes(5.0), flood.passes(5.0), flood.passes(4.0)] == [0, None, None]
