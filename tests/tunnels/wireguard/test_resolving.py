from __future__ import annotations

import errno
import socket
from ipaddress import ip_address

import pytest

from gateway.model import Endpoint, FailureReason
from gateway.tunnels.resolving import Resolver
from gateway.tunnels.wireguard.device import Address, DeviceError
from gateway.tunnels.wireguard.resolving import routed

SERVER = Endpoint("vpn.example", 51820)


async def test_addresses_come_in_the_order_of_the_resolver_with_the_servers_port():
    resolver = Resolver(lambda _: ["127.0.0.2", "127.0.0.1"])
    assert await routed(resolver, SERVER) == [Address(ip_address(f"127.0.0.{it}"), 51820) for it in (2, 1)]


async def test_a_name_that_is_none_is_unreachable():
    def ask(host):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(DeviceError, match=r"vpn\.example cannot be resolved: Name or service not known") as caught:
        await routed(Resolver(ask), SERVER)
    assert caught.value.reason is FailureReason.UNREACHABLE


async def test_addresses_of_a_family_that_this_machine_has_not_are_left_out(monkeypatch):
    make = socket.socket

    def without_ipv6(family, *further):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(family, *further)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    resolver = Resolver(lambda _: ["fd00::1", "127.0.0.1"])
    assert await routed(resolver, SERVER) == [Address(ip_address("127.0.0.1"), 51820)]


async def test_addresses_without_a_route_are_left_out():
    """255.255.255.255 is refused by the kernel at once, as an address without a route is."""
    resolver = Resolver(lambda _: ["255.255.255.255", "127.0.0.1"])
    assert await routed(resolver, SERVER) == [Address(ip_address("127.0.0.1"), 51820)]
    with pytest.raises(DeviceError, match=r"nothing can be sent to the server: 255\.255\.255\.255: Permission denied"):
        await routed(resolver, Endpoint("255.255.255.255", 51820))
