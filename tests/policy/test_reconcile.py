from __future__ import annotations

from dataclasses import replace
from time import thread_time

import pytest

from gateway.model import (
    Cause,
    Endpoint,
    ForwardPolicy,
    Health,
    KernelSnapshot,
    LinkFacts,
    ProbeOutcome,
    TunnelDownAction,
)
from gateway.policy.aims import label_of
from gateway.policy.check import Check
from gateway.policy.checks import Checks
from gateway.policy.evidence import Heard, KernelSeen, NamesSeen, Probed, TimePassed
from gateway.policy.reconcile import Decision, next_due, step
from tests.policy.scenes import (
    BARE,
    GONE,
    GOOD,
    LINK_DOWN,
    NO_CARRIER,
    REMADE,
    Scene,
    Target,
    forward,
    probed_scene,
    tunnel,
)

HELLO = frozenset({"hello"})
OTHER = Endpoint("192.168.100.31", 5432)
NAMED = Endpoint("db.example", 5432)
UNROUTED_A = frozenset({("tun-a", Target.host)})
UNROUTED_BOTH = UNROUTED_A | {("tun-b", Target.host)}


def serving(*forwards, tunnels=(), **links: LinkFacts | None) -> Scene:
    """A scene with a and b UP, at the moment 0."""
    scene = Scene(*forwards, tunnels=tunnels)
    scene.sees(**({"a": GOOD, "b": GOOD} | links))
    return scene


# ---------------------------------------------------------------- the start


def test_before_the_kernel_has_been_seen_there_is_no_table():
    scene = Scene(forward(target=NAMED))
    assert scene.resolves(**{"db.example": ("10.0.0.5",)}) == Decision()
    assert scene.takes(TimePassed()) == Decision()
    assert scene.hears("a", Cause.PROBES) == Decision(), "nor does a verdict make a tunnel out of nothing"
    assert scene.health("a") == "unknown"
    table = scene.sees(a=GOOD, b=GOOD).table
    assert table is not None
    assert (table.generation, table.addresses) == (1, {"db.example": ("10.0.0.5",)})
    assert scene.health("a") == "down", "what was said of it before counts when there is something to count against"
    assert scene.chosen(target=NAMED) == ("b",)


def test_the_first_look_makes_tunnels_up_and_holds_nobody_down():
    scene = serving()
    assert scene.chosen() == ("a", "b")
    assert scene.transitions() == [
        ("a", "unknown", "up", Cause.FIRST_GOOD),
        ("b", "unknown", "up", Cause.FIRST_GOOD),
    ]
    assert scene.failovers() == []
    assert next_due(scene.state, scene.now) is None


def test_a_tunnel_that_is_missing_at_start_is_down_and_needs_rise_but_no_hold_down():
    scene = serving(a=GONE)
    assert scene.transitions()[0] == ("a", "unknown", "down", Cause.DEVICE_GONE)
    assert scene.chosen() == ("b",)
    scene.sees(a=GOOD, b=GOOD, at=5.0)
    scene.waits(5.999)
    assert scene.chosen() == ("b",)
    scene.waits(6.0)
    assert scene.chosen() == ("a", "b"), "it never fell"
    assert scene.failovers() == []


# ---------------------------------------------------------------- falling


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        (LINK_DOWN, Cause.LINK_DOWN),
        (NO_CARRIER, Cause.CARRIER_LOST),
        (GONE, Cause.DEVICE_GONE),
        (BARE, Cause.ADDRESS_GONE),
        (replace(GOOD, addresses=("10.20.0.9",)), Cause.ADDRESS_GONE),
        (REMADE, Cause.DEVICE_REPLACED),
        (replace(LINK_DOWN, index=8), Cause.DEVICE_REPLACED),
        (replace(BARE, index=8), Cause.DEVICE_REPLACED),
    ],
)
def test_a_hard_cause_takes_the_tunnel_out_of_the_table_and_resets_its_sessions(facts: LinkFacts | None, cause: Cause):
    scene = serving()
    made = scene.sees(a=facts, b=GOOD, at=10.0)
    assert made.table is not None
    assert made.table.choices["hello", Target].tunnels == ("b",)
    assert [(it.tunnel, it.forwards) for it in made.aborts] == [("a", HELLO)]
    assert scene.transitions()[-1] == ("a", "up", "down", cause)
    assert scene.failovers() == [("hello", "a", "b", cause)]


def test_a_tunnel_that_cannot_be_used_has_no_path():
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=1.0)
    assert set(scene.state.table.paths) == {"b"}


