from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.name_exchange import _read, exchange
from gateway.model import Endpoint
from gateway.policy.names import Way
from tests.control.name_server import NameServer, Records
from tests.control.namespace import in_namespace, ip
from tests.control.watching import eventually, open_descriptors

NEAR = ("10.20.0.2/24", "10.20.0.3/24", "fd20::2/64")
FAR = ("10.20.0.53/24", "fd20::53/64")
SERVER, SERVER6 = Endpoint("10.20.0.53", 53), Endpoint("fd20::53", 53)
DEADLINE = 30.0


def way(device: str = "tun-a", source: str | None = None) -> Way:
    return Way(
        servers=(SERVER,),
        interface=device,
        ifindex=socket.if_nametoindex(device),
        source_address=None if source is None else ip_address(source),
    )


async def ask(way: Way, server: Endpoint = SERVER) -> dns.message.QueryMessage:
    async with asyncio.timeout(DEADLINE):
        return await exchange(way, server, dns.message.make_query("db.corp", "A"))


def inside() -> NameServer:
    return NameServer("tun-a", near=NEAR, far=FAR)


def outside() -> NameServer:
    """Where the default route leads: to somebody who has the servers' addresses, too."""
    return NameServer("out", near=("192.0.2.2/24",), far=("192.0.2.53/24", "10.20.0.53/32"))


@pytest.mark.lab
@pytest.mark.parametrize("server", [SERVER, SERVER6], ids=["IPv4", "IPv6"])
def test_a_question_and_its_response(server: Endpoint):
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = Records(v4=("10.0.0.5",))
            before = open_descriptors()
            response = await ask(way(), server)
            assert [str(record) for record in response.answer[0]] == ["10.0.0.5"]
            assert open_descriptors() == before

    in_namespace(scenario)


@pytest.mark.lab
def test_the_source_address_is_taken_where_it_fits():
    async def scenario():
        with inside() as names:
            await ask(way(source="10.20.0.3"))
            await ask(way(source="10.20.0.3"), SERVER6)
            assert [asked.client for asked in names.asked] == ["10.20.0.3", "fd20::2"]
            with pytest.raises(OSError, match="assign requested address"):
                await ask(way(source="10.20.0.9"))

    in_namespace(scenario)


@pytest.mark.lab
def test_nothing_is_ever_asked_by_another_way():
    async def scenario():
        with inside() as here, outside() as elsewhere:
            ip("route add default via 192.0.2.53")
            here.zone["db.corp"] = elsewhere.zone["db.corp"] = Records(v4=("10.0.0.5",))
            await ask(way("out"))
            assert len(elsewhere.asked) == 1, "the other way leads to a server that would answer"
            old = way()
            await ask(old)
            ip("link del tun-a")
            with pytest.raises(OSError, match="No such device"):
                await ask(old)
            here.connect()
            new = way()
            assert new.ifindex != old.ifindex
            with pytest.raises(OSError, match="No such device"):
                await ask(old)
            with pytest.raises(OSError, match="tun-a cannot be used"):
                await ask(replace(old, ifindex=None))
            await ask(new)
            assert len(here.asked) == 2
            assert len(elsewhere.asked) == 1

    in_namespace(scenario)


@pytest.mark.lab
def test_what_is_no_response_is_passed_over():
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = Records(v4=("10.0.0.5",))
            forged = dns.message.make_response(dns.message.make_query("db.corp", "A"))  # its id was guessed wrong
            names.noise = (b"", b"\0", b"nonsense" * 5, forged.to_wire())
            response = await ask(way())
            assert [str(record) for record in response.answer[0]] == ["10.0.0.5"]

    in_namespace(scenario)


@pytest.mark.lab
def test_nobody_listening_is_an_error_at_once():
    async def scenario():
        with inside(), pytest.raises(ConnectionRefusedError):
            await ask(way(), Endpoint("10.20.0.53", 5353))

    in_namespace(scenario)


@pytest.mark.lab
def test_cancelled_it_leaves_no_socket():
    async def scenario():
        with inside() as names:
            names.silent = frozenset({SERVER.host})
            before = open_descriptors()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(ask(way()))
                await eventually(lambda: bool(names.asked))
                asking.cancel()
            assert open_descriptors() == before

    in_namespace(scenario)


@given(st.binary(max_size=200))
def test_no_datagram_does_harm(datagram: bytes):
    message = _read(datagram)
    assert message is None or isinstance(message, dns.message.QueryMessage)
