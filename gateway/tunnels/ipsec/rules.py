"""The routing rule that charon insists on, and that is taken from it: `settings` says why.

It installs one for IPv4 and one for IPv6 when it starts, removes them when it ends in order, and leaves them behind
when it is killed. Taken away at once, there is none to be left behind, and none that it misses.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.tunnels.ipsec.settings import TABLE
from gateway.tunnels.netlink import Netlink

_MOST: Final = 64  # the same rule may be there several times: of daemons that were killed with their gateways
_WHOLE: Final = 0xFFFF_FFFF
_GONE: Final = frozenset({errno.ENOENT, errno.EAFNOSUPPORT})  # nothing to remove, or no IPv6 here


async def remove() -> None:
    """Remove charon's rules; nothing where there are none. Raises LinkError."""
    netlink = Netlink()
    try:
        await netlink.ask("remove charon's routing rules", _remove)
    finally:
        await netlink.close()


def _remove(ipr: IPRoute) -> None:
    for family in (socket.AF_INET, socket.AF_INET6):
        for _ in range(_MOST):
            try:
                ipr.rule("del", family=family, priority=TABLE, table=TABLE, fwmark=TABLE, fwmask=_WHOLE)
            except NetlinkError as error:
                if error.code not in _GONE:
                    raise
                break
