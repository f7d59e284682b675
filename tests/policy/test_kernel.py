from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Cause, IPAddress, LinkFacts
from gateway.policy.kernel import judge

GOOD = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2", "10.20.0.3", "fd00::2", "fd00::3"))
DOWN = replace(GOOD, up=False, carrier=False)
NO_CARRIER = replace(GOOD, carrier=False)
OTHER_DEVICE = replace(GOOD, index=8)
BARE = replace(GOOD, addresses=())


def having(*addresses: str) -> LinkFacts:
    return replace(GOOD, addresses=addresses)


TABLE: dict[str, tuple[LinkFacts | None, LinkFacts | None, str | None, Cause | None]] = {
    "first reading, good": (None, GOOD, None, None),
    "no change": (GOOD, GOOD, None, None),
    "never there": (None, None, None, Cause.DEVICE_GONE),
    "gone": (GOOD, None, None, Cause.DEVICE_GONE),
    "another under the same name": (GOOD, OTHER_DEVICE, None, Cause.DEVICE_REPLACED),
    "another, and down": (GOOD, replace(DOWN, index=8), None, Cause.DEVICE_REPLACED),
    "another, seen gone between": (None, OTHER_DEVICE, None, None),
    "link down": (GOOD, DOWN, None, Cause.LINK_DOWN),
    "link still down": (DOWN, DOWN, None, Cause.LINK_DOWN),
    "link up again": (DOWN, GOOD, None, None),
    "carrier lost": (GOOD, NO_CARRIER, None, Cause.CARRIER_LOST),
    "carrier back": (NO_CARRIER, GOOD, None, None),
    "no address yet": (None, BARE, None, Cause.ADDRESS_GONE),
    "last address removed": (GOOD, BARE, None, Cause.ADDRESS_GONE),
    "first address comes": (BARE, GOOD, None, None),
    "primary IPv4 removed": (GOOD, having("10.20.0.3", "fd00::2"), None, Cause.ADDRESS_GONE),
    "primary IPv6 removed": (GOOD, having("10.20.0.2", "fd00::3"), None, Cause.ADDRESS_GONE),
    "primary moved back in line": (GOOD, having("10.20.0.9", "10.20.0.2", "fd00::2"), None, None),
    "secondary removed": (GOOD, having("10.20.0.2", "fd00::2"), None, None),
    "a family comes": (having("10.20.0.2"), GOOD, None, None),
    "a family goes": (GOOD, having("10.20.0.2"), None, Cause.ADDRESS_GONE),
    "source there": (None, GOOD, "10.20.0.3", None),
    "source missing": (None, GOOD, "10.20.0.4", Cause.ADDRESS_GONE),
    "source still missing": (GOOD, GOOD, "fd00::4", Cause.ADDRESS_GONE),
    "mtu is no cause": (GOOD, replace(GOOD, mtu=1300), None, None),
}


@pytest.mark.parametrize(("previous", "current", "source", "cause"), TABLE.values(), ids=TABLE.keys())
def test_table(previous: LinkFacts | None, current: LinkFacts | None, source: str | None, cause: Cause | None):
    assert judge(previous, current, source=ip_address(source) if source else None) is cause


addresses = st.lists(st.sampled_from(GOOD.addresses), unique=True).map(tuple)
facts = st.builds(
    LinkFacts, index=st.integers(1, 3), up=st.booleans(), carrier=st.booleans(), mtu=st.just(1500), addresses=addresses
)
sources = st.none() | st.sampled_from([ip_address(address) for address in GOOD.addresses])
CHANGES = {Cause.DEVICE_REPLACED}


@given(previous=st.none() | facts, current=st.none() | facts, source=sources)
def test_a_cause_is_hard_and_named_only_for_a_reason(
    previous: LinkFacts | None, current: LinkFacts | None, source: IPAddress | None
):
    cause = judge(previous, current, source=source)
    assert cause is None or cause.hard
    if cause is None:
        assert current is not None
        assert current.up
        assert current.carrier
        assert current.addresses
        assert source is None or str(source) in current.addresses
        assert previous is None or previous.index == current.index


@given(previous=st.none() | facts, current=st.none() | facts, source=sources)
def test_what_is_a_state_stays_and_what_is_a_change_passes(
    previous: LinkFacts | None, current: LinkFacts | None, source: IPAddress | None
):
    settled = judge(current, current, source=source)
    assert settled is judge(None, current, source=source), "a first reading knows of no change"
    assert settled not in CHANGES
    if settled is not None:
        assert judge(previous, current, source=source) in {settled, *CHANGES}


@given(current=facts, source=sources)
def test_absence_is_worst(current: LinkFacts, source: IPAddress | None):
    assert judge(current, None, source=source) is Cause.DEVICE_GONE
