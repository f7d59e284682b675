"""Activities: what was done to the gateway's tunnels and what became of them, by whom. The book keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GATEWAY: Final = "gateway"
"""By whom, where nobody asked: the gateway did it by itself."""


class ActivityKind(StrEnum):
    """What happened. Names are kept once published: they are in books."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    ATTEMPT_FAILED = "attempt_failed"
    FAILOVER = "failover"
    FAILBACK = "failback"
    ADMIN = "admin"  # enable, disable, drain, drill, and what else an operator asks of a tunnel
    CONFIG_APPLIED = "config_applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One of them. `tunnel` is whom it befell, of a move the one that was left; None for the gateway as a whole.

    `to_tunnel`: of a move, the one that took over; None where none could. `by`: "gateway", or who asked for it
    ("uid 0, pid 123"). `detail` says the rest in words.
    """

    at_unix: float
    kind: ActivityKind
    tunnel: str | None = None
    to_tunnel: str | None = None
    by: str = GATEWAY
    detail: str = ""
