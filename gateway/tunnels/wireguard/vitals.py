"""Whether the peer of a WireGuard tunnel is alive. Pure: moments are monotonic seconds, and arguments.

WireGuard has no connection that could end: it has a peer that answers, or does not, and only what is asked for can go
unanswered. What follows is from its paper, https://www.wireguard.com/papers/wireguard.pdf, section 6:

    sent                              is answered by a peer that is alive
    data                              within KEEPALIVE_TIMEOUT, 10 s, by an empty packet at the latest
    a handshake's initiation          at once; it is sent again every REKEY_TIMEOUT, 5 s
    a keepalive (an empty packet)     never

    data unanswered for 15 s          begins a handshake: the peer may have been restarted, and know no session any more
    a session older than 120 s        is renewed by a handshake of the one who began it, if there is something to send
    a session older than 180 s        carries nothing: what is to be sent waits for a handshake

So: an idle tunnel, whose last handshake may be hours ago, is alive. One that asks for an answer is lost when three
handshakes in a row got none, and a fourth is tried: wireguard-go says when it tries. The kernel does not; so it is also
lost three times 5 s after the moment from which a handshake must have been under way: 15 s after the first thing
unanswered, or, without a session, at once.

What was sent is known in bytes only. Keepalives are told from what wants an answer by how many there can have been:
one each `keepalive` seconds, and at most two that answer the peer's data. So little never wants an answer; a
handshake's initiation, and any packet of TCP, is more than that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from gateway.tunnels.wireguard.device import Reading

REKEY_TIMEOUT: Final = 5.0
KEEPALIVE_TIMEOUT: Final = 10.0
REJECT_AFTER_TIME: Final = 180.0

_TRIES: Final = 3  # handshakes in a row without an answer
_SILENCE: Final = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT  # after which data that is unanswered begins a handshake
_TRYING: Final = _TRIES * REKEY_TIMEOUT
_EMPTY_PACKET: Final = 32  # bytes of a keepalive: a header of 16, and the tag
_PASSIVE: Final = 2  # keepalives that answer the peer's data, after the last of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the peer has shown of itself in one connection.

    `heard_at`: when something came from it, `sent` the bytes sent until then. `shaken_at`: when it last shook hands.
    `asked_at`: since when something that wants an answer has had none; None: nothing has. `tries`: handshakes that were
    tried since something came, where the device says so.
    """

    reading: Reading
    heard_at: float
    shaken_at: float
    sent: int = 0
    asked_at: float | None = None
    tries: int = 0


def met(reading: Reading, now: float) -> Vitals:
    """It has just shaken hands for the first time."""
    return Vitals(reading=reading, heard_at=now, shaken_at=now, sent=reading.transmitted)


def looked(vitals: Vitals, reading: Reading, now: float, *, keepalive: int) -> Vitals:
    """The device was read again. `keepalive`: ours, in seconds; 0 for none."""
    shaken_at = vitals.shaken_at if reading.handshake == vitals.reading.handshake else now
    if reading.received != vitals.reading.received or shaken_at == now:
        return Vitals(reading=reading, heard_at=now, shaken_at=shaken_at, sent=reading.transmitted)
    asked_at = vitals.asked_at
    if asked_at is None and _wants_answer(reading.transmitted - vitals.sent, now - vitals.heard_at, keepalive):
        asked_at = now
    return replace(vitals, reading=reading, asked_at=asked_at)


def tried(vitals: Vitals) -> Vitals:
    """A handshake is tried."""
    return replace(vitals, tries=vitals.tries + 1)


def struggles(vitals: Vitals, now: float) -> bool:
    """Handshakes are under way, and are not answered: the peer may be somewhere else by now."""
    return vitals.tries > 1 or (vitals.asked_at is not None and now - vitals.asked_at >= _before_trying(vitals))


def lost(vitals: Vitals, now: float) -> str | None:
    """How the peer shows that it is gone; None: it need not be."""
    silent = f"nothing came for {now - vitals.heard_at:.0f} s"
    if vitals.tries > _TRIES:
        return f"{silent}, and {vitals.tries - 1} handshakes in a row got no answer"
    if vitals.asked_at is not None and now - vitals.asked_at >= _before_trying(vitals) + _TRYING:
        return f"{silent}, though something was sent {now - vitals.asked_at:.0f} s ago that wants an answer"
    return None


def _before_trying(vitals: Vitals) -> float:
    """Seconds from the first thing unanswered until WireGuard tries to shake hands."""
    asked_at = vitals.heard_at if vitals.asked_at is None else vitals.asked_at
    return _SILENCE if asked_at - vitals.shaken_at < REJECT_AFTER_TIME else 0.0


def _wants_answer(sent: int, seconds: float, keepalive: int) -> bool:
    """Is this more than what keepalives come to, in so many seconds of silence?"""
    keepalives = _PASSIVE + (1 + int(seconds / keepalive) if keepalive else 0)
    return sent > keepalives * _EMPTY_PACKET
