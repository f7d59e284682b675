"""The black box on loopback tells what went wrong, and counts what came and went."""

from __future__ import annotations

import http.client
import signal

import pytest

from tests.e2e.loopback import Forwarding, LoopbackGateway
from tests.e2e.ports import ReservedPorts
from tests.lab.errors import LabError


def refused(port: int) -> bool:
    """Whether a client at this port is reset before it gets an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except ConnectionError:
        return True
    finally:
        connection.close()
    return False


def test_clients_are_counted_by_what_became_of_them(tmp_path):
    with ReservedPorts("nobody") as ports, LoopbackGateway(tmp_path, {"x": Forwarding(ports["nobody"])}) as gateway:
        with gateway.counting("x") as counted:
            assert refused(gateway.port("x"))
        assert counted.results == {"dial_failed": 1}
        assert counted.closed == {}
        with gateway.counting("x") as counted:
            pass
        assert counted.results == {}


def test_a_gateway_that_will_not_start_is_an_error_at_once(tmp_path):
    with (
        pytest.raises(LabError, match=r"ended by itself with 2(?s:.*)nonsense"),
        LoopbackGateway(tmp_path, {}, settings="nonsense = 1"),
    ):
        pytest.fail("it started")


def test_an_end_that_is_not_clean_is_an_error(tmp_path):
    gateway = LoopbackGateway(tmp_path, {"x": Forwarding(9)})
    gateway.__enter__()
    gateway._process.send_signal(signal.SIGKILL)
    gateway._process.wait()
    with pytest.raises(AssertionError):
        gateway.__exit__(None, None, None)


def test_what_is_no_event_is_a_complaint(tmp_path):
    gateway = LoopbackGateway(tmp_path, {})
    gateway.log.write_text('{"event": "a", "level": "info"}\n{"event": "b", "level": "error"}\nTraceback\n')
    assert gateway.complaints() == ['{"event": "b", "level": "error"}', "Traceback"]
