"""Reasons: what a change of health rests on, in words for whoever reads the log or asks `explain`. Pure."""

from __future__ import annotations

from gateway.model import Cause
from gateway.policy.check import Check
from gateway.policy.pulse import Pulse
from gateway.policy.settling import has_quorum
from gateway.policy.state import TunnelState

_FACTS = {
    Cause.DEVICE_GONE: "the kernel has no device {interface}",
    Cause.DEVICE_REPLACED: "{interface} is another device than before",
    Cause.LINK_DOWN: "{interface} is set down",
    Cause.CARRIER_LOST: "{interface} has no carrier",
    Cause.ADDRESS_GONE: "{interface} has lost the address that sockets use",
    Cause.DRIVER: "the VPN client says that it is not connected",
    Cause.DRILL: "taken out on purpose",
}


def of_tunnel(tunnel: TunnelState, cause: Cause, now: float) -> str:
    """Why the tunnel's health is what it has become, for `cause`."""
    if cause is Cause.DRIVER and tunnel.said:
        return tunnel.said
    fact = _FACTS.get(cause)
    if fact is not None:
        return fact.format(interface=tunnel.spec.interface)
    pulse, settings = tunnel.pulse, tunnel.spec.health
    said = cause.value
    match cause:
        case Cause.PROBES if not has_quorum(tunnel):
            said = f"fewer than {_times(settings.reliability, 'probe')} of its own are content"
        case Cause.PROBES if pulse.silent_since is not None:
            said = f"{-pulse.run} probes failed, and no sign of life for {now - pulse.silent_since:.2f} s"
        case Cause.STALL if tunnel.counters is not None and tunnel.counters.since is not None:
            seconds = tunnel.counters.at - tunnel.counters.since
            said = f"{tunnel.counters.sent} packets went out in {seconds:.1f} s, none came in"
        case Cause.RECOVERED | Cause.FIRST_GOOD:
            said = _answers(pulse) if tunnel.is_probed else f"{tunnel.spec.interface} looks good"
    return said


def of_check(check: Check, now: float) -> str:
    """Why a target's health is what it has become."""
    pulse = check.pulse
    if pulse.silent_since is not None:
        return f"{-pulse.run} probes failed in {now - pulse.silent_since:.2f} s, while the tunnel answered"
    return _answers(pulse)


def _answers(pulse: Pulse) -> str:
    if pulse.run < 0:
        return f"it has answered, though not {_times(-pulse.run, 'probe')} since"
    if pulse.run == 0:
        return "no probe has been answered yet"
    return f"{_times(pulse.run, 'answer')} in a row"


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
