"""TCP probes against a real kernel: what they see, what the wire carries, and that they harm nobody."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from dataclasses import replace
from ipaddress import ip_address

import pytest

from gateway.control.probes import bound, tcp
from gateway.model import Path, ProbeOutcome
from tests.control.far import DEADLINE, Far, Tap, aim, tcp_flags
from tests.control.namespace import in_namespace, ip
from tests.control.watching import eventually, open_descriptors

pytestmark = pytest.mark.lab


def test_the_wire_carries_syn_synack_rst_and_the_application_hears_nothing():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            with far.listener("10.1.0.1") as listener, far.call(Tap, "tun-a-far") as tap:
                answer = await tcp.ask(aim("tcp", *listener.getsockname()), path, 1.0)
                assert (answer.outcome, answer.detail) == (ProbeOutcome.PASSED, "")
                assert answer.rtt is not None
                assert 0 < answer.rtt < 0.8
                assert answer.at == pytest.approx(answer.sent_at + answer.rtt)
                seen: list[str] = []

                def has_reset() -> bool:
                    seen.extend(tcp_flags(packet) for packet in tap.taken())
                    return any("R" in flags for flags in seen)

                await eventually(has_reset)
                assert seen in (["S", "SA", "RA"], ["S", "SA", "R"])
                with pytest.raises(BlockingIOError):
                    listener.accept()

    in_namespace(scenario)


def test_it_leaves_through_its_tunnel_whatever_the_routes_say():
    async def scenario():
        with Far() as far:
            path, _ = far.link("tun-a", 1), far.link("tun-b", 2)
            far.call(ip, "addr add 192.168.100.30/32 dev lo")
            ip("route add 192.168.100.0/24 dev tun-b")
            with (
                far.listener("192.168.100.30") as listener,
                far.call(Tap, "tun-a-far") as own,
                far.call(Tap, "tun-b-far") as other,
            ):
                answer = await tcp.ask(aim("tcp", *listener.getsockname()), path, 1.0)
                assert answer.outcome is ProbeOutcome.PASSED
                assert {packet[12:16] for packet in own.taken()} >= {ip_address("10.1.0.2").packed}
                assert other.taken() == []

    in_namespace(scenario)


def test_a_device_that_is_gone_is_not_replaced_by_another_way():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            with far.listener("10.1.0.1") as listener, far.call(Tap, "tun-a-far") as tap:
                answer = await tcp.ask(aim("tcp", *listener.getsockname()), replace(path, ifindex=4711), 1.0)
                assert answer.outcome is ProbeOutcome.FAILED
                assert tap.taken() == []

    in_namespace(scenario)


@pytest.mark.parametrize("host", ["10.1.0.1", "fd01::1"])
def test_refused_is_an_answer(host: str):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            with far.listener(host) as listener:
                port = listener.getsockname()[1]
                assert (await tcp.ask(aim("tcp", host, port), path, 1.0)).outcome is ProbeOutcome.PASSED
            answer = await tcp.ask(aim("tcp", host, port), path, 1.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.ANSWERED, "Connection refused")

    in_namespace(scenario)


def test_a_router_that_rejects_fails_it_at_once():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            far.reject("tcp dport 8080", "icmp type host-unreachable")
            answer = await tcp.ask(aim("tcp", "10.1.0.1", 8080), path, 30.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.FAILED, "No route to host")
            assert answer.at - answer.sent_at < DEADLINE

    in_namespace(scenario)


def test_silence_fails_it_at_the_deadline():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            far.drop("tcp dport 8080")
            answer = await tcp.ask(aim("tcp", "10.1.0.1", 8080), path, 0.1)
            assert (answer.outcome, answer.rtt) == (ProbeOutcome.FAILED, None)
            assert answer.at - answer.sent_at >= 0.09

    in_namespace(scenario)


@pytest.mark.parametrize("too_late", [0.05, 0.6], ids=["a little", "much"])
def test_a_late_loop_takes_nothing_from_an_answer(too_late: float):
    async def scenario():
        with Far() as far, far.listener("0.0.0.0") as listener:
            path = far.link("tun-a", 1)
            asyncio.get_running_loop().call_soon(time.sleep, 0.05 + too_late)
            answer = await tcp.ask(aim("tcp", "10.1.0.1", listener.getsockname()[1]), path, 0.05)
            assert answer.outcome is ProbeOutcome.PASSED
            assert answer.at - answer.sent_at < 0.05, "it came in time, and that is what counts"

    in_namespace(scenario)


def test_trouble_of_our_own_is_no_evidence(monkeypatch: pytest.MonkeyPatch):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            elsewhere = replace(path, source_address=ip_address("10.9.9.9"))
            answer = await tcp.ask(aim("tcp", "10.1.0.1", 8080), elsewhere, 1.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.LOCAL, "Cannot assign requested address")
            answer = await tcp.ask(aim("tcp", "fd01::1", 8080), elsewhere, 1.0)
            assert answer.outcome is ProbeOutcome.LOCAL, "an address of the other family"

            def exhausted(_path: Path, _address: str) -> socket.socket:
                raise OSError(errno.EMFILE, "Too many open files")

            monkeypatch.setattr(bound, "stream", exhausted)
            answer = await tcp.ask(aim("tcp", "10.1.0.1", 8080), path, 1.0)
            assert (answer.outcome, answer.detail) == (ProbeOutcome.LOCAL, "Too many open files")

    in_namespace(scenario)


def test_it_has_the_source_address_and_the_segment_size_of_a_session():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            ip("addr add 10.1.0.77/24 dev tun-a")
            own = replace(path, source_address=ip_address("10.1.0.77"), mss=1200)
            with far.listener("10.1.0.1") as listener, far.call(Tap, "tun-a-far") as tap:
                answer = await tcp.ask(aim("tcp", *listener.getsockname()), own, 1.0)
                assert answer.outcome is ProbeOutcome.PASSED
                syn = next(packet for packet in tap.taken() if tcp_flags(packet) == "S")
                assert syn[12:16] == ip_address("10.1.0.77").packed
                assert int.from_bytes(syn[42:44], "big") == 1200, "the first option is the MSS"

    in_namespace(scenario)


def test_a_probe_that_is_cancelled_leaves_nothing_open():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            far.drop("tcp dport 8080")
            before = open_descriptors()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await tcp.ask(aim("tcp", "10.1.0.1", 8080), path, 30.0)
            assert open_descriptors() == before

    in_namespace(scenario)
