"""iperf3 through the gateway: bulk in both directions, one flow and several, counted by both ends alike."""

from __future__ import annotations

import json

import pytest

from tests.e2e.programs import run

_CONTROL = 64 << 10  # bytes that iperf3's own conversation stays below


@pytest.mark.parametrize("flows", [1, 4])
@pytest.mark.parametrize("direction", ["to_target", "to_client"])
def test_bulk_flows(loopback, iperf3, direction, flows):
    reverse = ["--reverse"] if direction == "to_client" else []
    with loopback.counting("iperf3") as counted:
        test = ("--port", loopback.port("iperf3"), "--parallel", flows, "--time", 1, "--json", *reverse)
        result = json.loads(run("iperf3", "--client", "127.0.0.1", *test))
    sent, received = result["end"]["sum_sent"]["bytes"], result["end"]["sum_received"]["bytes"]
    moved = getattr(counted, direction)
    assert received > 8 << 20
    # What was sent and not read when the time was up is in between.
    assert received <= moved <= sent + _CONTROL
    assert counted.to_target + counted.to_client - moved < _CONTROL
    assert counted.results == {"ok": flows + 1}  # one carries the conversation
    assert sum(counted.closed.values()) == flows + 1
    assert not counted.closed.keys() - {"eof", "client_reset", "target_reset"}
