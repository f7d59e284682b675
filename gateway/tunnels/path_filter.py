"""The reverse-path filter of one device (kernel: ip-sysctl, rp_filter), set over netlink: /proc/sys may be read-only.

Strict, the kernel takes no IPv4 packet from the device before routes lead back through it. So it answers none, with an
address that the device has but nothing routes yet. The kernel goes by the higher of this number and that of `all`.
Blocks: for a thread.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, rtnl

STRICT: Final = 1

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_NUMBER: Final = struct.Struct("=i")
_NESTED: Final = 0x8000
_IFLA_AF_SPEC, _IFLA_INET_CONF, _RP_FILTER = 26, 1, 8
_ANSWER_SIZE: Final = 1 << 12
_ANSWER_TIMEOUT: Final = struct.pack("@ll", 5, 0)  # SO_RCVTIMEO, as everywhere


def get(ipr: IPRoute, index: int) -> int:
    """What it is. Raises NetlinkError."""
    (found,) = ipr.link("get", index=index)
    number: int = found.get("IFLA_AF_SPEC").get("AF_INET")["rp_filter"]
    return number


def put(index: int, number: int) -> None:
    """Have it so. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_TIMEOUT)
        kernel.bind((0, 0))
        kernel.send(message(index, number))
        answer = kernel.recv(_ANSWER_SIZE)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    error = -_NUMBER.unpack_from(answer, _HEADER.size)[0] if kind == NLMSG_ERROR else 0
    if error:
        raise OSError(error, os.strerror(error))


def message(index: int, number: int) -> bytes:
    """RTM_SETLINK, with an attribute in an attribute in an attribute. pyroute2 reads these, and does not write them."""
    setting = _nested(_IFLA_INET_CONF, _attribute(_RP_FILTER, _NUMBER.pack(number)))
    body = _LINK.pack(0, 0, index, 0, 0) + _nested(_IFLA_AF_SPEC, _nested(socket.AF_INET, setting))
    return _HEADER.pack(_HEADER.size + len(body), rtnl.RTM_SETLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body


def _nested(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _attribute(kind: int, value: bytes) -> bytes:
    """The values here are whole words: nothing is to be filled up."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
