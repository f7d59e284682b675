"""When the gateway is ready, as a table, and what it says."""

import dataclasses
import json

import pytest

from gateway.admin.readiness import Phase, readiness
from gateway.model import Cause, ControlView, Health, ReadyWhen
from tests.admin.fakes import forward, tunnel

NONE = ControlView(forwards=(forward("a", active=None), forward("b", active=None)))
SOME = ControlView(forwards=(forward("a"), forward("b", active=None)))
EVERY = ControlView(forwards=(forward("a"), forward("b")))
EMPTY = ControlView()


@pytest.mark.parametrize(
    ("phase", "when", "view", "ready", "reason"),
    [
        (Phase.STARTING, ReadyWhen.ANY, EVERY, False, "the gateway is starting"),
        (Phase.DRAINING, ReadyWhen.ANY, EVERY, False, "the gateway is draining"),
        (Phase.RUNNING, ReadyWhen.ANY, EVERY, True, "2 of 2 forwards can be served"),
        (Phase.RUNNING, ReadyWhen.ANY, SOME, True, "1 of 2 forwards can be served"),
        (Phase.RUNNING, ReadyWhen.ANY, NONE, False, '0 of 2 forwards can be served, and ready = "any"'),
        (Phase.RUNNING, ReadyWhen.ALL, EVERY, True, "2 of 2 forwards can be served"),
        (Phase.RUNNING, ReadyWhen.ALL, SOME, False, '1 of 2 forwards can be served, and ready = "all"'),
        (Phase.RUNNING, ReadyWhen.ALL, NONE, False, '0 of 2 forwards can be served, and ready = "all"'),
        (Phase.RUNNING, ReadyWhen.ANY, EMPTY, True, "no forward is configured, so none lacks anything"),
        (Phase.RUNNING, ReadyWhen.ALL, EMPTY, True, "no forward is configured, so none lacks anything"),
        (Phase.STARTING, ReadyWhen.ANY, EMPTY, False, "the gateway is starting"),
    ],
)
def test_ready(phase, when, view, ready, reason):
    answer = readiness(view, phase, when, now=0.0)
    assert answer.ready is ready
    assert answer.body["reason"] == reason
    assert answer.body["status"] == ("ready" if ready else "not ready")
    assert answer.body["phase"] == phase


def test_dead_tunnels_alone_are_no_reason():
    view = dataclasses.replace(EVERY, tunnels=(tunnel("zone-a", Health.DOWN, Cause.PROBES),))
    assert readiness(view, Phase.RUNNING, ReadyWhen.ANY, now=0.0).ready


def test_the_body_tells_each_forward_and_each_tunnel_and_is_json():
    view = ControlView(
        tunnels=(tunnel("zone-a", Health.DOWN, Cause.PROBES), dataclasses.replace(tunnel("zone-b"), hold_until=165.25)),
        forwards=(forward("hello", active=None, **{"zone-a": "down: probes"}),),
    )
    body = json.loads(json.dumps(readiness(view, Phase.RUNNING, ReadyWhen.ANY, now=160.0).body))
    assert body["forwards"] == [
        {"name": "hello", "active": None, "servable": False, "why": {"zone-a": "down: probes"}},
    ]
    common = {"kind": "interface", "admin": "enabled", "since_seconds": 60.0, "doubts": [], "alive_seconds": None}
    common |= {"evidence": ""}
    assert body["tunnels"] == [
        {"name": "zone-a", "health": "down", "cause": "probes", "held_for_seconds": None, **common},
        {"name": "zone-b", "health": "up", "cause": "first_good", "held_for_seconds": 5.2, **common},
    ]


def test_a_hold_that_is_over_is_none():
    view = ControlView(tunnels=(dataclasses.replace(tunnel("zone-a"), hold_until=160.0),))
    [shown] = readiness(view, Phase.RUNNING, ReadyWhen.ANY, now=160.0).body["tunnels"]
    assert shown["held_for_seconds"] is None
