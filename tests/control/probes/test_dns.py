"""Questions to name servers: who answers lives, whatever he says of the name."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from gateway.control.probes import dns
from gateway.model import ProbeOutcome
from tests.control.far import Far, Tap, aim
from tests.control.namespace import in_namespace, ip

HEADER = struct.Struct("!HHHHHH")
QUESTION = dns.Question(0x1234, "Db.Example.com.")
ASKED = QUESTION.packet()[HEADER.size :]


def answer(number: int = 0x1234, flags: int = 0x8180, questions: int = 1, asked: bytes = ASKED) -> bytes:
    return HEADER.pack(number, flags, questions, 0, 0, 0) + asked


def test_a_question_as_rfc_1035_has_it():
    assert QUESTION.packet() == HEADER.pack(0x1234, 0x0100, 1, 0, 0, 0) + b"\2Db\7Example\3com\0\0\1\0\1"


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (answer(), 0),
        (answer(flags=0x8183), 3),
        (answer(asked=ASKED.lower()), 0),
        (answer(flags=0x8002, questions=0, asked=b""), 2),
        (answer(number=0x1235), None),
        (answer(flags=0x0100), None),
        (answer(asked=ASKED.replace(b"Db", b"dc")), None),
        (answer()[:11], None),
        (b"", None),
    ],
)
def test_an_answer_is_known_by_its_number_and_question(packet: bytes, code: int | None):
    assert QUESTION.code_in(packet) == code


@contextmanager
def name_server(far: Far, host: str, reply: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A server that says `reply` to each question; its port."""
    with far.datagrams(host, 0) as server:

        def serve() -> None:
            packet, peer = server.recvfrom(4096)
            for said in reply(packet):
                server.sendto(said, peer)

        asyncio.get_running_loop().add_reader(server, serve)
        try:
            yield server.getsockname()[1]
        finally:
            asyncio.get_running_loop().remove_reader(server)


def with_code(code: int) -> Callable[[bytes], list[bytes]]:
    """A stray packet, an answer to another question, and then this one's."""

    def reply(packet: bytes) -> list[bytes]:
        number, *_ = HEADER.unpack_from(packet)
        head = HEADER.pack(number, 0x8180 | code, 1, 0, 0, 0)
        return [b"?", HEADER.pack(number ^ 1, 0x8180, 1, 0, 0, 0) + packet[12:], head + packet[12:]]

    return reply


@pytest.mark.lab
@pytest.mark.parametrize("host", ["10.1.0.1", "fd01::1"])
@pytest.mark.parametrize(
    ("code", "outcome", "detail"),
    [
        (0, ProbeOutcome.PASSED, ""),
        (3, ProbeOutcome.PASSED, ""),
        (2, ProbeOutcome.ANSWERED, "rcode 2"),
        (5, ProbeOutcome.ANSWERED, "rcode 5"),
    ],
)
def test_the_response_code_decides(host: str, code: int, outcome: ProbeOutcome, detail: str):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            with name_server(far, host, with_code(code)) as port:
                got = await dns.ask(aim("dns", host, port, name="db.example.com"), path, 5.0)
            assert (got.outcome, got.detail) == (outcome, detail)
            assert got.rtt == got.at - got.sent_at

    in_namespace(scenario)


@pytest.mark.lab
def test_it_leaves_through_its_tunnel_or_not_at_all():
    async def scenario():
        with Far() as far:
            path, _ = far.link("tun-a", 1), far.link("tun-b", 2)
            far.call(ip, "addr add 192.168.100.53/32 dev lo")
            ip("route add 192.168.100.0/24 dev tun-b")
            with name_server(far, "192.168.100.53", with_code(0)) as port, far.call(Tap, "tun-b-far") as other:
                question = aim("dns", "192.168.100.53", port, name="db.example.com")
                assert (await dns.ask(question, path, 5.0)).outcome is ProbeOutcome.PASSED
                gone = await dns.ask(question, replace(path, ifindex=4711), 5.0)
                assert gone.outcome is ProbeOutcome.FAILED
                assert other.taken() == []

    in_namespace(scenario)


@pytest.mark.lab
def test_nobody_there_is_an_answer_and_silence_none():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            question = aim("dns", "10.1.0.1", 53, name="db.example.com")
            assert (await dns.ask(question, path, 5.0)).outcome is ProbeOutcome.ANSWERED
            far.drop("udp dport 53")
            silent = await dns.ask(question, path, 0.1)
            assert (silent.outcome, silent.detail) == (ProbeOutcome.FAILED, "Connection timed out")
            far.heal()
            far.reject("udp dport 53", "icmp type host-unreachable")
            rejected = await dns.ask(question, path, 30.0)
            assert (rejected.outcome, rejected.detail) == (ProbeOutcome.FAILED, "No route to host")

    in_namespace(scenario)


@pytest.mark.lab
def test_an_answer_that_came_while_the_loop_was_late_counts():
    async def scenario():
        with Far() as far, far.datagrams("0.0.0.0", 0) as server:
            path = far.link("tun-a", 1)

            def be_late() -> None:
                server.setblocking(True)
                packet, peer = server.recvfrom(4096)
                for said in with_code(0)(packet):
                    server.sendto(said, peer)
                time.sleep(0.15)

            asyncio.get_running_loop().call_soon(be_late)
            question = aim("dns", "10.1.0.1", server.getsockname()[1], name="db.example.com")
            assert (await dns.ask(question, path, 0.05)).outcome is ProbeOutcome.PASSED

    in_namespace(scenario)
