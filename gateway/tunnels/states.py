"""Where a VPN client stands, and what takes it elsewhere: the transitions of every managed tunnel, as a table. Pure.

                      wanted                    up                        unwanted
        STOPPED ───────────────▶ CONNECTING ───────────▶ CONNECTED ─────────────────▶ STOPPED
                                     │ failed                │ lost
                                     ▼                       ▼
                   refused     RECONNECTING ◀────────────────┘     (and CONNECTED again, when it is up)
        AUTH_FAILED ◀────────────────┘

While the next attempt of a client that failed is waited for, and while it is under way, the state says what the last
one came to: an operator sees AUTH_FAILED until the server has taken the account, or has failed in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from gateway.model import DriverState


class Turn(Enum):
    """What happened to a VPN client."""

    WANTED = "wanted"  # somebody wants it connected
    UP = "up"  # it is connected, and its routes are there
    FAILED = "failed"  # an attempt failed, or a connection ended
    REFUSED = "refused"  # the server refused the account
    UNWANTED = "unwanted"  # nobody wants it connected any more; it has been taken down


_STOPPED, _CONNECTING, _CONNECTED = DriverState.STOPPED, DriverState.CONNECTING, DriverState.CONNECTED
_RECONNECTING, _AUTH_FAILED = DriverState.RECONNECTING, DriverState.AUTH_FAILED

TRANSITIONS: Final[Mapping[tuple[DriverState, Turn], DriverState]] = MappingProxyType(
    {
        (_STOPPED, Turn.WANTED): _CONNECTING,
        (_CONNECTING, Turn.UP): _CONNECTED,
        (_CONNECTING, Turn.FAILED): _RECONNECTING,
        (_CONNECTING, Turn.REFUSED): _AUTH_FAILED,
        (_CONNECTING, Turn.UNWANTED): _STOPPED,
        (_CONNECTED, Turn.FAILED): _RECONNECTING,
        (_CONNECTED, Turn.REFUSED): _AUTH_FAILED,
        (_CONNECTED, Turn.UNWANTED): _STOPPED,
        (_RECONNECTING, Turn.UP): _CONNECTED,
        (_RECONNECTING, Turn.FAILED): _RECONNECTING,
        (_RECONNECTING, Turn.REFUSED): _AUTH_FAILED,
        (_RECONNECTING, Turn.UNWANTED): _STOPPED,
        (_AUTH_FAILED, Turn.UP): _CONNECTED,
        (_AUTH_FAILED, Turn.FAILED): _RECONNECTING,
        (_AUTH_FAILED, Turn.REFUSED): _AUTH_FAILED,
        (_AUTH_FAILED, Turn.UNWANTED): _STOPPED,
    }
)
"""Whatever is not here cannot happen: asking for it is a defect, and raises KeyError."""


def after(state: DriverState, turn: Turn) -> DriverState:
    """The state that `turn` leads to from `state`. Raises KeyError for a turn that cannot come there."""
    return TRANSITIONS[state, turn]
