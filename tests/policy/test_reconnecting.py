from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import AdminState, Cause, DriverState, DriverStatus, Health, HealthSettings
from gateway.policy.health import TunnelHealth
from gateway.policy.pulse import Pulse
from gateway.policy.reconnecting import complaint
from gateway.policy.state import TunnelState
from tests.policy.scenes import tunnel

DOWN = TunnelState(
    spec=replace(tunnel("a"), reconnect_after=10.0),
    health=TunnelHealth(health=Health.DOWN, cause=Cause.PROBES, since=100.0),
)
CONNECTED = DriverStatus(tunnel="a", state=DriverState.CONNECTED, since=50.0)


def test_ten_seconds_of_nothing_are_enough():
    assert complaint(DOWN, CONNECTED, 109.9) is None
    said = complaint(DOWN, CONNECTED, 110.0)
    assert said is not None
    assert said.startswith("connected, but down for 10 s and more (probes): ")


def test_a_connection_gets_its_ten_seconds_although_the_tunnel_has_been_down_for_longer():
    young = replace(CONNECTED, since=105.0)
    assert complaint(DOWN, young, 110.0) is None
    assert complaint(DOWN, young, 115.0) is not None


def test_a_tunnel_that_looks_good_again_is_left_alone_however_long_that_takes():
    waiting = replace(DOWN, health=replace(DOWN.health, cause=Cause.DEVICE_GONE, good_since=104.0))
    assert complaint(waiting, CONNECTED, 1000.0) is None
    gone_again = replace(waiting, health=replace(waiting.health, good_since=None))
    assert complaint(gone_again, CONNECTED, 1000.0) is not None


@pytest.mark.parametrize(("run", "is_left_alone"), [(1, True), (0, False), (-1, False)])
def test_a_tunnel_whose_probes_are_answered_again_is_left_alone(run: int, is_left_alone: bool):
    probed = replace(DOWN, is_probed=True, pulse=Pulse(run=run))
    assert (complaint(probed, CONNECTED, 1000.0) is None) is is_left_alone


def test_a_connection_gets_the_time_for_one_probe_whatever_is_configured():
    rare = replace(DOWN, spec=replace(DOWN.spec, health=HealthSettings(interval=30.0, timeout=5.0)))
    assert complaint(rare, CONNECTED, 134.9) is None
    said = complaint(rare, CONNECTED, 135.0)
    assert said is not None
    assert said.startswith("connected, but down for 35 s and more")


@pytest.mark.parametrize("state", [it for it in DriverState if it is not DriverState.CONNECTED])
def test_who_is_not_connected_is_busy_with_that(state: DriverState):
    assert complaint(DOWN, replace(CONNECTED, state=state), 1000.0) is None


@pytest.mark.parametrize(
    ("cause", "is_curable"),
    [
        (Cause.PROBES, True),
        (Cause.STALL, True),
        (Cause.DEVICE_GONE, True),
        (Cause.LINK_DOWN, True),
        (Cause.CARRIER_LOST, True),
        (Cause.ADDRESS_GONE, True),
        (Cause.DRIVER, False),
        (Cause.DEVICE_REPLACED, False),
    ],
)
def test_what_another_connection_may_cure(cause: Cause, is_curable: bool):
    state = replace(DOWN, health=replace(DOWN.health, cause=cause))
    assert (complaint(state, CONNECTED, 1000.0) is not None) is is_curable


@pytest.mark.parametrize("health", [Health.UP, Health.UNKNOWN])
def test_who_is_not_down_stays(health: Health):
    state = replace(DOWN, health=TunnelHealth(health=health, cause=Cause.FIRST_GOOD, since=0.0))
    assert complaint(state, CONNECTED, 1000.0) is None


@pytest.mark.parametrize(("admin", "asks"), [(AdminState.DISABLED, False), (AdminState.DRAINING, True)])
def test_what_the_operator_has_disabled_is_left_alone(admin: AdminState, asks: bool):
    assert (complaint(replace(DOWN, admin=admin), CONNECTED, 1000.0) is not None) is asks
