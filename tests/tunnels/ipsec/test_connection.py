"""What no server of the lab does at will. Connections as such are in test_client.py."""

from __future__ import annotations

import pytest

from gateway.tunnels.ipsec import connection
from gateway.tunnels.ipsec.connection import if_id

_CARRYING = {"gateway": {"state": b"ESTABLISHED", "child-sas": {"networks-1": {"state": b"INSTALLED"}}}}
_REPLACED = {"gateway": {"state": b"DELETING", "child-sas": {}}}


class _Orders:
    """A charon that answers with each of `answers` in turn, and from then on with the last one."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def give_streamed(self, command, event, message):
        assert (command, event, message) == ("list-sas", "list-sa", {"ike": "gateway"})
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize(
    ("answers", "carries", "asked"),
    [
        ([[_CARRYING]], True, 1),
        ([[_REPLACED], [_REPLACED], [_CARRYING, _REPLACED]], True, 3),  # keys are being renewed
        ([[]], False, 1),  # the end
        ([[_REPLACED]], False, 5),  # no end of it
    ],
)
async def test_a_moment_without_keys_is_not_the_end(monkeypatch, answers, carries, asked):
    monkeypatch.setattr(connection, "_GAP", 0.0)
    orders = _Orders(*answers)
    assert (await connection._look(orders)).carries is carries
    assert orders.asked == asked


def test_a_tunnel_s_number_is_always_the_same_and_never_zero():
    assert if_id("zone-b") == if_id("zone-b") != if_id("zone-a")
    assert 0 < if_id("") < 2**32
