from __future__ import annotations

import pytest

from gateway.model import AdminState, Cause, Health, TunnelDownAction
from gateway.policy.fate import Fate, Reprieve, fate, review, without
from gateway.policy.selection import Standing
from tests.policy.scenes import forward

NOBODY: frozenset[str] = frozenset()
FORWARDS = (
    forward("aborts"),
    forward("keeps", down=TunnelDownAction.KEEP),
    forward("waits", down=TunnelDownAction.GRACE, grace=10.0),
    forward("waits-too", down=TunnelDownAction.GRACE, grace=10.0),
    forward("waits-longer", down=TunnelDownAction.GRACE, grace=60.0),
    forward("elsewhere", "b"),
)
ALL = frozenset(each.name for each in FORWARDS)


def reprieve(*forwards: str, until: float, revocable: bool = True) -> Reprieve:
    return Reprieve(tunnel="a", forwards=frozenset(forwards), until=until, revocable=revocable)


@pytest.mark.parametrize("revocable", [True, False])
@pytest.mark.parametrize("cause", [cause for cause in Cause if cause.hard])
def test_a_hard_cause_asks_nobody_else(cause: Cause, revocable: bool):
    made = fate("a", cause, FORWARDS, served=NOBODY, revocable=revocable, now=100.0)
    assert made == Fate(
        now=frozenset({"aborts"}),
        later=(
            reprieve("waits", "waits-too", until=110.0, revocable=revocable),
            reprieve("waits-longer", until=160.0, revocable=revocable),
        ),
    )


@pytest.mark.parametrize("cause", [Cause.PROBES, Cause.STALL])
@pytest.mark.parametrize(
    ("served", "now", "later"),
    [
        (NOBODY, NOBODY, ()),
        ({"elsewhere"}, NOBODY, ()),
        ({"aborts"}, {"aborts"}, ()),
        ({"waits-too"}, NOBODY, (reprieve("waits-too", until=110.0),)),
    ],
)
def test_a_soft_cause_spares_who_has_nowhere_to_go(
    cause: Cause, served: frozenset[str], now: frozenset[str], later: tuple[Reprieve, ...]
):
    assert fate("a", cause, FORWARDS, served=served, revocable=True, now=100.0) == Fate(now=frozenset(now), later=later)


def standing(health: Health, cause: Cause | None = None, *, drilled: bool = False) -> Standing:
    return Standing(health=health, cause=cause, admin=AdminState.ENABLED, held=False, drilled=drilled)


UP = standing(Health.UP, Cause.RECOVERED)
HARD = standing(Health.DOWN, Cause.LINK_DOWN)
SOFT = standing(Health.DOWN, Cause.PROBES)
DRILLED = standing(Health.UP, Cause.FIRST_GOOD, drilled=True)
SOFT_DRILLED = standing(Health.DOWN, Cause.PROBES, drilled=True)
X, Y, XY = frozenset({"x"}), frozenset({"y"}), frozenset({"x", "y"})


@pytest.mark.parametrize(
    ("tunnel", "revocable", "now", "aborted", "goes_on"),
    [
        pytest.param(HARD, True, 9.9, NOBODY, True, id="not yet"),
        pytest.param(HARD, False, 9.9, NOBODY, True, id="not yet, though its sockets are dead"),
        pytest.param(HARD, True, 10.0, XY, False, id="its time has come"),
        pytest.param(UP, True, 9.9, NOBODY, False, id="back in time"),
        pytest.param(UP, True, 10.0, NOBODY, False, id="back just in time"),
        pytest.param(UP, False, 5.0, XY, False, id="back, but not its sockets: before new sessions come"),
        pytest.param(SOFT, False, 5.0, XY, False, id="to be used as a last resort: the same"),
        pytest.param(SOFT, True, 5.0, NOBODY, True, id="soft: not yet"),
        pytest.param(SOFT, True, 10.0, X, False, id="soft: only who has somewhere better to go"),
        pytest.param(DRILLED, True, 9.9, NOBODY, True, id="drilled: UP, but not back"),
        pytest.param(DRILLED, True, 10.0, XY, False, id="drilled: its time has come"),
        pytest.param(DRILLED, False, 5.0, NOBODY, True, id="drilled: nobody new is there yet"),
        pytest.param(SOFT_DRILLED, False, 5.0, NOBODY, True, id="drilled and soft: the same"),
    ],
)
def test_review(tunnel: Standing, revocable: bool, now: float, aborted: frozenset[str], goes_on: bool):
    it = reprieve("x", "y", until=10.0, revocable=revocable)
    assert review(it, tunnel, X, now) == Fate(now=aborted, later=(it,) if goes_on else ())


def test_the_earlier_reprieve_holds():
    assert without(reprieve("x", "y", until=10.0), Y) == reprieve("x", until=10.0)
