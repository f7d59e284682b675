"""Outlook: what would have to happen next, tunnel by tunnel, in words for whoever asks `explain`. Pure.

Countdowns are not in the words: they run on while the words stand. They are in `hold_until` and its like.
"""

from __future__ import annotations

from gateway.model import AdminState, Doubt, Health
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
    if tunnel.admin is not AdminState.ENABLED:
        return "the operator enables it"
    if tunnel.drill_until is not None:
        return "the drill ends"
    match tunnel.health.health:
        case Health.UNKNOWN:
            return "the first probe is answered" if tunnel.is_probed else "the kernel is read for the first time"
        case Health.DOWN:
            return _while_down(tunnel)
        case Health.UP:
            return _while_up(tunnel)


def _while_down(tunnel: TunnelState) -> str:
    recovery = _recovery(tunnel)
    if tunnel.fact_cause is not None:
        return f"{tunnel.spec.interface} is whole again, and then {recovery}"
    if tunnel.verdict is not None:
        return f"its VPN client connects, and then {recovery}"
    return recovery


def _while_up(tunnel: TunnelState) -> str:
    settings = tunnel.spec.health
    if POOR & tunnel.doubts.keys():
        return f"{_doubts(tunnel)}: sessions prefer another tunnel until it recovers"
    if tunnel.doubts:
        return (
            f"it is suspect ({_doubts(tunnel)}): without a sign of life it is down {settings.down_after:g} s after "
            f"the first failed probe was sent, once {settings.fall} have failed"
        )
    if tunnel.damping.hold_until is not None:
        return "its hold-down ends, and new sessions return to it"
    return "nothing: all is well"


def _recovery(tunnel: TunnelState) -> str:
    settings = tunnel.spec.health
    if not tunnel.is_probed:
        return f"it looks good for {(settings.rise - 1) * settings.interval:g} s"
    answers = settings.rise - max(tunnel.pulse.run, 0)
    return f"{answers} more probe{'s' if answers != 1 else ''} in a row {'are' if answers != 1 else 'is'} answered"


def _doubts(tunnel: TunnelState) -> str:
    return ", ".join(_DOUBTS[doubt] for doubt in tunnel.doubts)
