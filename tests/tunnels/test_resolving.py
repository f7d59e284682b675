from __future__ import annotations

import socket
import threading
from ipaddress import ip_address

import pytest

from gateway.tunnels import resolving
from gateway.tunnels.resolving import Resolver, UnresolvedError, following
from tests.lab.waiting import eventually

FIRST, SECOND, THIRD = (ip_address(f"127.0.0.{number}") for number in (1, 2, 3))


def _never(host):
    raise AssertionError(host)


@pytest.mark.parametrize("text", ["127.0.0.1", "2001:db8::7"])
async def test_an_address_needs_no_asking(text):
    assert await Resolver(_never).addresses(text) == (ip_address(text),)


async def test_a_name_has_the_addresses_that_the_resolver_says_in_its_order_and_each_once():
    def ask(host):
        assert host == "vpn.example"
        return ["127.0.0.2", "127.0.0.1", "127.0.0.2"]

    assert await Resolver(ask).addresses("vpn.example") == (SECOND, FIRST)


async def test_the_system_is_asked():
    assert FIRST in await Resolver().addresses("localhost")


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
    with pytest.raises(UnresolvedError) as caught:
        await Resolver(ask).addresses("vpn.example")
    assert str(caught.value) == text


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
            with pytest.raises(UnresolvedError, match="could not be resolved within"):
                await resolver.addresses("vpn.example")
        with pytest.raises(UnresolvedError, match="4 earlier questions are not answered yet"):
            await resolver.addresses("vpn.example")
        assert len(asked) == 4
    finally:
        answered.set()
    monkeypatch.undo()

    async def all_answered():
        return resolver._unanswered == 0

    await eventually(all_answered, within=5, what="the threads have handed over what they found")
    assert await resolver.addresses("vpn.example") == (FIRST,)


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
