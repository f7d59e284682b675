"""The names of the gateway's log events: `noun.verb`, the verb in the past where something has happened.

This list is for those who search logs and write alerts on them; names are kept once published. What libraries log
(aiohttp, asyncio) has free text as its event and a `logger` key.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

EVENT_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""The form of an event's name."""


class Event(StrEnum):
    """Every event, with the keys it carries beside `timestamp`, `level`, `environment`."""

    SESSION_FINISHED = "session.finished"
    """client, forward, tunnel, target, to_target and to_client (bytes), duration (seconds), reason, result."""

    LOG_DROPPED = "log.dropped"
    """lines: so many were not written, because nobody read the log fast enough."""

    LOG_UNFORMATTABLE = "log.unformattable"
    """logger, message, exception: a library logged something that could not be made a line."""

    ADMIN_STARTED = "admin.started"
    """listen: the address on which /healthz, /readyz and /metrics answer."""

    ADMIN_STOPPED = "admin.stopped"
    """listen."""
