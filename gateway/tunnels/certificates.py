"""When the certificates of VPN clients end: said in good time, and said again.

One that has ended keeps its tunnel down, on the day on which it is needed most: the standby may have been without a
connection for months. Whatever the certificate's end means to the server, the operator can only act before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Final

import structlog

from gateway.config import credentials
from gateway.model import Expiry, TunnelSpec
from gateway.observe.events import Event

log = structlog.get_logger()

DAY: Final = 86_400.0
NOTICE: Final = 30 * DAY
"""Seconds before a certificate's end from which on it is spoken of."""


class Standing(Enum):
    """How much of a certificate's time is left."""

    GOOD = "good"
    ENDING = "ending"
    ENDED = "ended"


def standing(expiry: Expiry, now_unix: float) -> Standing:
    """How a certificate stands at a moment. Pure."""
    left = expiry.expires_at_unix - now_unix
    if left <= 0:
        return Standing.ENDED
    return Standing.ENDING if left <= NOTICE else Standing.GOOD


def until_next(expiries: Iterable[Expiry], now_unix: float) -> float:
    """Seconds until certificates are looked at again: a day, or until one ends if that comes before. Pure."""
    ends = (it.expires_at_unix - now_unix for it in expiries if it.expires_at_unix > now_unix)
    return min([DAY, *ends])


class ExpiryWatch:
    """Watches the certificates of `tunnels`, as they are in the configuration. `clock` is Unix time.

    They are opened here, a PKCS#12 file with its password, which takes some milliseconds each. What cannot be read has
    been judged when the configuration was read, and is left out.
    """

    def __init__(
        self,
        tunnels: Iterable[TunnelSpec],
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._expiries = tuple(expiry for spec in tunnels for expiry in credentials.expiries(spec))
        self._clock = clock
        self._sleep = sleep

    def expiries(self) -> tuple[Expiry, ...]:
        """Of each tunnel the client's certificate, and of its authorities the one that ends first."""
        return self._expiries

    async def run(self) -> None:
        """Log each certificate that ends within 30 days, or has ended: once a day, until cancelled."""
        while True:
            now = self._clock()
            for expiry in self._expiries:
                _say(expiry, now)
            await self._sleep(until_next(self._expiries, now))


def _say(expiry: Expiry, now: float) -> None:
    words = {
        "tunnel": expiry.tunnel,
        "certificate": expiry.certificate,
        "subject": expiry.subject,
        "expires": datetime.fromtimestamp(expiry.expires_at_unix, UTC).isoformat(timespec="seconds"),
    }
    match standing(expiry, now):
        case Standing.GOOD:
            return
        case Standing.ENDING:
            log.warning(Event.CERTIFICATE_EXPIRING, **words, days=int((expiry.expires_at_unix - now) // DAY))
        case Standing.ENDED:
            log.error(Event.CERTIFICATE_EXPIRED, **words)
