from __future__ import annotations

import socket
import threading
from ipaddress import ip_address

import pytest

from gateway.model import Endpoint, FailureReason
from gateway.tunnels.wireguard import resolving
from gateway.tunnels.wireguard.device import Address, DeviceError
from gateway.tunnels.wireguard.resolving import Resolver, following
from tests.lab.waiting import eventually

FIRST, SECOND, THIRD = (Address(ip_address(f"127.0.0.{number}"), 51820) for number in (1, 2, 3))


def _never(host):
    raise AssertionError(host)


async def test_an_address_needs_no_asking():
    assert await Resolver(_never).routed(Endpoint("127.0.0.1", 51820)) == [FIRST]


async def test_a_name_has_the_addresses_that_the_resolver_says_in_its_order():
    def ask(host):
        assert host == "vpn.example"
        return ["127.0.0.2", "127.0.0.1"]

    assert await Resolver(ask).routed(Endpoint("vpn.example", 51820)) == [SECOND, FIRST]


async def test_the_system_is_asked():
    assert FIRST in await Resolver().routed(Endpoint("localhost", 51820))


def _unknown(host):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def _no_name(host):
    raise UnicodeError("label too long")


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (_unknown, "vpn.example cannot be resolved: Name or service not known"),
        (_no_name, "vpn.example cannot be resolved: no host name"),
    ],
)
async def test_a_name_that_is_none(ask, text):
    with pytest.raises(DeviceError) as caught:
        await Resolver(ask).routed(Endpoint("vpn.example", 51820))
    assert (caught.value.reason, str(caught.value)) == (FailureReason.UNREACHABLE, text)


async def test_silence_ends_and_is_not_asked_for_ever_more(monkeypatch):
    monkeypatch.setattr(resolving, "_PATIENCE", 0.01)
    answered = threading.Event()
    asked = []

    def ask(host):
        asked.append(host)
        answered.wait()
        return ["127.0.0.1"]

    resolver = Resolver(ask)
    try:
        for _ in range(4):
            with pytest.raises(DeviceError, match="could not be resolved within"):
                await resolver.routed(Endpoint("vpn.example", 51820))
        with pytest.raises(DeviceError, match="4 earlier questions are not answered yet"):
            await resolver.routed(Endpoint("vpn.example", 51820))
        assert len(asked) == 4
    finally:
        answered.set()
    monkeypatch.undo()

    async def all_answered():
        return resolver._unanswered == 0

    await eventually(all_answered, within=5, what="the threads have handed over what they found")
    assert await resolver.routed(Endpoint("vpn.example", 51820)) == [FIRST]


async def test_addresses_without_a_route_are_left_out(monkeypatch):
    """255.255.255.255 is refused by the kernel at once, as an address without a route is."""
    resolver = Resolver(lambda _: ["255.255.255.255", "127.0.0.1"])
    assert await resolver.routed(Endpoint("vpn.example", 51820)) == [FIRST]
    with pytest.raises(DeviceError, match=r"nothing can be sent to the server: 255\.255\.255\.255: Permission denied"):
        await Resolver(_never).routed(Endpoint("255.255.255.255", 51820))


@pytest.mark.parametrize(
    ("address", "addresses", "then"),
    [
        (FIRST, [FIRST], FIRST),
        (FIRST, [SECOND], SECOND),
        (FIRST, [FIRST, SECOND, THIRD], SECOND),
        (THIRD, [FIRST, SECOND, THIRD], FIRST),
    ],
)
def test_the_one_to_try_next(address, addresses, then):
    assert following(address, addresses) == then
