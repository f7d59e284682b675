from __future__ import annotations

import pytest

from gateway.model import AdminState, Cause, Failover, Return
from gateway.policy.shedding import Batch, begun, due, kept, rates_of
from tests.policy.scenes import GOOD, LINK_DOWN, Scene, forward, tunnel

RATES = {"x": 1.0, "y": 2.5, "z": 0.2}
BACK = Return(forward="x", from_tunnel="b", to_tunnel="a")


def test_only_who_has_a_rate_moves_anybody():
    assert rates_of([forward("x", rate=2.0), forward("y")]) == {"x": 2.0}


def test_a_return_begins_it_at_once():
    assert begun({}, [BACK], RATES, 10.0) == {("x", "b"): 10.0}
    assert begun({}, [BACK], {}, 10.0) == {}
    before = {("y", "b"): 12.0}
    assert begun(before, [], RATES, 10.0) is before


@pytest.mark.parametrize(("name", "sessions", "seconds"), [("x", 1, 1.0), ("y", 3, 1.0), ("z", 1, 5.0)])
def test_so_many_a_second_and_never_less_than_one_at_a_time(name: str, sessions: int, seconds: float):
    batches, later = due({(name, "b"): 10.0}, RATES, 10.5)
    assert batches == (Batch(forward=name, tunnel="b", sessions=sessions),)
    assert later == {(name, "b"): pytest.approx(10.5 + seconds)}


def test_what_is_not_due_waits():
    sheds = {("x", "b"): 10.0, ("y", "b"): 11.0}
    assert due(sheds, RATES, 9.0) == ((), sheds)
    batches, later = due(sheds, RATES, 10.0)
    assert [it.forward for it in batches] == ["x"]
    assert later == {("x", "b"): 11.0, ("y", "b"): 11.0}


@pytest.mark.parametrize(
    ("failed", "taken", "goes_on"),
    [
        ((), {"x": "a"}, True),
        (("x",), {"x": "c"}, False),
        (("y",), {"x": "a"}, True),
        ((), {"x": "b"}, False),  # what is shed is what new sessions take
        ((), {}, False),  # new sessions take nothing that is UP
    ],
)
def test_it_goes_on_while_there_is_somewhere_better_to_go(
    failed: tuple[str, ...], taken: dict[str, str], goes_on: bool
):
    failovers = [
        Failover(forward=name, from_tunnel="a", to_tunnel="c", cause=Cause.LINK_DOWN, evidence_at=1.0)
        for name in failed
    ]
    sheds = {("x", "b"): 10.0}
    assert kept(sheds, failovers, taken) == (sheds if goes_on else {})


# ---------------------------------------------------------------- in steps


def back(rate: float = 1.0, *tunnels: str) -> Scene:
    """A scene at 42.0, whose forward has just returned to a."""
    names = tunnels or ("a", "b")
    scene = Scene(forward("hello", *names, rate=rate), tunnels=tuple(tunnel(name) for name in names))
    others = dict.fromkeys(names[1:], GOOD)
    scene.sees(a=GOOD, **others)
    scene.sees(a=LINK_DOWN, at=10.0, **others)
    scene.sees(a=GOOD, at=11.0, **others)
    scene.waits(42.0)
    assert scene.returned() == [("hello", "b", "a")]
    return scene


def test_a_failback_sheds_second_by_second_until_nobody_is_left():
    scene = back(2.0)
    scene.waits(44.5)
    assert scene.shed() == [("hello", "b", 2)] * 3
    scene.sheds_nothing("hello", "b")
    scene.waits(60.0)
    assert len(scene.shed()) == 3


def test_without_a_rate_nobody_is_moved():
    scene = back(0.0)
    scene.waits(60.0)
    assert scene.shed() == []


def test_a_failover_ends_it():
    scene = back()
    scene.sees(a=LINK_DOWN, b=GOOD, at=42.5)
    scene.waits(60.0)
    assert len(scene.shed()) == 1


@pytest.mark.parametrize("admin", [AdminState.DISABLED, AdminState.DRAINING])
def test_so_does_the_operator_who_takes_the_better_one_away(admin: AdminState):
    scene = back()
    scene.wants("a", admin, at=42.5)
    assert scene.chosen() == ("b",)
    assert scene.failovers() == [("hello", "a", "b", Cause.LINK_DOWN)], "that is no failover"
    scene.waits(60.0)
    assert len(scene.shed()) == 1


def test_an_outage_ends_it_too():
    scene = back()
    scene.wants("b", AdminState.DRAINING, at=42.1)
    scene.sees(a=LINK_DOWN, b=GOOD, at=42.5)
    assert scene.chosen() == ()
    scene.waits(60.0)
    assert len(scene.shed()) == 1, "those on b are all there is"
