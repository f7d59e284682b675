"""What a listener does with its next client: the plan, from the table, as a table of examples."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from time import monotonic
from typing import Any

import pytest

from gateway.dataplane.ledger import Ledger
from gateway.dataplane.plan import Attempt, Plan, make_plan, same_device
from gateway.model import (
    Choice,
    Endpoint,
    ForwardPolicy,
    ForwardSpec,
    ListenAddress,
    Path,
    PortMap,
    RoutingTable,
)
from tests.dataplane.rig import Rig

PORTS = PortMap(listen=ListenAddress("127.0.0.1", 33000), target=Endpoint("db.corp", 5432))
A = Path(tunnel="a", interface="tun-a", ifindex=7)
B = Path(tunnel="b", interface="tun-b", ifindex=8)


def plan(
    *paths: Path,
    offered: tuple[str, ...] = ("a", "b"),
    addresses: tuple[str, ...] = ("10.0.0.1",),
    policy: ForwardPolicy = ForwardPolicy.FAILOVER,
    last_resort: bool = False,
    tunnel_addresses: dict[tuple[str, str], tuple[str, ...]] | None = None,
) -> Plan:
    forward = ForwardSpec(name="f", ports=(PORTS,), tunnels=("a", "b"), policy=policy)
    ledger = Ledger()
    for path in paths:
        ledger.tunnel(path.tunnel).path = path
    table = RoutingTable(
        generation=1,
        forwards=(forward,),
        paths={path.tunnel: path for path in paths},
        choices={("f", PORTS.target): Choice(tunnels=offered, last_resort=last_resort)},
        addresses={"db.corp": addresses},
        tunnel_addresses=tunnel_addresses or {},
    )
    return make_plan(table, ledger.forward(forward), PORTS, ledger)


def said(plan: Plan) -> list[tuple[str, str]]:
    return [(attempt.path.tunnel, attempt.address[0]) for attempt in plan.attempts()]


def test_each_tunnel_in_order_and_in_each_the_addresses_in_order() -> None:
    made = plan(A, B, offered=("b", "a"), addresses=("10.0.0.1", "2001:db8::1"))
    assert said(made) == [("b", "10.0.0.1"), ("b", "2001:db8::1"), ("a", "10.0.0.1"), ("a", "2001:db8::1")]
    assert {attempt.address[1] for attempt in made.attempts()} == {5432}


def test_a_name_has_the_addresses_that_the_tunnels_own_servers_gave() -> None:
    made = plan(A, B, tunnel_addresses={("b", "db.corp"): ("10.2.0.1", "10.2.0.2"), ("b", "other.corp"): ("10.3.0.1",)})
    assert said(made) == [("a", "10.0.0.1"), ("b", "10.2.0.1"), ("b", "10.2.0.2")]
    assert said(plan(A, B, tunnel_addresses={("a", "db.corp"): ()})) == [("b", "10.0.0.1")]


@pytest.mark.parametrize(
    ("paths", "settings"),
    [
        ((A, B), {"offered": ()}),
        ((A, B), {"addresses": ()}),
        ((), {}),
    ],
)
def test_nothing_to_try(paths: tuple[Path, ...], settings: dict[str, Any]) -> None:
    assert plan(*paths, **settings).attempts() == ()


def test_a_tunnel_that_is_offered_without_a_path_is_left_out() -> None:
    assert said(plan(B)) == [("b", "10.0.0.1")]


def test_a_choice_that_the_table_lacks_is_no_choice() -> None:
    ledger = Ledger()
    forward = ForwardSpec(name="f", ports=(PORTS,), tunnels=("a",))
    table = RoutingTable(generation=1, forwards=(forward,), paths={}, choices={}, addresses={})
    assert make_plan(table, ledger.forward(forward), PORTS, ledger).attempts() == ()


def test_last_resort_is_passed_on() -> None:
    assert plan(A, last_resort=True).last_resort
    assert not plan(A).last_resort


def test_attempts_are_equal_when_they_dial_the_same_address_by_the_same_device() -> None:
    ledger = Ledger()
    lane = ledger.lane(ledger.forward(ForwardSpec(name="f", ports=(), tunnels=())), ledger.tunnel("a"))
    again = Path(tunnel="a", interface="tun-a", ifindex=9)
    attempt = Attempt(lane, A, "10.0.0.1", 1)
    assert attempt == Attempt(lane, A, "10.0.0.1", 1)
    assert hash(attempt) == hash(Attempt(lane, A, "10.0.0.1", 1))
    assert attempt not in {Attempt(lane, A, "10.0.0.2", 1), Attempt(lane, A, "10.0.0.1", 2)}
    assert attempt != Attempt(lane, again, "10.0.0.1", 1)
    assert attempt == Attempt(lane, replace(A, mss=1200, weight=3), "10.0.0.1", 1)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (A, True),
        (replace(A), True),
        (replace(A, mss=1200), True),
        (replace(A, weight=2, slow_start=5.0, ramp_from=1.0), True),
        (replace(A, ifindex=9), False),
        (replace(A, interface="tun-z"), False),
        (replace(A, source_address=ip_address("10.9.9.9")), False),
        (None, False),
    ],
)
def test_a_device_is_the_same_as_long_as_sockets_are_bound_alike(other: Path | None, same: bool) -> None:
    assert same_device(A, other) is same


@pytest.mark.parametrize(("source", "left"), [("10.9.9.9", "10.0.0.1"), ("2001:db8::9", "2001:db8::1")])
def test_a_source_address_leaves_only_its_family(source: str, left: str) -> None:
    path = Path(tunnel="a", interface="tun-a", ifindex=7, source_address=ip_address(source))
    assert said(plan(path, addresses=("10.0.0.1", "2001:db8::1"))) == [("a", left)]


def test_balance_asks_the_least_busy_tunnel_first_and_failover_does_not_care() -> None:
    balanced, ordered = plan(A, B, policy=ForwardPolicy.BALANCE), plan(A, B)
    for made in (balanced, ordered):
        lane = made.attempts()[0].lane
        assert lane.tunnel.name == "a"
        lane.sessions.add(object())  # type: ignore[arg-type]
    assert said(balanced)[0] == ("b", "10.0.0.1")
    assert said(ordered)[0] == ("a", "10.0.0.1")


async def test_balanced_sessions_follow_the_weights_and_ramps_of_the_table(rig: Rig) -> None:
    rig.offer(rig.path("lo-a", weight=3), rig.path("lo-b"))
    target = rig.target()
    at = rig.forward(target.endpoint, policy=ForwardPolicy.BALANCE)
    for _ in range(12):
        await rig.pair(at, target)
    assert rig.stats.active == {("forward-0", "lo-a"): 9, ("forward-0", "lo-b"): 3}
    rig.offer(rig.path("lo-a", weight=3), rig.path("lo-b", weight=100, slow_start=1e6, ramp_from=monotonic()))
    rig.apply()
    for _ in range(40):
        await rig.pair(at, target)
    assert rig.stats.active == {("forward-0", "lo-a"): 12, ("forward-0", "lo-b"): 40}  # 3 to a tenth of 100


async def test_balanced_sessions_spread_evenly_and_fill_the_gaps(rig: Rig) -> None:
    rig.offer(*(rig.path(name) for name in ("lo-a", "lo-b", "lo-c")))
    target = rig.target()
    at = rig.forward(target.endpoint, policy=ForwardPolicy.BALANCE)
    pairs = [await rig.pair(at, target) for _ in range(9)]
    assert set(rig.stats.active.values()) == {3}
    leaving = [session for session in rig.sessions if session.attempt.path.tunnel == "lo-b"]
    ports = {session.up.source.getpeername()[1] for session in leaving}
    for client, server in pairs:
        if client.address.port in ports:
            client.reset()
            await server.receive_until_reset()
    assert rig.stats.active[("forward-0", "lo-b")] == 0
    for _ in range(3):
        await rig.pair(at, target)
    assert rig.stats.active == {("forward-0", name): 3 for name in ("lo-a", "lo-b", "lo-c")}
