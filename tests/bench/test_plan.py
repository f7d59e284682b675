from __future__ import annotations

from collections import Counter

from bench.measures import MEASURES
from bench.peers.base import Peer
from bench.peers.catalogue import standard
from bench.places import PlaceName
from bench.plan import steps

RTT = next(measure for measure in MEASURES if measure.name == "rtt")
FAILOVER = next(measure for measure in MEASURES if measure.name == "failover")
THREE = [Peer(name=name, what=name, version=str) for name in "abc"]


def test_each_round_begins_with_another_peer():
    order = [step.peer.name for step in steps(rounds=3, places=[PlaceName.LOOPBACK], measures=[RTT], peers=THREE)]
    assert "".join(order) == "abcbcacab"


def test_rounds_are_outermost():
    plan = list(steps(rounds=2, places=list(PlaceName), measures=MEASURES, peers=THREE))
    numbers = [step.round // step.measure.repeats for step in plan]
    assert numbers == sorted(numbers)


def test_a_measure_is_taken_only_where_it_belongs():
    plan = list(steps(rounds=1, places=list(PlaceName), measures=[RTT, FAILOVER], peers=THREE))
    assert {step.place for step in plan if step.measure is FAILOVER} == {PlaceName.TUNNELS}
    assert PlaceName.TUNNELS not in {step.place for step in plan if step.measure is RTT}


def test_repeats_are_rounds_of_their_own():
    plan = list(steps(rounds=2, places=list(PlaceName), measures=[FAILOVER], peers=THREE[:1]))
    assert [step.round for step in plan] == list(range(2 * FAILOVER.repeats))


def test_a_peer_is_not_asked_what_it_does_not_take_part_in():
    plan = list(steps(rounds=1, places=list(PlaceName), measures=MEASURES, peers=standard({})))
    asked = Counter((step.peer.name, step.measure.name) for step in plan)
    assert ("gateway-busy-poll", "rtt") in asked
    assert ("gateway-busy-poll", "churn-rst") not in asked
    assert ("direct", "memory") not in asked
    assert {step.place for step in plan if step.peer.name == "kernel-nat"} == {PlaceName.VETH}
