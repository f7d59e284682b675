"""Weighted least sessions, as arithmetic: shares follow weights, and a ramp only ever grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dataplane.shares import load
from gateway.model import Path

moments = st.floats(0.0, 1e6)


def path(weight: int = 1, *, slow_start: float = 0.0, ramp_from: float | None = None) -> Path:
    return Path(tunnel="t", interface="t", ifindex=1, weight=weight, slow_start=slow_start, ramp_from=ramp_from)


def shared_out(sessions: int, paths: list[Path], now: float = 0.0) -> list[int]:
    """How many each path has when so many come one after the other and stay."""
    counts = [0] * len(paths)
    for _ in range(sessions):
        loads = [load(count, it, now) for count, it in zip(counts, paths, strict=True)]
        counts[loads.index(min(loads))] += 1
    return counts


def test_three_to_one() -> None:
    assert shared_out(100, [path(3), path(1)]) == [75, 25]
    assert shared_out(3, [path(3), path(1)]) == [2, 1]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 400))
def test_shares_follow_the_weights_within_rounding(weights: list[int], sessions: int) -> None:
    counts = shared_out(sessions, [path(weight) for weight in weights])
    assert sum(counts) == sessions
    fair = [sessions * weight / sum(weights) for weight in weights]
    assert all(count <= share + 1 + 1e-9 for count, share in zip(counts, fair, strict=True))
    assert all(count >= share - len(weights) for count, share in zip(counts, fair, strict=True))


@given(st.integers(1, 100), st.floats(0.1, 3600.0), moments, moments, moments)
def test_a_ramp_never_shrinks_and_ends_at_the_whole(
    weight: int, slow_start: float, ramp_from: float, one: float, other: float
) -> None:
    ramped = path(weight, slow_start=slow_start, ramp_from=ramp_from)
    early, late = sorted((one, other))
    whole = load(60, path(weight), 0.0)
    assert load(60, ramped, late) <= load(60, ramped, early)
    assert whole <= load(60, ramped, late) <= whole * 10 * (1 + 1e-9)
    assert load(60, ramped, ramp_from + slow_start * (1 + 1e-9) + 1e-6) == whole


@pytest.mark.parametrize(("after", "counts"), [(0.0, [91, 9]), (5.0, [67, 33]), (10.0, [50, 50]), (99.0, [50, 50])])
def test_a_tunnel_that_came_back_starts_with_a_tenth(after: float, counts: list[int]) -> None:
    ramped = path(slow_start=10.0, ramp_from=1000.0)
    assert shared_out(100, [path(), ramped], 1000.0 + after) == counts


@pytest.mark.parametrize("ramped", [path(2, slow_start=0.0, ramp_from=5.0), path(2, slow_start=9.0)])
def test_without_a_ramp_the_weight_counts_whole(ramped: Path) -> None:
    assert load(8, ramped, 5.0) == 4.0