def test_a_device_made_again_under_its_name_is_followed_to_its_new_index():
    scene = serving()
    scene.sees(a=GONE, b=GOOD, at=10.0)
    scene.sees(a=replace(REMADE, up=False, carrier=False, addresses=()), b=GOOD, at=11.0)
    scene.sees(a=REMADE, b=GOOD, at=12.0)
    assert scene.state.table.paths["a"].ifindex == REMADE.index
    assert scene.health("a") == "down"
    scene.waits(12.999)
    assert scene.health("a") == "down"
    scene.waits(13.0)
    assert scene.transitions()[-1] == ("a", "down", "up", Cause.RECOVERED)
    assert scene.chosen() == ("b", "a"), "held down"
    scene.waits(43.0)
    assert scene.chosen() == ("a", "b")
    assert scene.aborts() == [("a", HELLO)], "one fall, one abort"


@pytest.mark.parametrize("rise", [1, 2])
def test_a_device_replaced_between_two_looks_is_a_fall_whatever_rise_is(rise: int):
    scene = serving(tunnels=(tunnel("a", rise=rise), tunnel("b")))
    scene.sees(a=REMADE, b=GOOD, at=10.0)
    assert scene.transitions()[-1] == ("a", "up", "down", Cause.DEVICE_REPLACED)
    assert scene.aborts() == [("a", HELLO)]
    assert scene.state.table.paths["a"].ifindex == REMADE.index
    scene.waits(10.0 + rise - 1)
    assert scene.transitions()[-1] == ("a", "down", "up", Cause.RECOVERED)
    assert scene.chosen() == ("b", "a")


def test_a_device_replaced_while_a_verdict_stands_resets_last_resort_sessions():
    scene = serving(b=LINK_DOWN)
    scene.hears("a", Cause.PROBES, at=10.0)
    assert scene.choice().last_resort
    scene.sees(a=REMADE, b=LINK_DOWN, at=11.0)
    assert scene.aborts() == [("a", HELLO)]
    assert scene.cause("a") is Cause.PROBES
    assert scene.choice().last_resort, "what came in its place is as good as it was"


def test_a_fact_on_top_of_a_verdict_resets_sessions_that_the_verdict_spared():
    scene = serving(b=LINK_DOWN)
    scene.hears("a", Cause.PROBES, at=10.0)
    assert scene.aborts() == []
    scene.sees(a=NO_CARRIER, b=LINK_DOWN, at=11.0)
    assert scene.aborts() == [("a", HELLO)]
    assert scene.chosen() == ()
    scene.sees(a=GONE, b=LINK_DOWN, at=12.0)
    assert scene.aborts() == [("a", HELLO)], "the next fact finds nobody"


def test_a_soft_verdict_is_weaker_than_a_fact_only_while_the_fact_lasts():
    """Otherwise a link that flapped once while the probes fail everywhere is an outage."""
    scene = serving(b=LINK_DOWN)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=10.0)
    scene.hears("a", Cause.PROBES, at=11.0)
    assert scene.cause("a") is Cause.LINK_DOWN
    assert scene.chosen() == ()
    scene.sees(a=GOOD, b=LINK_DOWN, at=12.0)
    assert scene.cause("a") is Cause.PROBES
    assert scene.choice().last_resort
    scene.hears("a", None, at=13.0)
    scene.waits(14.0)
    assert scene.health("a") == "up"
    assert not scene.choice().last_resort


# ---------------------------------------------------------------- verdicts


def test_a_soft_fall_resets_sessions_only_where_another_tunnel_serves():
    both, alone, elsewhere = forward("both"), forward("alone", "a"), forward("elsewhere", target=OTHER)
    scene = Scene(both, alone, elsewhere)
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-b", OTHER.host)}))
    scene.hears("a", Cause.STALL, at=10.0)
    assert scene.aborts() == [("a", frozenset({"both"}))], "b is UP, but leads nowhere for one of them"
    assert scene.choice("alone").last_resort
    assert scene.choice("elsewhere", OTHER).last_resort
    assert scene.failovers() == [("both", "a", "b", Cause.STALL)]


def test_a_hard_verdict_is_a_fact():
    scene = serving(forward("hello", "a"))
    scene.hears("a", Cause.DRIVER, at=10.0)
    assert scene.aborts() == [("a", HELLO)]
    assert scene.chosen() == ()


def test_a_verdict_on_a_tunnel_that_is_not_configured_is_ignored():
    assert serving().hears("zone-z", Cause.DRIVER) == Decision()


