"""Whether to send clients here, and why: pure.

Not ready only while starting, while draining, or when no forward (`ready = "all"`: not every forward) can be served.
A dead tunnel alone is never a reason: another carries the forward, and one dead target must not pull every replica.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from gateway.admin.describe import age, left, seconds
from gateway.model import ControlView, ForwardView, ReadyWhen, TunnelView


class Phase(StrEnum):
    """Where the gateway is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer of /readyz: `ready` decides its status, `body` is its JSON."""

    ready: bool
    body: dict[str, object]


def readiness(view: ControlView, phase: Phase, when: ReadyWhen, *, now: float) -> Readiness:
    """The answer for `view` in `phase`. `now` is monotonic."""
    ready, reason = _judge(view.forwards, phase, when)
    return Readiness(
        ready=ready,
        body={
            "status": "ready" if ready else "not ready",
            "reason": reason,
            "phase": phase,
            "forwards": [_forward(forward) for forward in view.forwards],
            "tunnels": [_tunnel(tunnel, now) for tunnel in view.tunnels],
        },
    )


def _judge(forwards: tuple[ForwardView, ...], phase: Phase, when: ReadyWhen) -> tuple[bool, str]:
    match phase:
        case Phase.STARTING | Phase.DRAINING:
            return False, f"the gateway is {phase}"
        case Phase.RUNNING:
            pass
        case _:
            assert_never(phase)
    if not forwards:
        return True, "no forward is configured, so none lacks anything"
    served = sum(forward.servable for forward in forwards)
    match when:
        case ReadyWhen.ANY:
            ready = served > 0
        case ReadyWhen.ALL:
            ready = served == len(forwards)
        case _:
            assert_never(when)
    asks = "" if ready else f', and ready = "{when}"'
    return ready, f"{served} of {len(forwards)} forwards can be served{asks}"


def _forward(forward: ForwardView) -> dict[str, object]:
    return {
        "name": forward.name,
        "active": forward.active,
        "servable": forward.servable,
        "why": dict(forward.why),
    }


def _tunnel(tunnel: TunnelView, now: float) -> dict[str, object]:
    return {
        "name": tunnel.name,
        "kind": tunnel.kind,
        "health": tunnel.health,
        "admin": tunnel.admin,
        "cause": tunnel.cause,
        "since_seconds": seconds(now - tunnel.since),
        "evidence": tunnel.evidence,
        "doubts": [doubt.value for doubt in tunnel.doubts],
        "alive_seconds": age(tunnel.alive_at, now),
        "held_for_seconds": left(tunnel.hold_until, now),
    }
