"""What is said when something was done."""

from dataclasses import replace

import pytest

from gateway.admin.describe import Picture, drill
from gateway.model import AdminState, DrilledForward
from gateway.verbs.reports import admin_changed, drilled, failed_back
from tests.admin.fakes import RATES, REPORT, STATS, VIEW, tunnel
from tests.verbs.reading import seen


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "zone-a is enabled; its health is up"),
        ({"admin": AdminState.DISABLED}, "zone-a is disabled; its health is up"),
        (
            {"admin": AdminState.DRAINING, "drain_until": 185.0},
            "zone-a is draining: no new sessions; 2 sessions may end within 25s",
        ),
        ({"admin": AdminState.DRAINING}, "zone-a is draining: no new sessions; 2 sessions may end"),
    ],
)
def test_a_changed_tunnel(changes, says):
    picture = Picture(view=VIEW, stats=STATS, rates=RATES, now=160.0)
    assert admin_changed(picture.tunnel(tunnel("zone-a", **changes))) == says


def test_what_has_moved():
    assert failed_back({"name": "zone-a", "moved": ["hello", "ldap"]}) == "new sessions have moved: hello and ldap"
    assert failed_back({"name": "zone-a", "moved": []}).startswith("no forward has moved")


def test_a_drill_that_went_well():
    assert (
        seen(drilled(drill(REPORT)))
        == """\
zone-a was taken out for 10s; 2 sessions on it reset
forward  recovered  through  after    shown by
hello    yes        zone-b   0.021 s  a client
ldap     yes        zone-b   0.400 s  the gateway's own dial
zone-a takes new sessions again"""
    )


def test_a_drill_that_did_not():
    lost = DrilledForward(forward="ldap", to_tunnel=None, seconds=None, probed=True)
    text = seen(drilled(drill(replace(REPORT, forwards=(lost,), restored=False))))
    assert "ldap     NO         –        –      the gateway's own dial" in text
    assert "zone-a does not take new sessions yet: gateway status says why" in text


def test_a_drill_that_touched_nobody():
    assert "no forward used it" in seen(drilled(drill(replace(REPORT, forwards=(), sessions_reset=0))))