def test_no_tunnel_is_risen_by_a_verdict_that_lasts():
    scene = serving()
    scene.hears("a", Cause.PROBES, at=10.0)
    scene.sees(a=replace(GOOD, mtu=1300), b=GOOD, at=20.0)
    scene.waits(60.0)
    assert scene.health("a") == "down"


# ---------------------------------------------------------------- reprieves

GRACE = forward(down=TunnelDownAction.GRACE, grace=10.0)


def test_grace_ends_sessions_later():
    scene = serving(GRACE)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    assert scene.aborts() == []
    assert next_due(scene.state, scene.now) == 20.0
    scene.waits(19.999)
    assert scene.aborts() == []
    scene.waits(20.0)
    assert scene.aborts() == [("a", HELLO)]
    assert next_due(scene.state, scene.now) is None


def test_a_tunnel_that_is_back_within_the_grace_keeps_its_sessions():
    scene = serving(GRACE)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=15.0)
    scene.waits(100.0)
    assert scene.aborts() == []


def test_looking_good_is_not_back_yet():
    scene = serving(GRACE)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=19.5)
    scene.waits(100.0)
    assert scene.aborts() == [("a", HELLO)], "UP at 20.5, half a second late"


@pytest.mark.parametrize(
    "between",
    [
        pytest.param((GONE,), id="device gone"),
        pytest.param((LINK_DOWN, GONE), id="down, then gone"),
        pytest.param((LINK_DOWN, replace(LINK_DOWN, index=8)), id="down, then replaced"),
        pytest.param((replace(LINK_DOWN, addresses=("10.20.0.9",)),), id="down, and another address in one look"),
        pytest.param((BARE,), id="address gone"),
        pytest.param((NO_CARRIER, BARE, GOOD, LINK_DOWN), id="address gone for a moment"),
    ],
)
def test_grace_does_not_save_dead_sockets_nor_does_their_end_hit_new_sessions(between: tuple[LinkFacts | None, ...]):
    scene = serving(GRACE)
    for number, facts in enumerate(between):
        scene.sees(a=facts, b=GOOD, at=10.0 + number / 10)
    scene.sees(a=GOOD, b=GOOD, at=12.0)
    assert scene.aborts() == []
    scene.waits(12.999)
    assert scene.aborts() == []
    scene.waits(13.0)
    assert scene.health("a") == "up"
    assert scene.aborts() == [("a", HELLO)]
    scene.waits(100.0)
    assert scene.aborts() == [("a", HELLO)], "and only then"


def test_grace_of_a_soft_cause_is_asked_again_at_its_end():
    scene = serving(GRACE)
    scene.hears("a", Cause.PROBES, at=10.0)
    scene.sees(a=GOOD, b=LINK_DOWN, at=15.0)
    assert scene.choice().last_resort
    scene.waits(100.0)
    assert scene.aborts() == [("b", HELLO)], "those on a have nowhere better to go"


def test_the_grace_counts_from_the_first_cause():
    scene = serving(GRACE)
    scene.hears("a", Cause.PROBES, at=10.0)
    scene.sees(a=LINK_DOWN, b=GOOD, at=18.0)
    scene.waits(20.0)
    assert scene.aborts() == [("a", HELLO)]
    scene.waits(100.0)
    assert scene.aborts() == [("a", HELLO)]


def test_keep_keeps():
    scene = serving(forward(down=TunnelDownAction.KEEP))
    scene.sees(a=GONE, b=GOOD, at=10.0)
    scene.waits(1000.0)
    assert scene.aborts() == []
    assert scene.chosen() == ("b",)


def test_forwards_that_end_at_one_moment_make_one_abort_a_tunnel():
    graces = [forward(f"grace-{grace}", down=TunnelDownAction.GRACE, grace=grace) for grace in (5.0, 10.0)]
    scene = serving(forward(), *graces)
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.takes(TimePassed(), at=30.0)
    assert scene.aborts() == [("a", HELLO), ("a", frozenset({"grace-5.0", "grace-10.0"}))]


# ---------------------------------------------------------------- coming back


def test_the_hold_down_doubles_and_is_waited_for():
    scene = serving()
    for number, hold in enumerate((30.0, 60.0, 120.0)):
        at = 1000.0 + 250 * number
        scene.sees(a=LINK_DOWN, b=GOOD, at=at)
        scene.sees(a=GOOD, b=GOOD, at=at + 1)
        scene.waits(at + 2)
        assert scene.chosen() == ("b", "a")
        scene.waits(at + 2 + hold - 0.001)
        assert scene.chosen() == ("b", "a")
        scene.waits(at + 2 + hold)
        assert scene.chosen() == ("a", "b")
    assert len(scene.failovers()) == 3, "a failback is no failover"


