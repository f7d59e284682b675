from __future__ import annotations

import pytest

from gateway.model import AdminState, Cause, Doubt, HealthSettings, ProbeOutcome
from gateway.policy.evidence import Counted
from gateway.policy.outlook import next_step
from tests.policy.scenes import GOOD, LINK_DOWN, Scene, Target, http, icmp, probed_scene, probed_tunnel


def next_of(scene: Scene) -> str:
    return next_step(scene.state.tunnels["a"])


def plain() -> Scene:
    scene = Scene()
    scene.sees(a=GOOD, b=GOOD)
    return scene


def test_unknown():
    assert next_of(Scene()) == "the kernel is read for the first time"
    assert next_of(probed_scene(up=False)) == "the first probe is answered"


def test_a_first_connection():
    scene = Scene()
    scene.hears("a", Cause.DRIVER, first=True)
    assert next_of(scene) == "its VPN client connects for the first time"


def test_well():
    assert next_of(probed_scene()) == "nothing: all is well"


@pytest.mark.parametrize(
    ("admin", "until", "words"),
    [
        (AdminState.DISABLED, None, "the operator enables it"),
        (AdminState.DRAINING, None, "its sessions end, and the operator enables it"),
        (
            AdminState.DRAINING,
            30.0,
            "its sessions end, or its drain does: then it is disabled, until the operator enables it",
        ),
    ],
)
def test_what_the_operator_wants_goes_before(admin: AdminState, until: float | None, words: str):
    scene = probed_scene()
    scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    scene.wants("a", admin, until=until, at=2.0)
    assert next_of(scene) == words


def test_a_drill():
    scene = probed_scene()
    scene.drills("a", until=9.0, at=1.0)
    assert next_of(scene) == "the drill ends"


def test_down_for_a_fact():
    scene = plain()
    scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    assert next_of(scene) == "tun-a is whole again, and then it looks good for 1 s"
    scene = probed_scene()
    scene.hears("a", Cause.DRIVER, at=1.0)
    assert next_of(scene) == "its VPN client connects, and then 2 more probes in a row are answered"


def test_down_for_its_probes():
    scene = probed_scene()
    scene.silence("a", since=2.0, until=3.5)
    assert next_of(scene) == "2 more probes in a row are answered"
    scene.answers("a", at=5.0)
    assert next_of(scene) == "one more probe is answered"
    scene.answers("a", at=6.0)
    assert next_of(scene) == "its hold-down ends, and new sessions return to it"


def test_down_for_want_of_a_quorum():
    web, echo = http(Target), icmp("10.0.0.1")
    health = HealthSettings(reliability=2)
    scene = probed_scene(tunnels=(probed_tunnel("a", web, echo, health=health), probed_tunnel("b")))
    for number in range(40):
        scene.answers("a", web, at=1.0 + number / 10, outcome=ProbeOutcome.ANSWERED)
    assert scene.health("a") == "down"
    assert next_of(scene) == "2 of its own probes are content"


@pytest.mark.parametrize(
    ("doubt", "words"),
    [
        (Doubt.UNANSWERED, "a probe or a dial is unanswered"),
        (Doubt.UNACKNOWLEDGED, "what sessions sent is not acknowledged"),
    ],
)
def test_suspect(doubt: Doubt, words: str):
    scene = probed_scene()
    scene.doubts("a", doubt, since=1.0, at=1.3)
    assert next_of(scene) == (
        f"it is suspect ({words}): without a sign of life it is down 1.4 s after the first failed probe was sent, "
        "once 3 have failed"
    )


def test_suspect_for_a_stall():
    scene = plain()
    for second in range(2):
        scene.takes(Counted(at=float(second), packets={"a": (10 * second, 3)}), at=float(second))
    assert next_of(scene) == (
        "it is suspect (packets go out and none come in): without a sign of life it is down after 5 s of that"
    )


@pytest.mark.parametrize(
    ("health", "rtt", "words"),
    [
        (HealthSettings(failure_latency=0.1), 0.5, "its round trip is longer than failure_latency"),
        (HealthSettings(failure_loss=0.1), 0.02, "it loses more than failure_loss"),
    ],
)
def test_poorer_than_is_allowed(health: HealthSettings, rtt: float, words: str):
    scene = probed_scene(tunnels=(probed_tunnel("a", health=health), probed_tunnel("b")))
    for number in range(10):
        scene.fails("a", sent=1.0 + number, at=1.9 + number)
        scene.answers("a", at=1.95 + number, rtt=rtt)
    assert next_of(scene) == f"{words}: sessions prefer another tunnel until it recovers"
