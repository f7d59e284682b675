"""The hint socket on a real loop. What it does under a storm is shown with the watcher."""

from __future__ import annotations

import errno
import socket
from contextlib import closing

import pytest

from gateway.control.hints import HintSocket
from gateway.errors import KernelUnavailableError
from tests.control.namespace import in_namespace, ip
from tests.control.watching import eventually

CHANGES = {
    "link": "link set lo mtu 9000",
    "ipv4 address": "addr add 10.1.0.1/24 dev lo",
    "ipv6 address": "addr add fd00::1/64 dev lo",
    "ipv4 route": "route add 10.2.0.0/16 dev lo",
    "ipv6 route": "route add fd02::/64 dev lo",
    "ipv4 rule": "rule add oif lo lookup 77",
    "ipv6 rule": "-6 rule add oif lo lookup 77",
}


@pytest.mark.lab
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_each_kind_of_change_is_a_hint(change: str):
    async def scenario():
        hints: list[None] = []
        with closing(HintSocket(lambda: hints.append(None))):
            ip(change)
            await eventually(lambda: bool(hints))

    in_namespace(scenario)


async def test_a_socket_that_breaks_gives_a_last_hint_and_says_why():
    hints: list[None] = []
    with closing(HintSocket(lambda: hints.append(None))) as watched:
        watched._loop.remove_reader(watched._socket)
        watched._socket.close()
        watched._drain()
        assert watched.failure is not None
        assert watched.failure.errno == errno.EBADF
    assert len(hints) == 1


async def test_no_netlink_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "NETLINK_ROUTE", 999)
    with pytest.raises(KernelUnavailableError, match="not supported"):
        HintSocket(lambda: None)


async def test_a_socket_that_cannot_subscribe_is_closed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.control.hints._SO_MEMINFO", 9999)
    with pytest.raises(KernelUnavailableError, match="subscribe"):
        HintSocket(lambda: None)
