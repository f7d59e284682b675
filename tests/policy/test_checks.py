from __future__ import annotations

from dataclasses import replace

from gateway.model import Health
from gateway.policy.check import Check
from gateway.policy.checks import Checks
from gateway.policy.pulse import Pulse
from tests.policy.scenes import HEALTH, Other, Target

LIVES = Pulse(run=5, alive_at=11.4, counted_at=11.4, awake_since=1.0)
SILENT = Pulse(run=-3, alive_at=9.0, counted_at=9.0, awake_since=1.0, silent_since=10.0)
WELL = Check(label="well", target=Target, health=Health.UP, pulse=Pulse(run=3, alive_at=11.0))
QUIET = Check(label="quiet", target=Other, health=Health.UP, pulse=SILENT)
DEAD = replace(QUIET, label="dead", health=Health.DOWN)
NEW = Check(label="new", target=Target, pulse=Pulse(run=1, alive_at=11.0))


def names(*labels: str) -> frozenset[str]:
    return frozenset(labels)


def test_they_are_known_by_what_may_become_of_them():
    checks = Checks().put(WELL, QUIET, DEAD)
    assert checks.fresh == names("well", "quiet", "dead")
    assert checks.silent == names("quiet")
    assert checks.down == names("dead")
    assert list(checks) == [WELL, QUIET, DEAD]
    assert checks.get("quiet") is QUIET
    assert checks.get("unheard-of") is None


def test_one_takes_the_place_of_its_former_self():
    checks = Checks().put(WELL, QUIET, DEAD)
    after = checks.put(replace(QUIET, pulse=Pulse(run=1)), replace(DEAD, health=Health.UP, pulse=Pulse(run=2)))
    assert (after.silent, after.down) == (names(), names())
    assert len(list(after)) == 3
    assert list(checks) == [WELL, QUIET, DEAD], "the former picture stands"


def test_a_step_that_changes_no_health_keeps_the_sets_identically():
    checks = Checks().put(WELL, QUIET, DEAD)
    after = checks.put(replace(WELL, last_at=12.0))
    assert after.down is checks.down
    assert after.silent is checks.silent


def test_settling_looks_at_the_fresh_and_with_a_sign_of_life_at_the_silent():
    checks = replace(Checks().put(WELL, QUIET, NEW), fresh=frozenset())
    assert checks.settled(LIVES, HEALTH, 11.4, lives=False) is checks
    settled = checks.put(NEW).settled(LIVES, HEALTH, 11.4, lives=False)
    assert settled.by_label["new"].health is Health.UP
    assert settled.by_label["quiet"].health is Health.UP
    assert settled.fresh == names()
    settled = checks.settled(LIVES, HEALTH, 11.4, lives=True)
    assert settled.by_label["quiet"].health is Health.DOWN
    assert (settled.down, settled.silent, settled.fresh) == (names("quiet"), names(), names())


def test_a_fresh_one_that_nothing_becomes_of_is_settled():
    checks = Checks().put(WELL)
    settled = checks.settled(LIVES, HEALTH, 11.4, lives=False)
    assert settled.fresh == names()
    assert settled.by_label is checks.by_label, "not copied"


def test_dead_are_the_targets_of_those_that_are_down():
    echo = replace(DEAD, label="echo", target=None)
    checks = Checks().put(WELL, DEAD, echo, replace(DEAD, label="dead too"))
    assert set(checks.dead()) == {Other}
    assert checks.silences() == [10.0, 10.0, 10.0]
    assert checks.silent_since(Other) == 10.0
    assert checks.silent_since(Target) is None
