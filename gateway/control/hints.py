"""Hints that the kernel's network state may have changed: a netlink multicast socket on the running loop.

The messages are not read: each says only "look again". One is lost when the receive buffer is full, that is when others
are waiting, and what they cause is a reading of everything: an overflow needs no recovery of its own. So the socket is
told not to report it as an error (ENOBUFS): uvloop closes its watch of a descriptor on which epoll sees an error, after
one last call, and the gateway would be deaf from then on. The kernel's count of what it dropped says the same.

The socket is the standard library's, since pyroute2's does not run on uvloop.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

import structlog
from pyroute2.netlink import rtnl

from gateway.errors import KernelUnavailableError

log = structlog.get_logger()

_GROUPS: Final = (
    rtnl.RTMGRP_LINK
    | rtnl.RTMGRP_IPV4_IFADDR
    | rtnl.RTMGRP_IPV6_IFADDR
    | rtnl.RTMGRP_IPV4_ROUTE
    | rtnl.RTMGRP_IPV6_ROUTE
    | rtnl.RTMGRP_IPV4_RULE
    | rtnl.RTMGRP_IPV6_RULE
)
_SOL_NETLINK: Final = 270
_NETLINK_NO_ENOBUFS: Final = 5
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_DROPS: Final = 8

_PER_TURN: Final = 256
"""Messages taken in one turn of the loop: a storm must not hold up the data plane."""

_OVERFLOW_LOG_INTERVAL: Final = 60.0


class HintSocket:
    """Calls `on_hint` on the loop's thread when something may have changed. Owns one descriptor; `close` it."""

    def __init__(self, on_hint: Callable[[], None], *, receive_buffer: int | None = None) -> None:
        """Open and register on the running loop. Raises KernelUnavailableError where netlink cannot be had.

        `receive_buffer` is SO_RCVBUF in bytes; None leaves the system's default.
        """
        self.dropped = 0  # messages lost so far
        self.failure: OSError | None = None  # set once the socket is of no more use; a last hint was given
        self._on_hint = on_hint
        self._overflow_log_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._socket = _open(receive_buffer)
        self._loop.add_reader(self._socket, self._drain)

    def close(self) -> None:
        """Give no more hints. May be called again."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def _drain(self) -> None:
        """Throw away what has come; a hint for all of it together."""
        try:
            for _ in range(_PER_TURN):
                self._socket.recv(1)  # a datagram's rest is dropped with it
        except BlockingIOError:
            self._count_dropped()
        except OSError as error:
            self.failure = error
            self.close()
        self._on_hint()

    def _count_dropped(self) -> None:
        memory = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        dropped: int = _MEMINFO.unpack(memory)[_DROPS]
        if dropped == self.dropped:
            return
        self.dropped = dropped
        now = self._loop.time()
        if now >= self._overflow_log_at:
            self._overflow_log_at = now + _OVERFLOW_LOG_INTERVAL
            log.warning("netlink.overflow", dropped=dropped)


def _open(receive_buffer: int | None) -> socket.socket:
    try:
        opened = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
    except OSError as error:
        raise KernelUnavailableError(f"cannot open a netlink socket for events: {error}") from error
    try:
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        opened.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
        opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)  # fails where there is no such count
        opened.bind((0, _GROUPS))
    except OSError as error:
        opened.close()
        raise KernelUnavailableError(f"cannot subscribe to netlink events: {error}") from error
    return opened
