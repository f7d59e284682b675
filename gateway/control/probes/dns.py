"""`dns://server/name`: a question to a name server, on a socket bound to the tunnel.

One question and the head of its answer: there is nothing for a resolver library to do. And c-ares, which would serve,
goes on unbound, by any way out, when it cannot bind to the device.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import struct
from time import monotonic
from typing import Final

from gateway.control.probes import bound
from gateway.control.probes.answer import Answer, code_of, failed
from gateway.control.probes.patience import patience
from gateway.control.probes.readiness import readable
from gateway.model import Aim, Path, ProbeOutcome

_HEADER: Final = struct.Struct("!HHHHHH")  # RFC 1035, 4.1.1: identifier, flags, and four counts
_IS_RESPONSE: Final = 0x8000
_RECURSION_DESIRED: Final = 0x0100
_A_IN: Final = struct.pack("!HH", 1, 1)
_LIVES: Final = frozenset({0, 3})  # NOERROR and NXDOMAIN: the server knows its business
_ROOM: Final = 4096


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """PASSED when the server knows the name, or that there is none; ANSWERED for other answers. See `answer.Ask`."""
    address = aim.addresses[0]
    question = Question(secrets.randbits(16), aim.spec.name)
    sent_at = monotonic()
    try:
        sock = bound.datagram(path, address, socket.SOCK_DGRAM, socket.IPPROTO_UDP)
    except OSError as error:
        return failed(code_of(error), sent_at=sent_at, at=monotonic())
    with sock:
        try:
            sock.connect((address, aim.spec.port))
            sent_at = monotonic()
            bound.send(sock, question.packet())
            code = await _answered(sock, question, seconds)
        except OSError as error:
            return failed(code_of(error), sent_at=sent_at, at=monotonic())
    at = monotonic()
    outcome = ProbeOutcome.PASSED if code in _LIVES else ProbeOutcome.ANSWERED
    return Answer(
        outcome=outcome, sent_at=sent_at, at=at, rtt=at - sent_at, detail="" if code in _LIVES else f"rcode {code}"
    )


class Question:
    """One question for the IPv4 addresses of `name`, and how its answer is known."""

    def __init__(self, number: int, name: str) -> None:
        labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
        self._number = number
        self._asked = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + _A_IN

    def packet(self) -> bytes:
        """The question as it is sent."""
        return _HEADER.pack(self._number, _RECURSION_DESIRED, 1, 0, 0, 0) + self._asked

    def code_in(self, packet: bytes) -> int | None:
        """The response code (RFC 1035, 4.1.1); None when `packet` is no answer to this question.

        A server that fails early may leave the question out.
        """
        if len(packet) < _HEADER.size:
            return None
        number, flags, questions, *_ = _HEADER.unpack_from(packet)
        if number != self._number or not flags & _IS_RESPONSE:
            return None
        if questions and not packet[_HEADER.size :].lower().startswith(self._asked.lower()):
            return None
        return int(flags & 0xF)


async def _answered(sock: socket.socket, question: Question, seconds: float) -> int:
    """The response code. Raises OSError for what speaks against an answer, ETIMEDOUT after `seconds`."""
    try:
        async with patience(seconds):
            while (code := _code(sock, question)) is None:
                await readable(sock)
    except TimeoutError:
        code = _code(sock, question)  # it may have come while the loop was late
        if code is None:
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)) from None
    return code


def _code(sock: socket.socket, question: Question) -> int | None:
    """The response code, if the answer is among what has come so far."""
    try:
        while True:
            code = question.code_in(sock.recv(_ROOM))
            if code is not None:
                return code
    except BlockingIOError:
        return None
