from __future__ import annotations

import pytest

from bench.results import Sample
from bench.summary import Spread, Summary, spread


def sample(peer: str, number: int, **values: float) -> Sample:
    return Sample(place="loopback", measure="rtt", peer=peer, round=number, values=values)


def test_a_spread_is_median_least_and_greatest():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)


def test_no_values_have_no_spread():
    assert spread([]) is None


def test_a_ratio_is_taken_round_by_round():
    # The machine was three times slower in round 1: the ratio of medians would be 0.75 in one order, 1.5 in another.
    summary = Summary(
        [
            sample("gateway", 0, p50_us=10),
            sample("haproxy", 0, p50_us=20),
            sample("gateway", 1, p50_us=30),
            sample("haproxy", 1, p50_us=60),
        ]
    )
    assert summary.ratio("loopback", "rtt", "p50_us", peer="gateway", baseline="haproxy") == Spread(0.5, 0.5, 0.5, 2)


def test_a_round_that_one_of_the_two_missed_has_no_ratio():
    summary = Summary(
        [
            sample("gateway", 0, p50_us=10),
            sample("haproxy", 0, p50_us=10),
            sample("gateway", 1, p50_us=99),
            Sample(place="loopback", measure="rtt", peer="haproxy", round=1, error="did not start"),
        ]
    )
    ratio = summary.ratio("loopback", "rtt", "p50_us", peer="gateway", baseline="haproxy")
    assert ratio == Spread(1.0, 1.0, 1.0, 1)
    assert [error.error for error in summary.errors()] == ["did not start"]


def test_a_baseline_of_nothing_divides_nothing():
    summary = Summary([sample("gateway", 0, p50_us=10), sample("haproxy", 0, p50_us=0)])
    assert summary.ratio("loopback", "rtt", "p50_us", peer="gateway", baseline="haproxy") is None


def test_places_and_measures_are_kept_apart():
    other = Sample(place="veth", measure="rtt", peer="gateway", round=0, values={"p50_us": 77})
    summary = Summary([sample("gateway", 0, p50_us=10), other])
    assert summary.figure("loopback", "rtt", "gateway", "p50_us") == Spread(10, 10, 10, 1)
    assert summary.peers("veth", "rtt") == ["gateway"]


def test_the_noise_is_the_foreign_share():
    summary = Summary([sample("gateway", 0, foreign_share=0.01), sample("gateway", 1, foreign_share=0.03)])
    noise = summary.foreign_share()
    assert noise is not None
    assert noise.median == pytest.approx(0.02)
