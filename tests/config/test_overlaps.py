from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.overlaps import Overlap, overlaps
from gateway.model import ListenAddress

HOSTS = [None, "0.0.0.0", "::", "127.0.0.1", "10.0.0.1", "::1"]


def meet(one: ListenAddress, other: ListenAddress) -> bool:
    """The rule, said plainly: the same port, and one host stands for the other."""

    def stands_for(host: str | None) -> set[str]:
        return {
            None: {"0.0.0.0", "::", "127.0.0.1", "10.0.0.1", "::1"},
            "0.0.0.0": {"0.0.0.0", "127.0.0.1", "10.0.0.1"},
            "::": {"::", "::1"},
        }.get(host, {host} if host else set())

    return one.port == other.port and bool(stands_for(one.host) & stands_for(other.host))


@pytest.mark.parametrize(("first", "second"), list(itertools.product(HOSTS, HOSTS)))
def test_each_pair_of_hosts(first, second):
    one, other = ListenAddress(first, 80), ListenAddress(second, 80)
    expected = [Overlap("b", other, "a", one)] if meet(one, other) else []
    assert overlaps([("a", one), ("b", other)]) == expected


@given(st.lists(st.builds(ListenAddress, st.sampled_from(HOSTS), st.integers(1, 3)), max_size=8))
def test_an_owner_is_named_if_and_only_if_something_before_it_is_in_its_way(addresses):
    named = {overlap.owner for overlap in overlaps(enumerate(addresses))}
    assert named == {
        index for index, address in enumerate(addresses) if any(meet(before, address) for before in addresses[:index])
    }


def test_ranges_that_meet_on_many_ports_are_one_overlap():
    many = [("a", ListenAddress(None, port)) for port in range(1, 100)]
    found = overlaps([*many, *(("b", address) for _, address in many)])
    assert found == [Overlap("b", ListenAddress(None, 1), "a", ListenAddress(None, 1))]
