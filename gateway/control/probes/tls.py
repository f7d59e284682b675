"""`tls://host:port`: a TLS handshake, and when the certificate expires."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

from gateway.control.probes import bound
from gateway.control.probes.answer import Answer, code_of, failed, words_of
from gateway.control.probes.certificate import expiry_of, unverified
from gateway.control.probes.handshake import answered_at, shake, shaken
from gateway.control.probes.patience import patience
from gateway.model import Aim, Path, ProbeOutcome


async def ask(aim: Aim, path: Path, seconds: float) -> Answer:
    """PASSED when the TLS handshake succeeds, ANSWERED when only the TCP handshake does. As `answer.Ask` says."""
    address = aim.addresses[0]
    sent_at = monotonic()
    try:
        sock = bound.stream(path, address)
    except OSError as error:
        return failed(code_of(error), sent_at=sent_at, at=monotonic())
    with sock:
        sent_at = monotonic()
        code = await shake(sock, (address, aim.spec.port), seconds)
        at = monotonic()
        if code:
            return failed(code, sent_at=sent_at, at=at)
        seen = shaken(sock)
        rtt = None if seen is None else seen.rtt
        try:
            async with patience(max(0.0, sent_at + seconds - at)):
                expiry = await _greet(sock, aim.spec.host)
        except TimeoutError:
            detail = "connected, but no TLS handshake in time"
        except OSError as error:  # ssl.SSLError is one
            detail, at = f"no TLS handshake: {words_of(error)}", monotonic()
        else:
            return Answer(outcome=ProbeOutcome.PASSED, sent_at=sent_at, at=monotonic(), rtt=rtt, expiry_at_unix=expiry)
    return Answer(
        outcome=ProbeOutcome.ANSWERED, sent_at=sent_at, at=answered_at(sent_at, at, rtt), rtt=rtt, detail=detail
    )


async def _greet(sock: socket.socket, host: str) -> float | None:
    """Have the TLS handshake on `sock`; when the certificate expires. The loop lets go of `sock` a moment later."""
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, sock=sock, ssl=unverified(), server_hostname=host
    )
    try:
        return expiry_of(transport.get_extra_info("ssl_object"))
    finally:
        transport.abort()
