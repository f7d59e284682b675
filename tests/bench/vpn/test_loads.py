from __future__ import annotations

import pytest

from bench.children import SampleError
from bench.measures import GIB
from bench.vpn.loads import LOADS, Cost, values
from bench.vpn.ways import Way

BULK, CHURN = (next(load for load in LOADS if load.name == name) for name in ("bulk-up-1", "churn-rst"))
COST = Cost(gateway=0.1, client=0.4, server=0.6, machine=1.5, foreign_share=0.03)


def test_bulk_is_told_by_the_gib():
    found = values(BULK, Way.GATEWAY, {"bytes": GIB / 2, "seconds": 2.0}, COST)
    assert found == pytest.approx(
        {
            "rate": 2.147483648,
            "gateway_cpu": 0.2,
            "client_cpu": 0.8,
            "path_cpu": 1.0,
            "gateway_share": 0.2,
            "server_cpu": 1.2,
            "machine_cpu": 3.0,
            "foreign_share": 0.03,
        }
    )


def test_the_gateway_costs_nothing_where_it_is_not_on_the_way():
    found = values(BULK, Way.DIRECT, {"bytes": GIB, "seconds": 2.0}, COST)
    assert found["path_cpu"] == found["client_cpu"] == pytest.approx(0.4)
    assert found.keys().isdisjoint({"gateway_cpu", "gateway_share"})


def test_connections_are_told_one_by_one_with_their_latency():
    answer = {"connections": 1000, "seconds": 2.0, "p50": 0.001, "p99": 0.004, "failed": 2, "hung": 1}
    found = values(CHURN, Way.GATEWAY, answer, COST)
    assert found["rate"] == 500
    assert found["gateway_cpu"] == pytest.approx(100)
    assert (found["p50_us"], found["p99_us"], found["failed"]) == (1000, 4000, 3)


@pytest.mark.parametrize("answer", [{"bytes": 0, "seconds": 1.0}, {"seconds": 1.0}, {"bytes": 9, "seconds": "long"}])
def test_an_answer_without_work_or_numbers_is_no_sample(answer):
    with pytest.raises(SampleError):
        values(BULK, Way.DIRECT, answer, COST)
