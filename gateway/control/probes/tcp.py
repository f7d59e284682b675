"""`tcp://host:port`: a handshake that the application never hears of.

With TCP_QUICKACK off the last ACK of the handshake waits for data; SO_LINGER of zero has close() send RST instead. The
wire carries SYN, SYN-ACK, RST, and accept() of the target returns nothing.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic
from typing import Final

from gateway.control.probes import bound
from gateway.control.probes.answer import Answer, code_of, failed
from gateway.control.probes.handshake import answered_at, shake, shaken
from gateway.model import Aim, Path, ProbeOutcome

_LINGER_RESET: Final = struct.pack("ii", 1, 0)  # close() drops what is unsent and sends RST (socket(7))


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """PASSED when the handshake succeeds, ANSWERED when it is refused. As `answer.Ask` says."""
    address = aim.addresses[0]
    sent_at = monotonic()
    try:
        sock = bound.stream(path, address)
    except OSError as error:
        return failed(code_of(error), sent_at=sent_at, at=monotonic())
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        sent_at = monotonic()
        code = await shake(sock, (address, aim.spec.port), seconds)
        at = monotonic()
        if code:
            return failed(code, sent_at=sent_at, at=at)
        seen = shaken(sock)
    rtt = None if seen is None else seen.rtt
    return Answer(outcome=ProbeOutcome.PASSED, sent_at=sent_at, at=answered_at(sent_at, at, rtt), rtt=rtt)
