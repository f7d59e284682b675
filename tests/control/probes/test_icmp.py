"""Echoes, by ping sockets and by raw ones, small ones and those that measure the path."""

from __future__ import annotations

import socket
import time
from asyncio import get_running_loop
from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.control.probes import icmp
from gateway.model import ProbeOutcome
from tests.control.far import Far, Tap, aim, nft, sysctl
from tests.control.namespace import in_namespace, ip
from tests.control.watching import open_descriptors

pytestmark = pytest.mark.lab
PING_SOCKETS = "0 2147483647"
NO_PING_SOCKETS = "1 0"
DONT_FRAGMENT = 0x4000


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
@pytest.mark.parametrize("host", ["10.1.0.1", "fd01::1"])
@pytest.mark.parametrize("size", [0, 3, 56, 1400])
def test_an_echo_that_returns_passes(allowed: str, host: str, size: int):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path = far.link("tun-a", 1)
            before = open_descriptors()
            answer = await icmp.ask(aim("icmp", host, size=size), path, 5.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.PASSED, "")
            assert answer.rtt == answer.at - answer.sent_at
            assert open_descriptors() == before

    in_namespace(scenario)


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
def test_it_leaves_through_its_tunnel_from_its_address(allowed: str):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path, _ = far.link("tun-a", 1), far.link("tun-b", 2)
            far.call(ip, "addr add 192.168.100.30/32 dev lo")
            ip("route add 192.168.100.0/24 dev tun-b", "addr add 10.1.0.77/24 dev tun-a")
            own = replace(path, source_address=ip_address("10.1.0.77"))
            with far.call(Tap, "tun-a-far") as through, far.call(Tap, "tun-b-far") as other:
                assert (await icmp.ask(aim("icmp", "192.168.100.30"), own, 5.0)).outcome is ProbeOutcome.PASSED
                assert through.taken()[0][12:16] == ip_address("10.1.0.77").packed
                assert other.taken() == []

    in_namespace(scenario)


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
@pytest.mark.parametrize("host", ["10.1.0.1", "fd01::1"])
def test_a_large_one_measures_the_path(allowed: str, host: str):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path = far.link("tun-a", 1)
            with far.call(Tap, "tun-a-far") as tap:
                assert (await icmp.ask(aim("icmp", host, size=1400), path, 5.0)).outcome is ProbeOutcome.PASSED
                for packet in tap.taken()[:1]:
                    assert int.from_bytes(packet[6:8], "big") & DONT_FRAGMENT
                    assert len(packet) == 20 + 8 + 1400
            far.drop("meta length > 1300")
            assert (await icmp.ask(aim("icmp", host), path, 5.0)).outcome is ProbeOutcome.PASSED
            assert (await icmp.ask(aim("icmp", host, size=1400), path, 0.2)).outcome is ProbeOutcome.FAILED
            ip("link set tun-a mtu 1300")
            answer = await icmp.ask(aim("icmp", host, size=1400), path, 30.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "1400 bytes are too many")

    in_namespace(scenario)


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
@pytest.mark.parametrize(
    ("host", "how"),
    [("10.1.0.1", "icmp type host-unreachable"), ("fd01::1", "icmpv6 type addr-unreachable")],
)
def test_a_router_that_rejects_fails_it_at_once(allowed: str, host: str, how: str):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path = far.link("tun-a", 1)
            far.reject("icmp type echo-request" if how.startswith("icmp ") else "icmpv6 type echo-request", how)
            answer = await icmp.ask(aim("icmp", host), path, 30.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "No route to host")

    in_namespace(scenario)


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
def test_silence_fails_it_and_a_late_loop_does_not(allowed: str):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path = far.link("tun-a", 1)
            far.drop("icmp type echo-request")
            answer = await icmp.ask(aim("icmp", "10.1.0.1"), path, 0.1)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "Connection timed out")
            far.heal()
            get_running_loop().call_soon(time.sleep, 0.15)
            assert (await icmp.ask(aim("icmp", "10.1.0.1"), path, 0.05)).outcome is ProbeOutcome.PASSED

    in_namespace(scenario)


@pytest.mark.parametrize("allowed", [PING_SOCKETS, NO_PING_SOCKETS], ids=["ping socket", "raw socket"])
def test_a_device_that_drops_is_silent_and_no_trouble_of_our_own(allowed: str):
    async def scenario():
        sysctl("net.ipv4.ping_group_range", allowed)
        with Far() as far:
            path = far.link("tun-a", 1)
            far.call(ip, "link set tun-a-far mtu 1300")  # a veth then drops what is larger, as a full queue does
            answer = await icmp.ask(aim("icmp", "10.1.0.1", size=1400), path, 0.1)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "Connection timed out")

    in_namespace(scenario)


def test_no_permission_is_no_evidence(monkeypatch: pytest.MonkeyPatch):
    def forbid(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            monkeypatch.setattr("gateway.control.probes.bound.datagram", forbid)
            answer = await icmp.ask(aim("icmp", "10.1.0.1"), path, 1.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.LOCAL, "Operation not permitted")

    in_namespace(scenario)


def test_a_packet_that_our_own_filter_drops_is_no_evidence():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            nft("table inet own { chain out { type filter hook output priority 0; meta l4proto icmp drop; }; };")
            answer = await icmp.ask(aim("icmp", "10.1.0.1"), path, 1.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.LOCAL, "Operation not permitted")

    in_namespace(scenario)
