from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.model import AdminState, Cause, HealthSettings, ProbeOutcome
from gateway.policy.check import Check
from gateway.policy.evidence import Counted
from gateway.policy.pulse import Pulse
from gateway.policy.reasons import of_check, of_tunnel
from tests.policy.scenes import GOOD, LINK_DOWN, Scene, Target, http, icmp, probed_scene, probed_tunnel


def why(scene: Scene, cause: Cause) -> str:
    return of_tunnel(scene.state.tunnels["a"], cause, scene.now)


@pytest.mark.parametrize("cause", Cause)
def test_there_is_something_to_say_of_every_cause(cause: Cause):
    assert why(probed_scene(), cause)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.DEVICE_GONE, "the kernel has no device tun-a"),
        (Cause.DEVICE_REPLACED, "tun-a is another device than before"),
        (Cause.LINK_DOWN, "tun-a is set down"),
        (Cause.CARRIER_LOST, "tun-a has no carrier"),
        (Cause.ADDRESS_GONE, "tun-a has lost the address that sockets use"),
        (Cause.DRIVER, "the VPN client says that it is not connected"),
    ],
)
def test_facts(cause: Cause, words: str):
    assert why(probed_scene(), cause) == words


def test_a_driver_says_it_in_its_own_words():
    scene = probed_scene()
    scene.hears("a", Cause.DRIVER, detail="its VPN client is stopped", at=1.0)
    assert why(scene, Cause.DRIVER) == "its VPN client is stopped"


def test_a_silence_is_counted():
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.39)
    scene.waits(3.4)
    made = next(it for decision in scene.decisions for it in decision.transitions if it.cause is Cause.PROBES)
    assert made.evidence == "7 probes failed, and no sign of life for 1.40 s"


def test_a_silence_that_is_over_is_not_counted():
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.5)
    scene.answers("a", at=4.0)
    assert why(scene, Cause.PROBES) == "probes"


def test_a_quorum_that_is_not_there():
    web, echo = http(Target), icmp("10.0.0.1")
    health = HealthSettings(reliability=2)
    scene = probed_scene(tunnels=(probed_tunnel("a", web, echo, health=health), probed_tunnel("b")))
    for number in range(40):
        scene.answers("a", web, at=1.0 + number / 10, outcome=ProbeOutcome.ANSWERED)
    assert scene.health("a") == "down"
    assert why(scene, Cause.PROBES) == "fewer than 2 probes of its own are content"


def test_a_stall_is_counted():
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    for second in range(6):
        scene.takes(Counted(at=float(second), packets={"a": (10 * second, 3)}), at=float(second))
    assert why(scene, Cause.STALL) == "50 packets went out in 5.0 s, none came in"


@pytest.mark.parametrize("cause", [Cause.FIRST_GOOD, Cause.RECOVERED])
def test_what_speaks_for_it(cause: Cause):
    scene = probed_scene(up=False)
    assert why(scene, cause) == "no probe has been answered yet"
    scene.answers("a", at=1.0)
    assert why(scene, cause) == "1 answer in a row"
    scene.answers("a", at=2.0)
    assert why(scene, cause) == "2 answers in a row"
    scene.fails("a", sent=3.0)
    assert why(scene, cause) == "it has answered, though not 1 probe since"


def test_looks_speak_for_what_is_not_probed():
    scene = Scene()
    scene.sees(a=LINK_DOWN, b=GOOD)
    assert why(scene, Cause.RECOVERED) == "tun-a looks good"


def test_of_a_target():
    silent = Check(label="x", target=Target, pulse=Pulse(run=-4, alive_at=1.0, silent_since=2.0))
    assert of_check(silent, 4.5) == "4 probes failed in 2.50 s, while the tunnel answered"
    assert of_check(replace(silent, pulse=Pulse(run=2, alive_at=1.0)), 4.5) == "2 answers in a row"


def test_what_the_operator_wants_is_no_reason_of_health():
    scene = probed_scene()
    scene.wants("a", AdminState.DISABLED, at=1.0)
    assert why(scene, Cause.FIRST_GOOD) == "1 answer in a row"
