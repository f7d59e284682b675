"""One connect(2): the socket it takes, and what its errors say. The options themselves are in `test_dialer`."""

from __future__ import annotations

import errno
from ipaddress import ip_address

import pytest

from gateway.dataplane.ledger import Ledger
from gateway.dataplane.plan import Attempt
from gateway.dataplane.upstream import failure_of, make_upstream
from gateway.model import DialFailure, ForwardSpec, Path
from tests.dataplane.rig import LO, open_descriptors


def test_what_an_error_of_connect_says() -> None:
    assert failure_of(errno.ECONNREFUSED) is DialFailure.REFUSED
    assert failure_of(errno.ECONNRESET) is DialFailure.RESET
    assert failure_of(errno.ETIMEDOUT) is DialFailure.TIMED_OUT
    assert {failure_of(code) for code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENODEV)} == {
        DialFailure.UNREACHABLE
    }
    local = (errno.EPERM, errno.EMFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENFILE, errno.ENOSPC)
    assert {failure_of(code) for code in local} == {DialFailure.LOCAL}


def test_a_socket_that_cannot_be_bound_to_its_address_is_not_left_open() -> None:
    ledger = Ledger()
    lane = ledger.lane(ledger.forward(ForwardSpec(name="f", ports=(), tunnels=("a",))), ledger.tunnel("a"))
    before = open_descriptors()
    path = Path(tunnel="a", interface="lo", ifindex=LO, source_address=ip_address("192.0.2.77"))
    with pytest.raises(OSError, match="assign requested address"):
        make_upstream(Attempt(lane, path, "127.0.0.1", 1))
    assert open_descriptors() == before
