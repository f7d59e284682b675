"""Reconnecting: when a VPN client that says it is connected is not believed any more. Pure.

A tunnel that carries nothing for `reconnect_after` seconds is connected anew, by the next of its servers: a server that
was replaced, or whose routes are gone, goes on answering its clients for ever. How often is then for the driver's
back-off to say, which counts a connection that did not last as a failure.

A tunnel that is about to be UP again is left alone, however long its `rise` takes: what ended its connection then would
keep it DOWN for ever.
"""

from __future__ import annotations

from typing import Final

from gateway.model import AdminState, Cause, DriverState, DriverStatus, Health, TunnelSpec
from gateway.policy import reasons
from gateway.policy.state import TunnelState

_CURABLE: Final = frozenset(
    {
        Cause.PROBES,
        Cause.STALL,
        Cause.DEVICE_GONE,
        Cause.LINK_DOWN,
        Cause.CARRIER_LOST,
        Cause.ADDRESS_GONE,
    }
)
"""What another connection may put right."""


def complaint(tunnel: TunnelState, status: DriverStatus, now: float) -> str | None:
    """Why the connection should end at `now`, in words; None: it should not."""
    cause = tunnel.health.cause
    if (
        status.state is not DriverState.CONNECTED
        or tunnel.admin is AdminState.DISABLED
        or tunnel.health.health is not Health.DOWN
        or cause not in _CURABLE
        or _recovers(tunnel)
        or now - max(tunnel.health.since, status.since) < _patience(tunnel.spec)
    ):
        return None
    said = reasons.of_tunnel(tunnel, cause, now)
    return f"connected, but down for {_patience(tunnel.spec):g} s and more ({cause}): {said}"


def _recovers(tunnel: TunnelState) -> bool:
    """Whether nothing speaks against it any more."""
    return tunnel.pulse.run > 0 if tunnel.is_probed else tunnel.health.good_since is not None


def _patience(spec: TunnelSpec) -> float:
    """Seconds: enough for a probe to be sent and answered, whatever is configured."""
    return max(spec.reconnect_after, spec.health.interval + spec.health.timeout)
