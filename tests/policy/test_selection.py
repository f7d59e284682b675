from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import NO_CHOICE, AdminState, Cause, Choice, ForwardPolicy, Health
from gateway.policy.selection import Standing, choose, is_soft_down, unheld, why_not


def standing(
    health: Health = Health.UP,
    cause: Cause | None = None,
    admin: AdminState = AdminState.ENABLED,
    *,
    held: bool = False,
    drilled: bool = False,
    poor: bool = False,
) -> Standing:
    return Standing(health=health, cause=cause, admin=admin, held=held, drilled=drilled, poor=poor)


UP = standing()
HELD = standing(held=True)
POOR = standing(poor=True)
POOR_HELD = standing(poor=True, held=True)
DRILLED = standing(drilled=True)
SOFT_DRILLED = standing(Health.DOWN, Cause.PROBES, drilled=True)
UNKNOWN = standing(Health.UNKNOWN)
HARD = standing(Health.DOWN, Cause.LINK_DOWN)
DRIVER = standing(Health.DOWN, Cause.DRIVER)
SOFT = standing(Health.DOWN, Cause.PROBES)
STALLED = standing(Health.DOWN, Cause.STALL)
DISABLED = standing(admin=AdminState.DISABLED)
DRAINING = standing(admin=AdminState.DRAINING)
SOFT_DISABLED = standing(Health.DOWN, Cause.PROBES, AdminState.DISABLED)


def last_resort(name: str) -> Choice:
    return Choice(tunnels=(name,), last_resort=True)


FAILOVER: dict[str, tuple[list[Standing], set[str], Choice]] = {
    "in order": ([UP, UP, UP], set(), Choice(tunnels=("a", "b", "c"))),
    "held last": ([HELD, UP, UP], set(), Choice(tunnels=("b", "c", "a"))),
    "all held, in order": ([HELD, HELD], set(), Choice(tunnels=("a", "b"))),
    "held, but the only one": ([HELD, HARD], set(), Choice(tunnels=("a",))),
    "hard down is never tried": ([HARD, UP], set(), Choice(tunnels=("b",))),
    "soft down is not tried while one is UP": ([SOFT, UP], set(), Choice(tunnels=("b",))),
    "not even while that one is held": ([SOFT, HELD], set(), Choice(tunnels=("b",))),
    "last resort: the first soft one": ([HARD, SOFT, STALLED], set(), last_resort("b")),
    "unknown is never tried": ([UNKNOWN, UNKNOWN], set(), NO_CHOICE),
    "unknown is no better than soft": ([UNKNOWN, SOFT], set(), last_resort("b")),
    "all hard": ([HARD, DRIVER], set(), NO_CHOICE),
    "disabled and draining never": ([DISABLED, DRAINING], set(), NO_CHOICE),
    "a disabled one that is UP does not forbid the last resort": ([DISABLED, SOFT], set(), last_resort("b")),
    "a disabled one is no last resort": ([SOFT_DISABLED, HARD], set(), NO_CHOICE),
    "lost": ([UP, UP], {"a"}, Choice(tunnels=("b",))),
    "lost, all": ([UP, UP], {"a", "b"}, NO_CHOICE),
    "the lost one is no last resort": ([SOFT, HARD], {"a"}, NO_CHOICE),
    "lost there, soft here": ([UP, SOFT], {"a"}, last_resort("b")),
    "no tunnels": ([], set(), NO_CHOICE),
    "poor after good": ([POOR, UP], set(), Choice(tunnels=("b", "a"))),
    "poor before held": ([HELD, POOR, UP], set(), Choice(tunnels=("c", "b", "a"))),
    "poor and held is held": ([POOR_HELD, HELD, POOR], set(), Choice(tunnels=("c", "a", "b"))),
    "all poor, in order": ([POOR, POOR], set(), Choice(tunnels=("a", "b"))),
    "drilled never": ([DRILLED, UP], set(), Choice(tunnels=("b",))),
    "drilled is no last resort": ([SOFT_DRILLED, DRILLED], set(), NO_CHOICE),
}
BALANCE: dict[str, tuple[list[Standing], set[str], Choice]] = {
    "all that are UP": ([UP, HARD, UP], set(), Choice(tunnels=("a", "c"))),
    "a held one has no share": ([HELD, UP], set(), Choice(tunnels=("b",))),
    "all held": ([HELD, HELD], set(), Choice(tunnels=("a", "b"))),
    "last resort is one": ([SOFT, SOFT], set(), last_resort("a")),
    "the free one is lost": ([UP, HELD], {"a"}, Choice(tunnels=("b",))),
    "a poor one has no share": ([POOR, UP], set(), Choice(tunnels=("b",))),
    "all poor": ([POOR, POOR], set(), Choice(tunnels=("a", "b"))),
}
DEAD: dict[str, tuple[list[Standing], str, Choice, Choice]] = {
    "moves on": ([UP, UP], "a", Choice(tunnels=("b",)), Choice(tunnels=("b",))),
    "to one that is held": ([UP, HELD], "a", Choice(tunnels=("b",)), Choice(tunnels=("b",))),
    "everywhere: in the normal order": (
        [POOR, UP],
        "ab",
        Choice(tunnels=("b", "a"), last_resort=True),
        Choice(tunnels=("b", "a"), last_resort=True),
    ),
    "behind the only one that is UP": ([UP, SOFT], "a", last_resort("a"), last_resort("a")),
    "behind the best soft one": ([SOFT, SOFT], "a", last_resort("b"), NO_CHOICE),
    "behind all soft ones": ([SOFT, SOFT], "ab", last_resort("a"), NO_CHOICE),
    "nowhere, and all are soft": ([HARD, SOFT], "", last_resort("b"), NO_CHOICE),
}


