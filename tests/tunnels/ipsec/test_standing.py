from __future__ import annotations

from ipaddress import ip_address

import pytest

from gateway.tunnels.ipsec.standing import Bytes, Meter, Standing, read


def _child(number, state, transmitted, received):
    return {
        "name": b"networks",
        "uniqueid": str(number).encode(),
        "state": state.encode(),
        "bytes-out": str(transmitted).encode(),
        "bytes-in": str(received).encode(),
    }


def _answer(*children, vips=(b"10.72.100.1",)):
    sections = {f"networks-{number}": each for number, each in enumerate(children, 1)}
    return {"gateway": {"state": b"ESTABLISHED", "local-vips": list(vips), "child-sas": sections}}


def test_no_answer_is_no_connection():
    assert read([]) == Standing(exists=False, carries=False, addresses=(), passed={})


def test_a_connection_has_addresses_and_bytes():
    answer = _answer(_child(1, "INSTALLED", 327, 509), vips=(b"10.72.100.1", b"fd00::1"))
    assert read([answer]) == Standing(
        exists=True,
        carries=True,
        addresses=(ip_address("10.72.100.1"), ip_address("fd00::1")),
        passed={"1": Bytes(327, 509)},
    )


@pytest.mark.parametrize(
    ("states", "carries"),
    [
        (("INSTALLED",), True),
        (("REKEYING",), True),
        (("DELETED", "INSTALLED"), True),
        (("CREATED",), False),
        (("DELETING",), False),
        ((), False),
    ],
)
def test_a_child_in_place_carries(states, carries):
    assert read([_answer(*(_child(n, state, 0, 0) for n, state in enumerate(states)))]).carries is carries


def test_while_it_is_rekeyed_there_are_two_connections_of_one_address():
    standing = read([_answer(_child(1, "INSTALLED", 1, 2)), _answer()])
    assert standing.carries
    assert standing.addresses == (ip_address("10.72.100.1"),)


def test_an_answer_without_what_is_looked_for_is_no_error():
    assert read([{"gateway": {}}]) == Standing(exists=True)


def test_bytes_of_a_replaced_child_stay_counted():
    meter = Meter()
    assert meter.read(read([_answer(_child(1, "INSTALLED", 100, 10))])) == Bytes(100, 10)
    both = [_answer(_child(1, "REKEYED", 120, 12), _child(2, "INSTALLED", 5, 1))]
    assert meter.read(read(both)) == Bytes(125, 13)
    both = [_answer(_child(1, "DELETED", 0, 12), _child(2, "INSTALLED", 5, 1))]
    assert meter.read(read(both)) == Bytes(125, 13)
    assert meter.read(read([_answer(_child(2, "INSTALLED", 50, 2))])) == Bytes(170, 14)
