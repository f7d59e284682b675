from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.control.routes import Pair, RoutePass

PAIRS = [("tun-a", f"10.0.0.{number}") for number in range(5)]


def test_nothing_is_pending_until_a_pass_is_asked_for():
    routes = RoutePass()
    assert not routes.pending
    routes.request()
    assert routes.pending


def test_a_pass_goes_in_slices_and_counts_when_complete():
    routes = RoutePass()
    routes.request()
    assert routes.take(lambda: PAIRS, 3) == PAIRS[:3]
    assert not routes.answer(PAIRS[:1])
    assert routes.unrouted == frozenset()
    assert routes.take(lambda: PAIRS, 3) == PAIRS[3:]
    assert routes.answer(PAIRS[4:])
    assert routes.unrouted == {PAIRS[0], PAIRS[4]}
    assert not routes.pending


def test_a_pass_asked_for_meanwhile_follows():
    routes = RoutePass()
    routes.request()
    routes.take(lambda: PAIRS, 3)
    routes.request()
    routes.answer([])
    assert routes.take(list, 3) == PAIRS[3:]
    assert routes.answer([])
    assert routes.pending
    assert routes.take(lambda: PAIRS[:1], 3) == PAIRS[:1]


def test_a_pass_over_nothing_is_complete():
    routes = RoutePass()
    routes.request()
    assert routes.take(list, 3) == []
    assert routes.answer([])
    assert not routes.pending


@given(
    pairs=st.sets(st.tuples(st.sampled_from(["a", "b"]), st.ip_addresses().map(str))),
    size=st.integers(1, 7),
    bad=st.sets(st.ip_addresses().map(str)),
)
def test_however_it_is_sliced_each_pair_is_asked_once(pairs: set[Pair], size: int, bad: set[str]):
    routes = RoutePass()
    routes.request()
    asked: list[Pair] = []
    complete = False
    while routes.pending:
        assert not complete
        taken = routes.take(lambda: list(pairs), size)
        asked += taken
        complete = routes.answer(pair for pair in taken if pair[1] in bad)
    assert complete
    assert sorted(asked) == sorted(pairs)
    assert routes.unrouted == {pair for pair in pairs if pair[1] in bad}