@pytest.mark.parametrize(("standings", "dead", "choice", "patiently"), DEAD.values(), ids=DEAD.keys())
def test_a_target_that_does_not_answer(standings: list[Standing], dead: str, choice: Choice, patiently: Choice):
    """Patience is for tunnels that are down: where one is UP, the target itself may answer the dial."""
    by_name = dict(zip("ab", standings, strict=True))
    assert choose("ab", ForwardPolicy.FAILOVER, by_name, dead=set(dead)) == choice
    assert choose("ab", ForwardPolicy.FAILOVER, by_name, dead=set(dead), patient=True) == patiently


def test_who_will_not_wait_sees_no_hold_downs():
    assert unheld({"a": HELD, "b": POOR_HELD, "c": HARD}) == {"a": UP, "b": POOR, "c": HARD}


@pytest.mark.parametrize(
    ("policy", "standings", "lost", "choice"),
    [
        pytest.param(policy, *case, id=f"{policy}: {name}")
        for policy, table in [(ForwardPolicy.FAILOVER, FAILOVER), (ForwardPolicy.BALANCE, BALANCE)]
        for name, case in table.items()
    ],
)
def test_table(policy: ForwardPolicy, standings: list[Standing], lost: set[str], choice: Choice):
    order = "abcdefgh"[: len(standings)]
    assert choose(tuple(order), policy, dict(zip(order, standings, strict=True)), lost=lost) == choice


@pytest.mark.parametrize("cause", Cause)
def test_soft_is_what_may_be_wrong(cause: Cause):
    assert is_soft_down(standing(Health.DOWN, cause)) is not cause.hard
    assert not is_soft_down(standing(Health.UP, cause))


@pytest.mark.parametrize(
    ("it", "lost", "text"),
    [
        (DISABLED, set(), "disabled by the operator"),
        (DRAINING, set(), "draining by the operator"),
        (UNKNOWN, set(), "nothing is known of it yet"),
        (HARD, {"a"}, "down: link_down"),
        (SOFT, set(), "down: probes"),
        (UP, {"a"}, "no route to the target"),
        (HELD, {"a"}, "no route to the target"),
        (HELD, set(), "up again, in its hold-down"),
        (UP, set(), "up, standby"),
        (DRILLED, {"a"}, "taken out on purpose, by a drill"),
        (POOR, set(), "up, but its latency or loss is beyond what is allowed"),
        (POOR_HELD, set(), "up again, in its hold-down"),
        (standing(Health.DOWN), set(), "down: unknown cause"),
    ],
)
def test_why_not(it: Standing, lost: set[str], text: str):
    assert why_not("a", it, lost=lost) == text


def test_why_not_for_its_target():
    assert why_not("a", UP, lost=set(), dead={"a"}) == "up, but the target does not answer behind it"
    assert why_not("a", UP, lost={"a"}, dead={"a"}) == "no route to the target"


standings = st.builds(
    Standing,
    health=st.sampled_from(Health),
    cause=st.sampled_from(Cause),
    admin=st.sampled_from(AdminState),
    held=st.booleans(),
    drilled=st.booleans(),
    poor=st.booleans(),
)


@given(
    policy=st.sampled_from(ForwardPolicy),
    each=st.lists(standings, max_size=5),
    lost=st.sets(st.sampled_from("abcde")),
    dead=st.sets(st.sampled_from("abcde")),
    patient=st.booleans(),
)
def test_only_fit_tunnels_are_chosen_and_one_is_if_there_is_any(
    policy: ForwardPolicy, each: list[Standing], lost: set[str], dead: set[str], patient: bool
):
    order = tuple("abcde"[: len(each)])
    by_name = dict(zip(order, each, strict=True))
    choice = choose(order, policy, by_name, lost=lost, dead=dead, patient=patient)
    able = {name for name in order if name not in lost and by_name[name].is_wanted}
    up = {name for name in able if by_name[name].health is Health.UP}
    soft = {name for name in able if is_soft_down(by_name[name])}
    assert len(set(choice.tunnels)) == len(choice.tunnels)
    if choice.last_resort and up:
        assert up <= dead
        assert set(choice.tunnels) <= up
    elif choice.last_resort:
        assert not patient
        assert set(choice.tunnels) <= soft
        assert len(choice.tunnels) == 1
    else:
        assert set(choice.tunnels) <= up - dead
    assert bool(choice.tunnels) is bool(up or (soft and not patient))
