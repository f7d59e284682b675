from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import build
from gateway.config.tables import AdminTable, ForwardEntry, GatewayTable
from gateway.config.tunnel_tables import HealthTable
from gateway.model import AdminSpec, ForwardSpec, GatewaySpec, HealthSettings


@given(st.lists(st.none() | st.integers(1, 5)))
def test_ranks_follow_priority_then_file_order(priorities):
    ranks = build.ranks(priorities)
    assert sorted(ranks) == list(range(len(priorities)))
    order = sorted(range(len(priorities)), key=ranks.__getitem__)
    with_priority = [index for index in order if priorities[index] is not None]
    without = [index for index in order if priorities[index] is None]
    assert order == with_priority + without
    assert with_priority == sorted(with_priority, key=lambda index: (priorities[index], index))
    assert without == sorted(without)


def test_an_empty_table_is_the_defaults_of_the_model():
    assert build.gateway(GatewayTable()) == GatewaySpec()
    assert build.admin(AdminTable()) == AdminSpec()
    entry = ForwardEntry.model_validate({"name": "a", "listen": "1", "target": "a:1"})
    assert build.forward(entry, (), every=("t",)) == ForwardSpec(name="a", ports=(), tunnels=("t",))
    assert build.health(HealthTable()) == HealthSettings()


@pytest.mark.parametrize("written", [False, "off"])
def test_a_book_that_nobody_wants_is_no_directory(written):
    assert build.admin(AdminTable(book=written)).book == ""
