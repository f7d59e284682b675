"""The routing rule that charon insists on, and that is taken from it: `settings` says why.

It installs one for IPv4 and one for IPv6 when it starts, removes them when it ends in order, and leaves them behind
when it is killed. Taken away at once, there is none to be left behind, and none that it misses.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.errors import LinkError
from gateway.tunnels.ipsec.settings import TABLE

_WHOLE: Final = 0xFFFF_FFFF
_GONE: Final = frozenset({errno.ENOENT, errno.EAFNOSUPPORT})  # nothing to remove, or no IPv6 here


async def remove() -> None:
    """Remove charon's rules; nothing where there are none. Raises LinkError."""
    await asyncio.to_thread(_remove)


def _remove() -> None:
    try:
        with IPRoute() as route:
            for family in (socket.AF_INET, socket.AF_INET6):
                _remove_of(route, family)
    except OSError as error:
        raise LinkError(f"rtnetlink cannot be opened: {os.strerror(error.errno or 0)}", error.errno or 0) from error


def _remove_of(route: IPRoute, family: int) -> None:
    try:
        route.rule("del", family=family, priority=TABLE, table=TABLE, fwmark=TABLE, fwmask=_WHOLE)
    except NetlinkError as error:
        if error.code not in _GONE:
            raise LinkError(f"cannot remove charon's routing rule: {error}", error.code) from error
