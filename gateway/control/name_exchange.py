"""One question to one name server, through a tunnel's device or not at all.

The socket is ours, bound by the device's index before it can send: of a device that is gone, or made again, nothing is
sent, and that is an error. c-ares (pycares, aiodns) will not do here: its sockets are bound by name, and where that
fails it sends all the same, by whatever other way there is. dnspython writes and reads the messages.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv6Address
from typing import Final

import dns.exception
import dns.message

from gateway.model import Endpoint
from gateway.policy.names import Way

_LARGEST: Final = 65535
_SO_BINDTOIFINDEX: Final = 62  # the socket module knows it from Python 3.13 on


async def exchange(way: Way, server: Endpoint, query: dns.message.QueryMessage) -> dns.message.QueryMessage:
    """The response of `server` to `query`, as long as it takes; `query` goes out once. Put a deadline around it.

    UDP only: a response that was truncated says so. Raises OSError when the way cannot be taken or nobody listens.
    No socket is left when it ends, cancelled or not.
    """
    loop = asyncio.get_running_loop()
    with _open(way, server) as asking:
        await loop.sock_sendall(asking, query.to_wire())
        while True:
            response = _read(await loop.sock_recv(asking, _LARGEST))
            if response is not None and query.is_response(response):
                return response


def _open(way: Way, server: Endpoint) -> socket.socket:
    """A connected socket: it hears nobody else than `server`."""
    if way.ifindex is None:
        raise OSError(f"{way.interface} cannot be used")
    is_ipv6 = ":" in server.host
    opened = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, way.ifindex)
        if way.source_address is not None and isinstance(way.source_address, IPv6Address) == is_ipv6:
            opened.bind((str(way.source_address), 0))
        opened.connect(server)
    except OSError:
        opened.close()
        raise
    return opened


def _read(datagram: bytes) -> dns.message.QueryMessage | None:
    """The message in it. None for what is none: anybody on the way can send such, and the answer may come still."""
    try:
        message = dns.message.from_wire(datagram)
    except dns.exception.DNSException:
        return None
    return message if isinstance(message, dns.message.QueryMessage) else None
