"""Rules and routes, planned: what there should be, and that no step on the way lets anything out by another table."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from gateway.tunnels.routes.plan import (
    Action,
    Entry,
    Family,
    OifRule,
    Opened,
    Operation,
    Route,
    SourceRule,
    Unreachable,
    as_far_as_it_goes,
    plan,
    shared,
    steps,
)

T = 0x670000
VIP, VIP6 = ip_address("10.10.20.6"), ip_address("fd00::6")
HOST, OTHER, HOST6 = (ip_network(each) for each in ("192.168.100.30/32", "192.168.100.31/32", "fd01::30/128"))


def opened(*addresses):
    return Opened(index=7, addresses=addresses)


def test_before_it_is_open_there_are_guards_only():
    assert plan(T, "zone-a", None, [HOST]) == {
        Unreachable(table=T, family=Family.V4),
        Unreachable(table=T, family=Family.V6),
        OifRule(table=T, family=Family.V4, interface="zone-a"),
        OifRule(table=T, family=Family.V6, interface="zone-a"),
    }


def test_open_it_has_routes_of_the_families_that_it_has_addresses_of():
    guards = plan(T, "zone-a", None, [])
    assert plan(T, "zone-a", opened(VIP), [HOST, HOST6]) - guards == {
        SourceRule(table=T, source=VIP),
        Route(table=T, destination=HOST, index=7, source=VIP),
    }
    both = plan(T, "zone-a", opened(VIP6, VIP), [HOST, HOST6]) - guards
    assert Route(table=T, destination=HOST6, index=7, source=VIP6) in both
    assert len(both) == 4


def test_addresses_that_are_a_network_together_are_one_route():
    (route,) = [each for each in plan(T, "a", opened(VIP), [HOST, OTHER]) if isinstance(each, Route)]
    assert route.destination == ip_network("192.168.100.30/31")


def test_a_route_that_takes_the_place_of_another_is_only_added():
    before = plan(T, "a", opened(VIP), [HOST])
    after = plan(T, "a", Opened(index=8, addresses=(VIP,)), [HOST])
    assert steps(before, after) == (
        Operation(action=Action.ADD, entry=Route(table=T, destination=HOST, index=8, source=VIP)),
    )
    assert steps(after, after) == ()


def test_link_local_addresses_of_ipv6_tell_nothing():
    local = ip_address("fe80::1")
    assert plan(T, "a", opened(local), [HOST6]) == plan(T, "a", None, [])
    assert shared({"a": [local, VIP], "b": [local]}) == {}


def test_a_fixed_address_is_guarded_always_and_named_in_routes_if_the_device_has_it():
    fixed = ip_address("10.10.20.7")
    assert SourceRule(table=T, source=fixed) in plan(T, "a", None, [HOST], fixed)
    assert Route(table=T, destination=HOST, index=7, source=VIP) in plan(T, "a", opened(VIP), [HOST], fixed)
    assert Route(table=T, destination=HOST, index=7, source=fixed) in plan(T, "a", opened(VIP, fixed), [HOST], fixed)


def test_without_its_device_no_more_routes_are_wanted_than_there_are():
    before, after = plan(T, "a", opened(VIP), [HOST]), plan(T, "a", opened(VIP, VIP6), [ip_network("10.0.0.0/8")])
    assert as_far_as_it_goes(before, after) == {each for each in after if not isinstance(each, Route)}
    assert as_far_as_it_goes(before, before) == before


def test_addresses_that_several_have_are_found():
    assert shared({"a": [VIP, VIP6], "b": [VIP6], "c": [VIP6, VIP6]}) == {VIP6: ("a", "b", "c")}


_ADDRESSES = st.lists(st.sampled_from([VIP, VIP6, ip_address("10.10.20.7")]), unique=True, max_size=3).map(tuple)
_NETWORKS = st.lists(st.sampled_from([HOST, OTHER, HOST6, ip_network("10.0.0.0/8")]), max_size=4)
_PLANS = st.builds(
    lambda index, addresses, networks: plan(
        T, "zone-a", None if index is None else Opened(index=index, addresses=addresses), networks
    ),
    st.one_of(st.none(), st.integers(1, 3)),
    _ADDRESSES,
    _NETWORKS,
)


def _leads(kernel: set[Entry]) -> str:
    """Where the kernel sends what is bound to the device and has no route: "main" would be a leak."""
    for family in Family:
        if OifRule(table=T, family=family, interface="zone-a") in kernel and (
            Unreachable(table=T, family=family) not in kernel
        ):
            return "main"
    return "nowhere"


@given(_PLANS, _PLANS, st.booleans())
def test_every_way_from_one_plan_to_another_arrives_and_leaks_nothing(have, want, gone):
    want = frozenset() if gone else want
    kernel = set(have)
    for step in steps(have, want):
        if step.action is Action.ADD:
            if isinstance(step.entry, Route):
                kernel -= {
                    each for each in kernel if isinstance(each, Route) and each.destination == step.entry.destination
                }
                assert OifRule(table=T, family=step.entry.family, interface="zone-a") in kernel
            kernel.add(step.entry)
        else:
            assert step.entry in kernel
            kernel.remove(step.entry)
        assert _leads(kernel) == "nowhere"
        for route in (each for each in kernel if isinstance(each, Route)):
            assert Unreachable(table=T, family=route.family) in kernel
    assert kernel == want
