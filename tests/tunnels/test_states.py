"""The states of a VPN client: the table is complete where it must be, and nothing else can happen."""

from __future__ import annotations

import pytest

from gateway.model import DriverState
from gateway.tunnels.states import TRANSITIONS, Turn, after


def test_whoever_is_not_stopped_can_be_stopped_fail_and_be_refused():
    for state in set(DriverState) - {DriverState.STOPPED}:
        assert after(state, Turn.UNWANTED) is DriverState.STOPPED
        assert after(state, Turn.FAILED) is DriverState.RECONNECTING
        assert after(state, Turn.REFUSED) is DriverState.AUTH_FAILED


def test_only_who_tries_comes_up():
    ups = {state for state, turn in TRANSITIONS if turn is Turn.UP}
    assert ups == {DriverState.CONNECTING, DriverState.RECONNECTING, DriverState.AUTH_FAILED}


def test_only_who_is_stopped_is_wanted_anew():
    assert [state for state, turn in TRANSITIONS if turn is Turn.WANTED] == [DriverState.STOPPED]
    with pytest.raises(KeyError):
        after(DriverState.CONNECTED, Turn.WANTED)
    with pytest.raises(KeyError):
        after(DriverState.STOPPED, Turn.UP)


def test_every_state_can_be_reached_and_left():
    assert set(TRANSITIONS.values()) == set(DriverState)
    assert {state for state, _ in TRANSITIONS} == set(DriverState)
