"""What `gateway explain` says, as a person reads it."""

from dataclasses import replace

import pytest

from gateway.model import ControlView, Endpoint, ForwardPolicy, Health
from gateway.verbs.explain import explain
from tests.admin.fakes import VIEW, probe, tunnel
from tests.verbs.reading import explanation_of, seen

HELLO = VIEW.forwards[0]


def told(name: str = "hello", view: ControlView = VIEW) -> str:
    return seen(explain(explanation_of(name, view)))


def with_forward(**changes: object) -> ControlView:
    return replace(VIEW, forwards=(replace(HELLO, **changes),))


LAST_RESORT = replace(with_forward(last_resort=True), tunnels=(tunnel("zone-a", health=Health.DOWN),))


def test_the_whole_story():
    assert (
        told()
        == """\
hello to 192.168.100.30:8080: new sessions take zone-a.
listens on *:33000; 2 sessions now; policy failover; failback auto

zone-a (up, suspect): chosen – though in its hold-down, for no other can be used
  up for 1m 0s (recovered): 2 answers in a row
  last sign of life 0.5s ago; round trip 12.1 ms; loss 25 %
  device tun-a, 10.8.0.2, 2 sessions of this forward, 2 in all
  suspect: latency
  in its hold-down for another 18s: another that is up is preferred
  1 fall still counts against it
  segments are clamped to 1200 bytes, because larger ones vanish in it
  1 of 2 targets behind it does not answer
  probe                      says  last asked        in a row    last alive  round trip  loss
  tcp://192.168.100.30:8080  up    0.5s ago: passed  12 answers  0.5s ago    12.1 ms     0 %
  icmp://10.10.20.1          up    0.5s ago: passed  12 answers  0.5s ago    12.1 ms     0 %
  tcp://192.168.100.31:389   down  0.5s ago: failed  3 failures  40s ago     –           100 %
  what comes next: new sessions return when its hold-down is over

zone-b (down): not chosen – down: carrier_lost
  down for 1m 0s (carrier_lost): the kernel says that the carrier is gone
  no sign of life yet
  device tun-b, 0 sessions of this forward, 0 in all
  probe                      says     last asked  in a row  last alive  round trip  loss
  tcp://192.168.100.30:8080  unknown  not yet     –         –           –           100 %
  what comes next: the carrier comes back, then 2 answers in a row"""
    )


def test_a_forward_without_a_tunnel_says_why_and_who_waits():
    text = told("ldap")
    assert text.startswith("ldap to 192.168.100.31:389: new sessions have no tunnel, because no tunnel can be used.\n")
    assert "3 clients waiting for a tunnel" in text
    assert "zone-a (up, suspect): not chosen – its target is silent" in text


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (LAST_RESORT, "no tunnel is up; new sessions try zone-a as a last resort, for the verdict on it may be wrong."),
        (LAST_RESORT, "chosen – none is up, and it is down by a verdict that may be wrong"),
        (
            with_forward(last_resort=True),
            "the target answers behind no tunnel that is up; new sessions try zone-a as a",
        ),
        (with_forward(last_resort=True), "chosen – as a last resort: it is up, but the target does not answer"),
        (
            with_forward(policy=ForwardPolicy.BALANCE, offered=("zone-a", "zone-b"), why={}),
            "new sessions are shared by zone-a and zone-b.",
        ),
        (
            with_forward(policy=ForwardPolicy.BALANCE, offered=("zone-a", "zone-b"), why={}),
            "chosen – it is up and takes its share of new sessions",
        ),
        (
            replace(VIEW, tunnels=(tunnel("zone-a"), tunnel("zone-b"))),
            "chosen – the first in this forward's order that can be used",
        ),
        (
            replace(VIEW, tunnels=(replace(VIEW.tunnels[0], drill_until=163.0),)),
            "taken out by a drill for another 3.0s",
        ),
        (with_forward(target="", listens=()), "hello: new sessions take zone-a."),
        (with_forward(offered=("zone-a", "zone-b"), why={}), "zone-b (down): not chosen – another one is better"),
    ],
)
def test_what_is_said(view, says):
    assert says in " ".join(told(view=view).split())


def test_of_ten_thousand_targets_only_some_are_shown():
    probes = tuple(probe(Endpoint("10.0.0.1", port), Health.DOWN) for port in range(1, 10_001))
    text = told(view=replace(VIEW, tunnels=(tunnel("zone-a", probes=probes),)))
    assert "… and 9992 more probes of other targets" in text
    assert len(text.splitlines()) < 30


def test_long_evidence_is_wrapped_and_stays_indented():
    view = replace(VIEW, tunnels=(tunnel("zone-a", evidence="because " * 30),))
    lines = [line for line in told(view=view).splitlines() if "because because" in line]
    assert len(lines) > 1
    assert all(line.startswith("  ") for line in lines)
