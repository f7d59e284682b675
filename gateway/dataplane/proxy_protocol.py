"""The PROXY protocol header (haproxy.org, proxy-protocol.txt): the client's address, told to the target."""

from __future__ import annotations

import socket
import struct
from typing import Final

from gateway.dataplane.allow import plain_address
from gateway.model import Endpoint, ProxyProtocol

_V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_PROXY: Final = 0x21  # version 2, command PROXY
_V2_TCP4: Final = 0x11
_V2_TCP6: Final = 0x21


def proxy_header(version: ProxyProtocol, client: Endpoint, listen: Endpoint) -> bytes:
    """The header to send before the client's first byte; b"" for ProxyProtocol.NONE.

    `client` and `listen` are the two ends of the accepted connection; v4-mapped addresses are written as IPv4.
    """
    source, destination = plain_address(client.host), plain_address(listen.host)
    v6 = ":" in source
    match version:
        case ProxyProtocol.NONE:
            return b""
        case ProxyProtocol.V1:
            family = "TCP6" if v6 else "TCP4"
            return f"PROXY {family} {source} {destination} {client.port} {listen.port}\r\n".encode("ascii")
        case ProxyProtocol.V2:
            af = socket.AF_INET6 if v6 else socket.AF_INET
            addresses = socket.inet_pton(af, source) + socket.inet_pton(af, destination)
            body = addresses + struct.pack("!HH", client.port, listen.port)
            return _V2_SIGNATURE + struct.pack("!BBH", _V2_PROXY, _V2_TCP6 if v6 else _V2_TCP4, len(body)) + body
