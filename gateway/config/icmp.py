"""May this process send an echo request? Asked before a start, not found out by probes that all fail.

A process that may not would take every such probe for lost, or, as it is here, for no evidence at all: a tunnel that
looks watched and is not.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

HOW: Final = (
    "this process may not send it: let net.ipv4.ping_group_range include its group "
    '(sysctl net.ipv4.ping_group_range="0 2147483647"), or grant it CAP_NET_RAW'
)
_REFUSED: Final = frozenset({errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT})


def icmp_possible() -> bool:
    """Can a ping socket (net.ipv4.ping_group_range), or else a raw one (CAP_NET_RAW), be opened here?

    Raises OSError where something else than a permission is in the way, such as a lack of descriptors.
    """
    return any(map(_opens, (socket.SOCK_DGRAM, socket.SOCK_RAW)))


def _opens(kind: socket.SocketKind) -> bool:
    try:
        with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP):
            return True
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
