from __future__ import annotations

import pytest

from bench.goals import GOALS, Goal, Kind, Verdict, judge
from bench.measures import MEASURES
from bench.peers.catalogue import standard
from bench.places import PlaceName
from bench.results import Sample
from bench.summary import Summary

RATIO = Goal("round trip", PlaceName.LOOPBACK, "rtt", "p50_us", 1.10)
BYTES = Goal("memory", PlaceName.LOOPBACK, "rtt", "p50_us", 800, Kind.ABSOLUTE, unit="B")


def summary(**medians: float) -> Summary:
    return Summary(
        Sample(place="loopback", measure="rtt", peer=peer.replace("_", "-"), round=0, values={"p50_us": value})
        for peer, value in medians.items()
    )


@pytest.mark.parametrize(("gateway", "verdict"), [(109, Verdict.MET), (110, Verdict.MET), (111, Verdict.MISSED)])
def test_a_ratio_is_to_haproxy_with_its_default_options(gateway, verdict):
    judged = judge(RATIO, summary(gateway=gateway, haproxy=100, haproxy_same=200))
    assert judged.verdict is verdict
    assert judged.same is not None
    assert judged.same.median == gateway / 200


def test_an_absolute_goal_needs_no_baseline():
    assert judge(BYTES, summary(gateway=800)).verdict is Verdict.MET
    assert judge(BYTES, summary(gateway=801)).verdict is Verdict.MISSED


def test_what_was_not_measured_is_neither_met_nor_missed():
    assert judge(RATIO, summary(haproxy=100)).verdict is Verdict.UNMEASURED


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: f"{goal.place}-{goal.measure}-{goal.peer}-{goal.kind.name}")
def test_every_goal_names_a_measure_that_is_taken_there_of_a_peer_that_takes_part(goal):
    measure = next(measure for measure in MEASURES if measure.name == goal.measure)
    peer = next(peer for peer in standard({}) if peer.name == goal.peer)
    assert goal.place in measure.places
    assert goal.figure == measure.headline.key
    assert peer.takes_part(goal.measure, goal.place)
