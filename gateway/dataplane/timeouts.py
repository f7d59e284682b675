"""Which sessions have been quiet for too long. Pure; asked once a second of every session, so by whole looks.

An established session has no timer of its own: one look at each of 8,000 sessions takes a few milliseconds a second,
while arming and cancelling a timer would be paid on every connection.
"""

from __future__ import annotations

from gateway.dataplane.session import Phase, Session
from gateway.model import CloseReason


def overdue(session: Session, tick: int) -> CloseReason | None:
    """Why `session` must end now, or None. `tick`: the engine's looks so far, which are a second apart, or more.

    A session in which one side has ended may be quiet for the shorter of the two time-outs.
    """
    if session.phase is not Phase.RELAYING:
        return None
    quiet = tick - session.last_active - 1  # it was active between two looks: this much for certain
    spec = session.plan.forward.spec
    if session.up.ended is not session.down.ended and quiet >= spec.half_close_timeout:
        return CloseReason.HALF_CLOSE_TIMEOUT
    if quiet >= spec.idle_timeout:
        return CloseReason.IDLE
    return None
