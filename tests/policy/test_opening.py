from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.model import Health
from gateway.policy.evidence import TimePassed
from gateway.policy.health import TunnelHealth
from gateway.policy.opening import LONGEST_WAIT, SERVED_WAIT, may_open, opening_due
from gateway.policy.state import State
from tests.policy.scenes import GOOD, LINK_DOWN, Other, Scene, Target, forward, probed_scene


def having(a: Health, b: Health, *orders: str, since: float | None = 10.0) -> State:
    """Tunnels a and b as they are said to be, and a forward for each order of tunnels."""
    state = Scene(*(forward(order, *order) for order in orders or ("ab",))).state
    tunnels = {
        name: replace(state.tunnels[name], health=TunnelHealth(health=health)) for name, health in (("a", a), ("b", b))
    }
    return replace(state, tunnels=tunnels, opening_from=since)


UNKNOWN, UP, DOWN = Health


@pytest.mark.parametrize(
    ("state", "opens_after"),
    [
        (having(UP, UP), 0.0),
        (having(UP, DOWN), 0.0),
        (having(DOWN, DOWN), 0.0),
        (having(UNKNOWN, UP), SERVED_WAIT),
        (having(UP, UNKNOWN), SERVED_WAIT),
        (having(UNKNOWN, UP, "ab", "b"), SERVED_WAIT),
        (having(UNKNOWN, UP, "ab", "a"), LONGEST_WAIT),
        (having(UNKNOWN, DOWN), LONGEST_WAIT),
        (having(UNKNOWN, UNKNOWN), LONGEST_WAIT),
    ],
)
def test_when_it_opens(state: State, opens_after: float):
    assert may_open(state, 10.0 + opens_after)
    if opens_after:
        assert not may_open(state, 10.0 + opens_after - 0.001)


def test_not_before_the_kernel_was_seen():
    assert not may_open(having(UP, UP, since=None), 1000.0)
    assert opening_due(having(UP, UP, since=None), 1000.0) is None


@pytest.mark.parametrize(("now", "due"), [(10.0, 11.0), (10.999, 11.0), (11.0, 12.5), (12.4, 12.5)])
def test_the_moments_to_look_again(now: float, due: float):
    assert opening_due(having(UNKNOWN, UNKNOWN), now) == due
    assert opening_due(replace(having(UP, UP), is_open=True), now) is None


@given(since=st.floats(0, 1e6))
@example(since=0.4)  # (0.4 + 1.0) − 0.4 < 1.0
@example(since=3.43)  # (3.43 + 2.5) − 3.43 < 2.5
def test_no_rounding_makes_a_moment_pass_unused(since: float):
    state = having(UNKNOWN, UP, since=since)
    assert may_open(state, opening_due(state, since) or 0.0)
    state = having(UNKNOWN, UNKNOWN, since=since)
    assert may_open(state, opening_due(state, since + SERVED_WAIT) or 0.0)


# ---------------------------------------------------------------- in steps


def test_clients_are_let_in_at_once_when_all_answer():
    scene = probed_scene(up=False)
    assert scene.state.table.generation == 0
    scene.answers("a", at=0.02)
    assert scene.last.table is None
    scene.answers("b", at=0.03)
    assert scene.last.table is not None
    assert scene.chosen() == ("a", "b")


def test_a_better_tunnel_that_is_still_silent_is_waited_for_for_a_second():
    scene = probed_scene(up=False)
    scene.answers("b", at=0.02)
    scene.waits(0.999)
    assert scene.state.table.generation == 0
    scene.waits(1.0)
    assert scene.chosen() == ("b",)


def test_nobody_waits_for_tunnels_that_never_answer():
    scene = probed_scene(forward(), forward("other", "b", target=Other), up=False)
    scene.answers("a", at=0.02)
    scene.waits(2.499)
    assert scene.state.table.generation == 0
    scene.waits(2.5)
    assert scene.state.is_open
    assert scene.chosen() == ("a",)
    assert scene.chosen("other", Other) == ()


def test_silence_from_the_start_opens_on_a_last_resort():
    scene = probed_scene(up=False)
    scene.silence("a", since=0.0, until=1.45)
    scene.silence("b", since=0.0, until=1.45)
    assert scene.state.is_open
    assert scene.choice(target=Target).last_resort


def test_without_probes_the_first_look_opens():
    scene = Scene()
    scene.sees(a=GOOD, b=LINK_DOWN)
    assert scene.state.is_open
    scene.takes(TimePassed(), at=1.0)
    assert scene.last.table is None
