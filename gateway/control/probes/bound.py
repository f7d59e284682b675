"""Sockets that leave through one tunnel or not at all, prepared as a session's upstream is.

Bound to the device before anything is sent, so that no error can leave a probe unbound. The device is named by its
index: a name may have gone to another one a moment ago.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from gateway.model import Path

SO_BINDTOIFINDEX: Final = 62  # include/uapi/asm-generic/socket.h, Linux 5.0
IP_BIND_ADDRESS_NO_PORT: Final = 24  # ip(7): choose the port at connect(), when the whole 4-tuple is known
_IP_RECVERR: Final = 11  # ip(7)
_IPV6_RECVERR: Final = 25  # ipv6(7)


def family_of(address: str) -> socket.AddressFamily:
    """The family of an IP address in canonical text."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def stream(path: Path, address: str) -> socket.socket:
    """A non-blocking TCP socket for `address`; the caller's. Raises OSError, and leaves nothing open then."""
    return _bound(path, address, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def datagram(path: Path, address: str, kind: socket.SocketKind, protocol: int) -> socket.socket:
    """A non-blocking socket of another kind for `address`; the caller's. Raises OSError, as `stream` does.

    What routers say about its packets is its error. To be sent on with `send`.
    """
    made = _bound(path, address, kind, protocol)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    return made


def send(sock: socket.socket, packet: bytes) -> None:
    """Send on a connected `datagram` socket. What the device's own queue drops is lost, and its silence is evidence.

    The kernel says ENOBUFS then, to those who asked for errors; a full queue is how a VPN client that hangs shows
    itself. TCP's SYN meets the same and says nothing.
    """
    try:
        sock.send(packet)
    except OSError as error:
        if error.errno != errno.ENOBUFS:
            raise


def _bound(path: Path, address: str, kind: socket.SocketKind, protocol: int) -> socket.socket:
    made = socket.socket(family_of(address), kind | socket.SOCK_NONBLOCK, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX, path.ifindex)
        if path.mss is not None and kind is socket.SOCK_STREAM:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, path.mss)
        if path.source_address is not None:
            if protocol in {socket.IPPROTO_TCP, socket.IPPROTO_UDP}:
                made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((str(path.source_address), 0))
    except OSError:
        made.close()
        raise
    return made