def test_the_hold_down_does_not_matter_while_no_other_is_up():
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    scene.sees(a=GOOD, b=LINK_DOWN, at=13.0)
    assert scene.chosen() == ("a",)
    assert scene.failovers()[-1] == ("hello", "b", "a", Cause.LINK_DOWN)


def test_a_balanced_forward_gives_no_share_to_a_held_tunnel():
    scene = serving(forward(policy=ForwardPolicy.BALANCE))
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.chosen() == ("b",)
    scene.waits(42.0)
    assert scene.chosen() == ("a", "b")


@pytest.mark.parametrize("missed", [0.0, 0.001, 7.0, 10_000.0])
def test_a_moment_that_went_by_unnoticed_is_still_due(missed: float):
    scene = serving()
    scene.sees(a=LINK_DOWN, b=GOOD, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    assert next_due(scene.state, scene.now) == 12.0
    scene.takes(TimePassed(), at=12.0 + missed)
    assert scene.health("a") == "up"
    assert next_due(scene.state, scene.now) == 42.0 + missed


# ---------------------------------------------------------------- routes and names


def test_a_lost_route_moves_that_forward_and_aborts_nothing():
    scene = serving(forward(), forward("other", target=OTHER))
    scene.sees(a=GOOD, b=GOOD, unrouted=UNROUTED_A, at=10.0)
    assert scene.chosen() == ("b",)
    assert scene.chosen("other", OTHER) == ("a", "b")
    assert scene.health("a") == "up"
    assert scene.aborts() == []
    assert scene.failovers() == [("hello", "a", "b", Cause.NO_ROUTE)]
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    assert scene.chosen() == ("a", "b"), "a route that is back is back"
    assert len(scene.failovers()) == 1


def test_no_route_anywhere_is_no_choice():
    scene = serving()
    scene.sees(a=GOOD, b=GOOD, unrouted=UNROUTED_BOTH, at=10.0)
    assert scene.chosen() == ()
    assert scene.health("a") == scene.health("b") == "up"


def test_one_address_with_a_route_is_enough():
    scene = serving(forward(target=NAMED))
    scene.resolves(at=1.0, **{NAMED.host: ("10.0.0.5", "10.0.0.6")})
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", "10.0.0.5")}), at=2.0)
    assert scene.chosen(target=NAMED) == ("a", "b")
    scene.sees(a=GOOD, b=GOOD, unrouted=frozenset({("tun-a", "10.0.0.5"), ("tun-a", "10.0.0.6")}), at=3.0)
    assert scene.chosen(target=NAMED) == ("b",)
    scene.resolves(at=4.0, **{NAMED.host: ("10.0.0.7",)})
    assert scene.chosen(target=NAMED) == ("a", "b"), "nothing is known against the new address"


def test_a_tunnel_with_a_source_address_leads_to_its_family_alone():
    bound = replace(GOOD, addresses=("10.20.0.2", "fd00::2"))
    scene = Scene(forward(target=Endpoint("fd00::30", 80)), tunnels=(tunnel("a", source="10.20.0.2"), tunnel("b")))
    scene.sees(a=bound, b=bound)
    assert scene.chosen(target=Endpoint("fd00::30", 80)) == ("b",)


def test_names_are_taken_in_and_kept():
    scene = serving(forward(target=NAMED), forward("literal"))
    assert set(scene.state.table.addresses) == {Target.host}
    made = scene.resolves(at=1.0, **{NAMED.host: ("10.0.0.5",)})
    assert made.table is not None
    assert made.table.addresses == {Target.host: (Target.host,), NAMED.host: ("10.0.0.5",)}
    assert made.aborts == made.failovers == ()
    assert scene.resolves(at=2.0) == Decision(), "a resolver that knows no more takes nothing away"


# ---------------------------------------------------------------- generations, failovers


def test_what_changes_nothing_makes_no_table():
    scene = serving()
    table = scene.state.table
    assert scene.sees(a=GOOD, b=GOOD, at=1.0) == Decision()
    assert scene.sees(a=replace(GOOD, mtu=1300), b=GOOD, at=2.0) == Decision()
    assert scene.sees(a=GOOD, b=GOOD, c=GOOD, at=3.0) == Decision()
    assert scene.takes(TimePassed(), at=4.0) == Decision()
    assert scene.hears("a", None, at=5.0) == Decision()
    assert scene.state.table is table
    scene.sees(a=LINK_DOWN, b=GOOD, at=6.0)
    assert scene.state.table.generation == table.generation + 1
    assert scene.state.table.addresses is table.addresses, "whoever watches addresses sees that they are the same"


def test_an_outage_that_ends_on_the_other_tunnel_is_a_failover_for_what_began_it():
    scene = serving(b=LINK_DOWN)
    scene.sees(a=GONE, b=LINK_DOWN, at=10.0)
    assert scene.chosen() == ()
    assert scene.failovers() == []
    scene.sees(a=LINK_DOWN, b=GOOD, at=20.0)
    scene.waits(21.0)
    assert scene.chosen() == ("b",)
    assert scene.failovers() == [("hello", "a", "b", Cause.DEVICE_GONE)]


def test_an_outage_that_ends_where_it_began_is_none():
    scene = serving(b=LINK_DOWN)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=10.0)
    scene.sees(a=GOOD, b=LINK_DOWN, at=11.0)
    scene.waits(12.0)
    scene.sees(a=GOOD, b=GOOD, at=13.0)
    scene.waits(100.0)
    assert scene.failovers() == []


