"""Where the server is: of the addresses of its name only those that a route leads to."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from gateway.model import Endpoint, FailureReason
from gateway.tunnels.resolving import Resolver, UnresolvedError
from gateway.tunnels.wireguard.device import Address, DeviceError


async def routed(resolver: Resolver, server: Endpoint) -> Sequence[Address]:
    """Where the server may be, of that what a route leads to, best first, at least one. Raises DeviceError."""
    try:
        addresses = await resolver.addresses(server.host)
    except UnresolvedError as error:
        raise DeviceError(FailureReason.UNREACHABLE, str(error)) from error
    obstacles = {address: unreachable(address) for address in (Address(it, server.port) for it in addresses)}
    reachable = [address for address, why in obstacles.items() if why is None]
    if not reachable:
        text = ", ".join(f"{address.ip}: {why}" for address, why in obstacles.items())
        raise DeviceError(FailureReason.UNREACHABLE, f"nothing can be sent to the server: {text}")
    return reachable


def unreachable(address: Address) -> str | None:
    """Why no packet can be sent to this address; None where a route leads to it. Nothing is sent."""
    family = socket.AF_INET if address.ip.version == 4 else socket.AF_INET6  # noqa: PLR2004
    try:  # there may be no sockets of this family at all
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((str(address.ip), address.port))
    except OSError as error:
        return os.strerror(error.errno or 0)
    return None
