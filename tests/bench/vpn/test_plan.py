from __future__ import annotations

from collections import Counter

from bench.vpn.kinds import KINDS
from bench.vpn.loads import LOADS
from bench.vpn.plan import sittings
from bench.vpn.ways import Way


def test_rounds_are_outermost_and_a_tunnel_is_brought_up_once_in_each():
    plan = [(sitting.round, sitting.kind.name) for sitting in sittings(rounds=2, kinds=KINDS, loads=LOADS)]
    assert plan == [(number, kind.name) for number in range(2) for kind in KINDS]


def test_both_ways_follow_one_another_at_once():
    for sitting in sittings(rounds=2, kinds=KINDS[:1], loads=LOADS):
        pairs = zip(sitting.questions[::2], sitting.questions[1::2], strict=True)
        assert all(one.load is other.load and {one.way, other.way} == set(Way) for one, other in pairs)


def test_neither_way_always_comes_first():
    first, second = sittings(rounds=2, kinds=KINDS[:1], loads=LOADS)
    assert Counter(question.way for question in first.questions[::2]) == {Way.GATEWAY: 3, Way.DIRECT: 3}
    begun, ended = first.questions[::2], second.questions[1::2]
    assert [question.way for question in begun] == [question.way for question in ended]