def test_a_balanced_outage_that_ends_on_the_other_names_what_began_it():
    """Both are UP at once, but one is held down and the other is not: it has never been UP."""
    scene = serving(forward(policy=ForwardPolicy.BALANCE), b=LINK_DOWN)
    scene.sees(a=LINK_DOWN, b=LINK_DOWN, at=10.0)
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.chosen() == ("b",)
    assert scene.failovers() == [("hello", "a", "b", Cause.LINK_DOWN)]


def test_a_last_resort_left_for_a_tunnel_that_is_up_is_a_failover():
    scene = serving(b=LINK_DOWN)
    scene.hears("a", Cause.PROBES, at=10.0)
    assert scene.failovers() == []
    scene.sees(a=GOOD, b=GOOD, at=11.0)
    scene.waits(12.0)
    assert scene.failovers() == [("hello", "a", "b", Cause.PROBES)]
    assert scene.aborts() == [], "who got through on a last resort has what it came for"


def test_each_forward_fails_over_once():
    scene = serving(forward("x"), forward("y"), forward("z", "b", "a"))
    scene.sees(a=NO_CARRIER, b=GOOD, at=10.0)
    scene.sees(a=LINK_DOWN, b=GOOD, at=11.0)
    scene.sees(a=GONE, b=GOOD, at=12.0)
    assert scene.failovers() == [("x", "a", "b", Cause.CARRIER_LOST), ("y", "a", "b", Cause.CARRIER_LOST)]


# ---------------------------------------------------------------- size


def test_ten_thousand_forwards_fail_over_in_one_short_step():
    """Some 20 ms of processor time; the bound is generous, for processors that are busy with others, too."""
    forwards = [
        forward(f"f{number}", target=Endpoint(f"10.0.{number >> 8}.{number & 255}", 80)) for number in range(10_000)
    ]
    scene = serving(*forwards)
    evidence = KernelSeen(snapshot=KernelSnapshot(links={"tun-a": LINK_DOWN, "tun-b": GOOD}))
    spent = []
    for _ in range(3):
        before = thread_time()
        _, made = step(scene.state, evidence, 10.0)
        spent.append(thread_time() - before)
        assert len(made.failovers) == 10_000
        assert len(made.aborts[0].forwards) == 10_000
    assert min(spent) < 0.25


def test_one_probe_among_ten_thousand_targets_touches_one():
    """Some 0.2 ms of processor time; the bound is generous, for processors that are busy with others, too."""
    targets = [Endpoint(f"10.0.{number >> 8}.{number & 255}", 80) for number in range(10_000)]
    scene = probed_scene(*(forward(f"f{number}", target=target) for number, target in enumerate(targets)))
    known = {label_of(target): Check(label=label_of(target), target=target, health=Health.UP) for target in targets}
    tunnels = {name: replace(it, checks=Checks(by_label=known)) for name, it in scene.state.tunnels.items()}
    scene.state = replace(scene.state, tunnels=tunnels)
    for evidence in (
        Probed(
            tunnel="a",
            label=label_of(targets[7]),
            target=targets[7],
            outcome=ProbeOutcome.FAILED,
            sent_at=1.0,
            at=1.8,
        ),
        Heard(tunnel="b", target=targets[9_999], at=1.9),
        NamesSeen(addresses={}),
        TimePassed(),
    ):
        spent = []
        for _ in range(5):
            before = thread_time()
            state, made = step(scene.state, evidence, 2.0)
            next_due(state, 2.0)
            spent.append(thread_time() - before)
            assert made == Decision()
        assert min(spent) < 0.01, evidence
