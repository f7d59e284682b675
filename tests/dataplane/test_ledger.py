"""The ledger: entries that stay, lanes that are found, and sums that add up."""

from __future__ import annotations

import pytest

from gateway.dataplane.ledger import Ledger
from gateway.model import CloseReason, ConnectResult, DialFailure, ForwardSpec


def spec(name: str, max_connections: int = 10) -> ForwardSpec:
    return ForwardSpec(name=name, ports=(), tunnels=(), max_connections=max_connections)


def test_a_forward_keeps_its_entry_and_its_counts_under_a_new_specification() -> None:
    ledger = Ledger()
    entry = ledger.forward(spec("f"))
    entry.closed[CloseReason.EOF] += 3
    assert ledger.forward(spec("f", 20)) is entry
    assert entry.limit == 20
    assert ledger.snapshot(accept_pauses=0).closed == {("f", CloseReason.EOF): 3}


def test_a_lane_is_one_forward_through_one_tunnel() -> None:
    ledger = Ledger()
    forwards = [ledger.forward(spec(name)) for name in ("f", "g")]
    tunnels = [ledger.tunnel(name) for name in ("a", "b")]
    lanes = {(f.spec.name, t.name): ledger.lane(f, t) for f in forwards for t in tunnels}
    assert len(set(map(id, lanes.values()))) == 4
    assert ledger.lane(forwards[0], tunnels[0]) is lanes["f", "a"]
    assert set(ledger.lanes_of("a", ["f", "g", "unheard"])) == {lanes["f", "a"], lanes["g", "a"]}
    assert ledger.lanes_of("a", ["g"]) == [lanes["g", "a"]]
    assert ledger.lanes_of("unheard", ["f"]) == []
    assert set(ledger.lanes()) == set(lanes.values())


def test_nothing_counted_is_nothing_said() -> None:
    ledger = Ledger()
    ledger.forward(spec("f"))
    ledger.tunnel("a")
    stats = ledger.snapshot(accept_pauses=0)
    assert (stats.connections, stats.closed, stats.to_target, stats.connect_seconds) == ({}, {}, {}, {})


def test_what_is_counted_is_summed_by_its_keys() -> None:
    ledger = Ledger()
    entry, tunnel = ledger.forward(spec("f")), ledger.tunnel("a")
    lane = ledger.lane(entry, tunnel)
    entry.results[ConnectResult.DENIED] += 2
    entry.closed[CloseReason.IDLE] += 1
    entry.last_resort += 1
    lane.failures[DialFailure.REFUSED] += 4
    lane.to_target, lane.to_client = 5, 6
    stats = ledger.snapshot(accept_pauses=7)
    assert stats.connections == {("f", ConnectResult.DENIED): 2, ("f", ConnectResult.OK): 1}
    assert stats.closed == {("f", CloseReason.IDLE): 1}
    assert stats.dial_failures == {("f", "a", DialFailure.REFUSED): 4}
    assert (stats.to_target, stats.to_client) == ({("f", "a"): 5}, {("f", "a"): 6})
    assert stats.last_resort == {"f": 1}
    assert stats.accept_pauses == 7


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.001, 0), (0.0011, 1), (0.3, 8), (5.0, 11), (5.1, 12), (600.0, 12)]
)
def test_a_dial_time_falls_into_the_bucket_that_its_bound_closes(seconds: float, bucket: int) -> None:
    ledger = Ledger()
    tunnel = ledger.tunnel("a")
    tunnel.dial_times.append(seconds)
    histogram = ledger.snapshot(accept_pauses=0).connect_seconds["a"]
    assert [index for index, count in enumerate(histogram.counts) if count] == [bucket]
    assert histogram.total == seconds
    tunnel.dial_times.append(1.0)
    again = ledger.snapshot(accept_pauses=0).connect_seconds["a"]
    assert sum(again.counts) == 2
    assert again.total == pytest.approx(seconds + 1.0)
