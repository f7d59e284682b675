"""Which tables are ours. Several gateways may share a network namespace: each takes a slot, and with it 256 tables.

A slot is taken by binding an abstract Unix socket (unix(7)): those belong to the network namespace, as routes do, and
the kernel gives the name back when the process dies, however it dies. What a slot's tables hold while nobody has its
name was left behind.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from gateway.errors import LinkError
from gateway.tunnels.netlink import refused

SLOTS: Final = 64
TABLES: Final = 256
"""Of a slot, one for each tunnel."""

FIRST: Final = 0x67_0000
"""The first table of the first slot."""

_NAME: Final = "\0tunnel-gateway/routes/{}"


class Slot:
    """A slot that is ours until `release`."""

    def __init__(self) -> None:
        """Raises LinkError when all are taken."""
        for number in range(SLOTS):
            taken = _bind(number)
            if taken is not None:
                self.number, self._socket = number, taken
                return
        raise LinkError(f"cannot choose tables for routes: {SLOTS} gateways share this network namespace already")

    def table(self, place: int) -> int:
        """The table of the tunnel in this place. Raises LinkError beyond the last."""
        if place >= TABLES:
            raise LinkError(f"cannot choose a table for routes: at most {TABLES} tunnels may have routes of their own")
        return FIRST + self.number * TABLES + place

    def owns(self, table: int) -> bool:
        """Whether `table` is of this slot."""
        return (table - FIRST) // TABLES == self.number

    def is_stale(self, table: int) -> bool:
        """Whether what `table` holds is nobody's: of our own slot, whose last owner has gone, or of a free one."""
        number = (table - FIRST) // TABLES
        if not 0 <= number < SLOTS:
            return False
        return self.owns(table) or _is_free(number)

    def release(self) -> None:
        """Give it back. Again: nothing."""
        self._socket.close()


def _bind(number: int) -> socket.socket | None:
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        taken.bind(_NAME.format(number))
    except OSError as error:
        taken.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise refused("choose tables for routes", error.errno or 0) from error
    return taken


def _is_free(number: int) -> bool:
    found = _bind(number)
    if found is None:
        return False
    found.close()
    return True
