"""Asking the kernel over netlink: devices, their addresses, and whether an address has a route through a device.

Blocking calls, for a worker thread: the kernel's own lock can hold an answer up. The socket is plain and the
questions are packed by hand, because pyroute2's sockets bring an event loop with them; its message classes decode
devices and addresses. Route answers come by the thousand and one byte of each matters: taken by hand that costs
3 µs instead of 300, during which the data plane would wait for the interpreter's lock.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Any, Final, NamedTuple

from pyroute2.netlink import NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, rtnl
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_DADFAILED, IFA_F_TENTATIVE, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_LOWER_UP, IFF_UP, ifinfmsg

from gateway.errors import KernelUnavailableError
from gateway.model import LinkFacts

_SOL_NETLINK: Final = 270
_NETLINK_GET_STRICT_CHK: Final = 12
_RTM_F_FIB_MATCH: Final = 0x2000
_IFLA_IFNAME: Final = 3
_RTA_DST: Final = 1
_RTA_OIF: Final = 4

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # rtattr: length, type
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg
_ROUTE_TYPE: Final = _HEADER.size + 7  # where rtm_type is in an answer
_ERROR: Final = struct.Struct("=i")

_ANSWER_SIZE: Final = 1 << 16
_ANSWER_TIMEOUT: Final = struct.pack("@ll", 5, 0)
"""SO_RCVTIMEO: a kernel that does not answer for so long is an error, not a thread that hangs for ever."""

_NAME_MAX: Final = 15
_ATTEMPTS: Final = 10
"""Dumps tried while the kernel says that the list changed under it; the change brings a hint and a reading anyway."""

LOOKUP_BATCH: Final = 64
"""Route questions sent together. Their answers must fit into a receive buffer of default size (212,992 bytes)."""

_ROUTED: Final = frozenset({rtnl.rt_type["unicast"], rtnl.rt_type["local"]})
_UNROUTED: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES})
"""What "no route" looks like, EACCES being a `prohibit` route. Another error says nothing about the route."""


class RouteQuestion(NamedTuple):
    """May a packet to `address` (IP text) leave through the device with index `ifindex`?"""

    ifindex: int
    address: str


class _Message(NamedTuple):
    kind: int
    flags: int
    sequence: int
    data: bytes  # the header included


class NetlinkReader:
    """Answers questions about devices and routes. Belongs to one thread, blocks it; owns one descriptor."""

    def __init__(self) -> None:
        """Raises KernelUnavailableError where netlink cannot be had."""
        self._sequence = 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        except OSError as error:
            raise KernelUnavailableError(f"cannot open a netlink socket: {error}") from error
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_TIMEOUT)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)  # filters dumps; Linux 4.20
            self._socket.bind((0, 0))
            self.links(("lo",))  # a sandbox may let the socket be opened, and answer nothing
        except OSError as error:
            self._socket.close()
            raise KernelUnavailableError(f"netlink does not answer: {error}") from error

    def close(self) -> None:
        """Give the descriptor back. May be called again."""
        self._socket.close()

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        """The devices there are among `interfaces`, by name. Raises OSError when the kernel could not be asked."""
        found = {name: self._link(name) for name in interfaces}
        return {name: facts for name, facts in found.items() if facts is not None}

    def unrouted(self, questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        """Those that have no route. Raises OSError when the kernel could not be asked."""
        none: set[RouteQuestion] = set()
        for start in range(0, len(questions), LOOKUP_BATCH):
            none |= self._unrouted_batch(questions[start : start + LOOKUP_BATCH])
        return none

    # ------------------------------------------------------------ devices

    def _link(self, name: str) -> LinkFacts | None:
        encoded = name.encode()
        if len(encoded) > _NAME_MAX:
            return None  # no device can have it
        body = _LINK.pack(0, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, encoded + b"\0")
        try:
            self._send(rtnl.RTM_GETLINK, body)
            link = _decode(ifinfmsg, self._receive_one())
            addresses = self._addresses(link["index"])
        except OSError as error:
            if error.errno == errno.ENODEV:  # not there, or deleted between the two questions
                return None
            raise
        up = bool(link["flags"] & IFF_UP)
        return LinkFacts(
            index=link["index"],
            up=up,
            carrier=up and _carrier(link),
            mtu=link.get_attr("IFLA_MTU"),
            addresses=addresses,
        )

    def _addresses(self, index: int) -> tuple[str, ...]:
        for _ in range(_ATTEMPTS):
            self._send(rtnl.RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, index), NLM_F_DUMP)
            messages = list(self._receive_dump())
            if not any(message.flags & NLM_F_DUMP_INTR for message in messages):
                break
        decoded = (_decode(ifaddrmsg, message) for message in messages if message.kind == rtnl.RTM_NEWADDR)
        return tuple(_address_text(entry) for entry in decoded if entry["index"] == index and _usable(entry))

    # ------------------------------------------------------------ routes

    def _unrouted_batch(self, questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        first = self._sequence + 1
        self._socket.send(b"".join(self._pack(rtnl.RTM_GETROUTE, _route_body(question)) for question in questions))
        none: set[RouteQuestion] = set()
        waiting = len(questions)
        while waiting:
            for message in self._receive():
                if message.sequence < first:
                    continue  # left over from a question given up
                waiting -= 1
                if not _routed(message):
                    none.add(questions[message.sequence - first])
        return none

    # ------------------------------------------------------------ the socket

    def _pack(self, kind: int, body: bytes, flags: int = 0) -> bytes:
        self._sequence += 1
        return _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | flags, self._sequence, 0) + body

    def _send(self, kind: int, body: bytes, flags: int = 0) -> None:
        self._socket.send(self._pack(kind, body, flags))

    def _receive(self) -> Iterator[_Message]:
        """The messages of one datagram."""
        data = self._socket.recv(_ANSWER_SIZE)
        offset = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield _Message(kind, flags, sequence, data[offset : offset + length])
            offset += _aligned(length)

    def _receive_one(self) -> _Message:
        """The answer to the last question. Raises OSError if it is an error."""
        while True:
            for message in self._receive():
                if message.sequence == self._sequence:
                    _raise_error(message)
                    return message

    def _receive_dump(self) -> Iterator[_Message]:
        """All answers to the last question, the closing one included. Raises OSError if one is an error."""
        while True:
            for message in self._receive():
                if message.sequence != self._sequence:
                    continue
                _raise_error(message)
                yield message
                if message.kind == NLMSG_DONE:
                    return


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _decode(kind: type[Any], message: _Message) -> Any:
    decoded = kind(message.data)
    decoded.decode()
    return decoded


def _raise_error(message: _Message) -> None:
    if message.kind in (NLMSG_ERROR, NLMSG_DONE):  # the end of a dump carries its error, if any
        (code,) = _ERROR.unpack_from(message.data, _HEADER.size)
        if code:
            raise OSError(-code, f"netlink: {errno.errorcode.get(-code, code)}")


def _carrier(link: Any) -> bool:
    """Whether a device that is up has a carrier.

    The flag follows at once. The operational state follows up to a second later, so that it counts only where a
    kernel (a user-space one) does not have the flag: tun devices are UNKNOWN as long as they have a process.
    """
    if link["flags"] & IFF_LOWER_UP:
        return True
    return bool(link.get_attr("IFLA_OPERSTATE") == "UNKNOWN" and link.get_attr("IFLA_CARRIER") != 0)


def _usable(entry: Any) -> bool:
    """Not IPv6 link-local, which no target is reached from, and not (yet) refused by duplicate detection.

    IPv4 link-local addresses stay: some VPNs hand them out as the tunnel's own.
    """
    if entry["family"] != socket.AF_INET6:
        return True
    flags = entry["flags"] | (entry.get_attr("IFA_FLAGS") or 0)
    return not flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) and not ip_address(_address_text(entry)).is_link_local


def _address_text(entry: Any) -> str:
    """The device's own end; IFA_ADDRESS alone would be the peer's on a point-to-point device."""
    return str(ip_address(entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")))


def _route_body(question: RouteQuestion) -> bytes:
    """RTM_F_FIB_MATCH: without it a question that names a device succeeds even if there is no route."""
    address = ip_address(question.address)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    return (
        _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
        + _attribute(_RTA_OIF, _ERROR.pack(question.ifindex))
        + _attribute(_RTA_DST, address.packed)
    )


def _routed(message: _Message) -> bool:
    if message.kind == rtnl.RTM_NEWROUTE:
        return message.data[_ROUTE_TYPE] in _ROUTED
    (code,) = _ERROR.unpack_from(message.data, _HEADER.size)
    return -code not in _UNROUTED
