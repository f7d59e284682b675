"""`icmp://host`: an echo, by an unprivileged ping socket where the system allows it, else by a raw one.

A payload beyond the usual goes out unfragmented whatever is known of the path, so that a large probe which is lost
while small ones return speaks of the path's MTU.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from itertools import count
from time import monotonic
from typing import Final

from gateway.control.probes import bound, echo
from gateway.control.probes.answer import Answer, code_of, failed, outcome_of, text_of
from gateway.control.probes.patience import patience
from gateway.control.probes.readiness import readable
from gateway.model import Aim, Path, ProbeOutcome

_UNFRAGMENTED_ABOVE: Final = 56  # bytes: the usual payload
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1  # raw(7): a bit for each type that is not wanted
_ICMP6_FILTER: Final = 1  # RFC 3542: the same, of 256
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_PMTUDISC_PROBE: Final = 3  # Don't Fragment, and ignore what is remembered of the path
_IPV6_DONTFRAG: Final = 62

_numbers: Final = count(int.from_bytes(os.urandom(4), "big"))  # so that another process's echoes are not ours


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """PASSED when the echo returns; LOCAL where this process may not send any. As `answer.Ask` says."""
    address = aim.addresses[0]
    family = bound.family_of(address)
    request = echo.Echo(family=family, number=next(_numbers) & 0xFFFF_FFFF, size=aim.spec.size)
    sent_at = monotonic()
    try:
        sock = _open(path, address)
    except OSError as error:
        return failed(code_of(error), sent_at=sent_at, at=monotonic())
    with sock:
        try:
            _prepare(sock, request)
            sock.connect((address, 0))
            sent_at = monotonic()
            bound.send(sock, request.packet())
            await _returned(sock, request, seconds)
        except OSError as error:
            code, at = code_of(error), monotonic()
            detail = f"{request.size} bytes are too many" if code == errno.EMSGSIZE else text_of(code)
            return Answer(outcome=outcome_of(code), sent_at=sent_at, at=at, detail=detail)
        at = monotonic()
        return Answer(outcome=ProbeOutcome.PASSED, sent_at=sent_at, at=at, rtt=at - sent_at)


def _open(path: Path, address: str) -> socket.socket:
    protocol = socket.IPPROTO_ICMPV6 if bound.family_of(address) == socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        return bound.datagram(path, address, socket.SOCK_DGRAM, protocol)
    except PermissionError:  # net.ipv4.ping_group_range
        return bound.datagram(path, address, socket.SOCK_RAW, protocol)


def _prepare(sock: socket.socket, request: echo.Echo) -> None:
    """Have a large one go out whole, and hear replies only."""
    large = request.size > _UNFRAGMENTED_ABOVE
    if request.family == socket.AF_INET6:
        if large:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        if sock.type == socket.SOCK_RAW:
            wanted = [0xFFFF_FFFF] * 8
            wanted[echo.REPLY_V6 // 32] &= ~(1 << echo.REPLY_V6 % 32)
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *wanted))
        return
    if large:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    if sock.type == socket.SOCK_RAW:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFF_FFFF & ~(1 << echo.REPLY)))


async def _returned(sock: socket.socket, request: echo.Echo, seconds: float) -> None:
    """Return when the reply is there. Raises OSError for what speaks against it, ETIMEDOUT after `seconds`."""
    try:
        async with patience(seconds):
            while not _is_here(sock, request):
                await readable(sock)
    except TimeoutError:
        if not _is_here(sock, request):  # it may have come while the loop was late
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None


def _is_here(sock: socket.socket, request: echo.Echo) -> bool:
    """Whether the reply is among what has come so far."""
    room = request.size + 128  # an IP header with all its options, and ICMP's
    try:
        while True:
            if request.is_answered_by(sock.recv(room), raw=sock.type == socket.SOCK_RAW):
                return True
    except BlockingIOError:
        return False
