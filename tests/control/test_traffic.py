from __future__ import annotations

import asyncio

import pytest

from gateway.control.traffic import TrafficWatch
from gateway.model import Doubt, Endpoint, Vitals
from gateway.policy.evidence import Doubted, Evidence, Heard, LargeLost
from tests.control.watching import eventually

WEB, DB = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 5432)


class Scene:
    """A watch of tunnel "a" on a clock of its own. `see` has it look, and gives what it posted and suspected."""

    def __init__(self) -> None:
        self.now = 100.0
        self.vitals = Vitals()
        self.posted: list[Evidence] = []
        self.suspected: list[tuple[str, Endpoint, float]] = []
        self.watch = TrafficWatch(
            post=self.posted.append,
            vitals=lambda _tunnel: self.vitals,
            suspect=lambda *it: self.suspected.append(it),
            clock=lambda: self.now,
        )
        self.watch.watch(frozenset({"a"}))

    def see(self, vitals: Vitals, now: float, *, tunnel: str = "a") -> list[Evidence]:
        self.vitals, self.now = vitals, now
        self.posted.clear()
        self.suspected.clear()
        self.watch.look(tunnel)
        return list(self.posted)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def heard(target: Endpoint, at: float) -> Heard:
    return Heard(tunnel="a", target=target, at=at)


def test_signs_of_life_are_posted_once_and_the_newest_of_each_target(scene: Scene):
    vitals = Vitals(heard={WEB: 99.0, DB: 98.0}, dialled={WEB: 99.5})
    assert scene.see(vitals, 100.0) == [heard(WEB, 99.5), heard(DB, 98.0)]
    assert scene.see(vitals, 100.1) == []
    assert scene.see(Vitals(heard={WEB: 99.2, DB: 98.5}), 101.0) == [heard(DB, 98.5)]
    assert scene.see(Vitals(heard={WEB: 101.5}), 102.0) == [heard(WEB, 101.5)]
    assert scene.suspected == []


def test_dials_are_remembered_as_of_the_last_look(scene: Scene):
    scene.see(Vitals(dialled={WEB: 99.5}), 100.0)
    assert scene.watch.dialled("a", WEB) == 99.5
    assert scene.watch.dialled("a", DB) is None
    assert scene.watch.dialled("b", WEB) is None
    scene.see(Vitals(), 101.0)
    assert scene.watch.dialled("a", WEB) is None


def test_a_dial_is_suspect_when_it_has_waited_for_a_second(scene: Scene):
    assert scene.see(Vitals(unanswered={WEB: 99.1}), 100.0) == []
    assert scene.suspected == []
    expected = Doubted(tunnel="a", doubt=Doubt.UNANSWERED, since=99.1, target=WEB)
    assert scene.see(Vitals(unanswered={WEB: 99.1, DB: 100.0}), 100.1) == [expected]
    assert scene.suspected == [("a", WEB, 99.1)]


def test_an_episode_is_posted_once_and_its_target_asked_at_each_look(scene: Scene):
    stuck = Vitals(unacknowledged_since={DB: 97.0})
    assert scene.see(stuck, 100.0) == [Doubted(tunnel="a", doubt=Doubt.UNACKNOWLEDGED, since=97.0, target=DB)]
    assert scene.see(stuck, 101.0) == []
    assert scene.suspected == [("a", DB, 97.0)]
    assert scene.see(Vitals(), 102.0) == []
    assert scene.suspected == []
    assert len(scene.see(stuck, 103.0)) == 1, "a new one"


def test_what_is_unanswered_and_unacknowledged_is_said_apart(scene: Scene):
    both = Vitals(unanswered={DB: 98.0}, unacknowledged_since={DB: 97.0})
    assert {it.doubt for it in scene.see(both, 100.0) if isinstance(it, Doubted)} == {
        Doubt.UNANSWERED,
        Doubt.UNACKNOWLEDGED,
    }


def test_large_segments_are_lost_when_looks_a_second_apart_say_so_and_for_as_long(scene: Scene):
    for now, said in ((100.0, False), (100.5, False), (101.0, True), (102.0, True)):
        lost = LargeLost(tunnel="a", at=now, mss=1360)
        assert (lost in scene.see(Vitals(large_lost=1360), now)) is said, "a lone upload hears nothing else"
    assert LargeLost(tunnel="a", at=103.0, mss=1200) in scene.see(Vitals(large_lost=1200), 103.0)


def test_a_look_that_sees_none_lost_ends_the_episode(scene: Scene):
    for now, size in ((100.0, 1360), (101.0, None), (101.5, 1360), (102.0, 1360)):
        assert LargeLost not in map(type, scene.see(Vitals(large_lost=size), now))
    assert LargeLost in map(type, scene.see(Vitals(large_lost=1360), 102.5))


def test_a_tunnel_that_is_not_watched_is_not_looked_at(scene: Scene):
    assert scene.see(Vitals(heard={WEB: 99.0}), 100.0, tunnel="b") == []
    scene.see(Vitals(heard={WEB: 99.0}), 100.0)
    scene.watch.watch(frozenset({"a", "b"}))
    assert scene.see(Vitals(heard={WEB: 99.0}), 100.0) == [], "what is watched on is remembered"
    scene.watch.watch(frozenset({"b"}))
    assert scene.see(Vitals(heard={WEB: 99.5}), 100.0) == []


async def test_every_tunnel_is_looked_at_by_itself():
    looked: list[str] = []

    def vitals(tunnel: str) -> Vitals:
        looked.append(tunnel)
        return Vitals()

    watch = TrafficWatch(post=lambda _: None, vitals=vitals, suspect=lambda *_: None)
    watch.watch(frozenset({"a", "b"}))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        await eventually(lambda: {"a", "b"} <= set(looked))
        await eventually(lambda: looked.count("a") == looked.count("b") == 2)
        task.cancel()
