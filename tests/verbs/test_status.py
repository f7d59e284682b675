"""The tables of `gateway status`."""

from dataclasses import replace

import pytest

from gateway.admin.rates import Rate, Rates
from gateway.model import (
    AdminState,
    Cause,
    ControlView,
    Doubt,
    Endpoint,
    ForwardPolicy,
    Health,
    ProbeOutcome,
)
from gateway.verbs.status import status
from tests.admin.fakes import DRIVERS, EXPIRIES, NOW_UNIX, VIEW, forward, probe, tunnel
from tests.verbs.reading import seen, status_of


def test_the_whole_of_a_small_gateway():
    assert (
        seen(status(status_of()))
        == """\
gateway 1.2.3, test, running: 2 sessions; rates over the last 10s

tunnel  state        since  cause             RTT  loss  sessions  conn/s  to target  to client
zone-a  up, suspect  1m 0s  recovered     12.1 ms  25 %         2     3.0   1.5 kB/s   2.5 MB/s
zone-b  down         1m 0s  carrier_lost        –     –         0       0          0          0
  zone-a: suspect: latency
  zone-a: in its hold-down for another 18s: another that is up is preferred
  zone-a: 1 fall still counts against it
  zone-a: segments are clamped to 1200 bytes, because larger ones vanish in it
  zone-a: 1 of 2 targets behind it does not answer

forward  listens  active  sessions  held  conn/s  to target  to client
hello    *:33000  zone-a         2     0     3.2   1.5 kB/s   2.5 MB/s
ldap     *:33001  none           0     3       0          0          0
  ldap: no tunnel can be used: zone-a its target is silent; zone-b down: carrier_lost"""
    )


def test_before_anything_was_measured():
    text = seen(status(status_of(rates=Rates())))
    assert "rates in a moment" in text
    assert "–          –" in text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"admin": AdminState.DISABLED}, "up, disabled"),
        ({"admin": AdminState.DRAINING, "drain_until": 172.0}, "its sessions have another 12s to end"),
        ({"drill_until": 165.0}, "taken out by a drill for another 5.0s"),
        ({"flaps": 3}, "3 falls still count against it"),
        ({"doubts": (Doubt.LOSS, Doubt.LATENCY)}, "suspect: loss, latency"),
    ],
)
def test_what_is_to_be_said_of_a_tunnel(changes, says):
    assert says in seen(status(status_of(ControlView(tunnels=(tunnel("zone-a", **changes),)))))


def test_what_vpn_clients_do_and_which_certificates_end():
    text = " ".join(seen(status(status_of(drivers=DRIVERS, expiries=EXPIRIES, now_unix=NOW_UNIX))).split())
    for says in (
        "zone-a: VPN client connected to 198.51.100.7:1194 as 10.8.0.2 for 1m 0s; 1.5 kB sent, 2.5 MB received",
        "zone-a: the ca certificate CN=an old ca ends in 1h 0m",
        "zone-a: the client certificate CN=client expired 1m 0s ago",
        (
            "zone-b: VPN client refused by the server, 2 attempts so far; wrong password at 198.51.100.7:1194: "
            "the server refused the account myuser; next attempt in 30s"
        ),
    ):
        assert says in text


def test_nothing_is_said_of_a_tunnel_that_is_well():
    assert "zone-a:" not in seen(status(status_of(ControlView(tunnels=(tunnel("zone-a"),)))))


@pytest.mark.parametrize(
    ("changes", "active"),
    [
        ({"last_resort": True}, "zone-a, last resort"),
        ({"policy": ForwardPolicy.BALANCE, "offered": ("zone-a", "zone-b"), "why": {}}, "zone-a and zone-b"),
        ({"servable": False}, "none"),
    ],
)
def test_what_a_forward_takes(changes, active):
    view = replace(VIEW, forwards=(replace(VIEW.forwards[0], **changes),))
    assert active in seen(status(status_of(view)))


def test_the_widest_that_there_is_fits_a_hundred_columns():
    wide = tunnel(
        "a-tunnel-with-a-very-long-name.of-somebody-who-likes-long-names",
        Health.UNKNOWN,
        Cause.DEVICE_REPLACED,
        doubts=tuple(Doubt),
        admin=AdminState.DISABLED,
        drill_until=999.0,
        since=-1e6,
        rtt=12.345,
        loss=1.0,
    )
    rate = Rate(to_target=999.9e9, to_client=123.4e6, connections=123456.0)
    view = ControlView(
        tunnels=(wide,),
        forwards=(replace(VIEW.forwards[0], name=wide.name, listens=("[fd00:1:2:3:4:5:6:7]:33000-33999",)),),
    )
    text = seen(
        status(status_of(view, rates=Rates(seconds=10.0, tunnels={wide.name: rate}, forwards={wide.name: rate})))
    )
    for word in ("device_replaced", "12345 ms", "123456", "1000 GB/s", "123 MB/s"):
        assert word in text


def test_colours_where_there_are_any():
    assert "\033[31mdown" in seen(status(status_of()), colours=True)
    assert "\033" not in seen(status(status_of()))


def test_names_are_no_markup():
    view = ControlView(
        tunnels=(tunnel("zone-a", evidence="[bold]"),), forwards=(replace(VIEW.forwards[0], listens=("[::1]:33000",)),)
    )
    assert "[::1]:33000" in seen(status(status_of(view)))


def test_of_many_forwards_those_that_fit_the_needy_and_the_busy_first():
    names = [f"forward-{number}" for number in range(1000)]
    forwards = [forward(name) for name in names]
    forwards[700] = forward("needy", active=None)
    forwards[800] = replace(forward("last"), last_resort=True)
    rates = Rates(seconds=10.0, forwards={"forward-900": Rate(to_client=1.0)})
    document = status_of(ControlView(tunnels=VIEW.tunnels, forwards=tuple(forwards)), rates=rates)
    text = seen(status(document, lines=40))
    assert len(text.splitlines()) <= 40
    shown = [line.split()[0] for line in text.partition("forward  ")[2].splitlines()[1:4]]
    assert shown == ["needy", "last", "forward-900"]
    assert "more forwards: gateway status shows all" in text
    assert all(name in seen(status(document)) for name in ("forward-0", "forward-999"))


def test_few_forwards_stay_in_their_order_though_lines_are_counted():
    assert seen(status(status_of(), lines=50)) == seen(status(status_of()))


def test_a_probe_that_was_never_answered_is_no_target_that_fell():
    unknown = probe(Endpoint("10.0.0.1", 1), Health.UNKNOWN, last_outcome=ProbeOutcome.LOCAL)
    text = seen(status(status_of(ControlView(tunnels=(tunnel("zone-a", probes=(unknown,)),)))))
    assert "behind it" not in text
