"""Outlook: what would have to happen next, tunnel by tunnel, in words for whoever asks `explain`. Pure.

Countdowns are not in the words: they run on while the words stand. They are in `hold_until` and its like.
"""

from __future__ import annotations

from gateway.model import AdminState, Doubt, Health
from gateway.policy.settling import has_quorum
from gateway.policy.state import POOR, TunnelState

_DOUBTS = {
    Doubt.UNANSWERED: "a probe or a dial is unanswered",
    Doubt.UNACKNOWLEDGED: "what sessions sent is not acknowledged",
    Doubt.STALL: "packets go out and none come in",
    Doubt.LATENCY: "its round trip is longer than failure_latency",
    Doubt.LOSS: "it loses more than failure_loss",
}


def next_step(tunnel: TunnelState) -> str:
    """What has to happen before the tunnel changes, or takes sessions again."""
    match tunnel.admin:
        case AdminState.DISABLED:
            return "the operator enables it"
        case AdminState.DRAINING if tunnel.drain_until is not None:
            return "its sessions end, or its drain does: then it is disabled, until the operator enables it"
        case AdminState.DRAINING:
            return "its sessions end, and the operator enables it"
        case AdminState.ENABLED if tunnel.drill_until is not None:
            return "the drill ends"
        case AdminState.ENABLED:
            return _by_health(tunnel)


def _by_health(tunnel: TunnelState) -> str:
    match tunnel.health.health:
        case Health.UNKNOWN:
            if tunnel.awaited is not None:
                return "its VPN client connects for the first time"
            return "the first probe is answered" if tunnel.is_probed else "the kernel is read for the first time"
        case Health.DOWN:
            return _while_down(tunnel)
        case Health.UP:
            return _while_up(tunnel)


def _while_down(tunnel: TunnelState) -> str:
    recovery = _recovery(tunnel)
    if tunnel.verdict is not None:
        return f"its VPN client connects, and then {recovery}"
    if tunnel.fact_cause is not None:
        return f"{tunnel.spec.interface} is whole again, and then {recovery}"
    return recovery


def _recovery(tunnel: TunnelState) -> str:
    settings = tunnel.spec.health
    if not has_quorum(tunnel):
        return f"{settings.reliability} of its own probes are content"
    if not tunnel.is_probed:
        return f"it looks good for {(settings.rise - 1) * settings.interval:g} s"
    missing = settings.rise - max(tunnel.pulse.run, 0)
    return "one more probe is answered" if missing == 1 else f"{missing} more probes in a row are answered"


def _while_up(tunnel: TunnelState) -> str:
    settings, doubts = tunnel.spec.health, tunnel.doubts.keys()
    words = ", ".join(_DOUBTS[doubt] for doubt in tunnel.doubts)
    if POOR & doubts:
        return f"{words}: sessions prefer another tunnel until it recovers"
    if doubts == {Doubt.STALL}:
        return f"it is suspect ({words}): without a sign of life it is down after {settings.stall_after:g} s of that"
    if doubts:
        return (
            f"it is suspect ({words}): without a sign of life it is down {settings.down_after:g} s after "
            f"the first failed probe was sent, once {settings.fall} have failed"
        )
    if tunnel.damping.hold_until is not None:
        return "its hold-down ends, and new sessions return to it"
    return "nothing: all is well"
