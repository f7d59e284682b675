"""What was shown is remembered while the configuration knows it."""

from gateway.admin.once import Once
from gateway.model import ControlView, Doubt
from tests.admin.fakes import VIEW, tunnel


def test_what_there_is_is_remembered():
    once = Once().and_now(VIEW)
    assert once == Once(
        held=frozenset({"zone-a"}), flapped=frozenset({"zone-a"}), doubted=frozenset({("zone-a", Doubt.LATENCY)})
    )
    assert once.and_now(ControlView(tunnels=(tunnel("zone-a"),))) == once


def test_what_was_is_added_to():
    once = Once().and_now(VIEW).and_now(ControlView(tunnels=(tunnel("zone-a", doubts=(Doubt.STALL,)),)))
    assert once.doubted == {("zone-a", Doubt.LATENCY), ("zone-a", Doubt.STALL)}


def test_a_tunnel_that_is_gone_from_the_configuration_is_forgotten():
    assert Once().and_now(VIEW).and_now(ControlView(tunnels=(tunnel("zone-c"),))) == Once()
