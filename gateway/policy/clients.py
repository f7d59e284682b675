"""What a VPN client's word means for its tunnel: connected is nothing against it, all else is a hard cause. Pure.

That it is connected is nothing for it, either: whether the tunnel carries is for looks and probes to say.
"""

from __future__ import annotations

from typing import assert_never

from gateway.model import Cause, DriverState, DriverStatus, Failure
from gateway.policy.evidence import Verdict


def verdict_of(status: DriverStatus) -> Verdict:
    """The evidence that `status` is."""
    if status.state is DriverState.CONNECTED:
        return Verdict(tunnel=status.tunnel, cause=None)
    return Verdict(
        tunnel=status.tunnel,
        cause=Cause.DRIVER,
        detail=_said(status),
        first=status.state is DriverState.CONNECTING,
    )


def in_words(failure: Failure) -> str:
    """A failure as log lines, activities and operators' answers have it."""
    server = "" if failure.server is None else f" ({failure.server})"
    detail = f": {failure.detail}" if failure.detail else ""
    return f"{failure.reason}{server}{detail}"


def _said(status: DriverStatus) -> str:
    why = "" if status.failure is None else f": {in_words(status.failure)}"
    match status.state:
        case DriverState.STOPPED:
            return f"its VPN client is stopped: `gateway connect {status.tunnel}` starts it"
        case DriverState.CONNECTING:
            return "its VPN client connects" if status.server is None else f"its VPN client connects to {status.server}"
        case DriverState.RECONNECTING:
            return f"its VPN client is not connected{why}"
        case DriverState.AUTH_FAILED:
            return f"the account of its VPN client is refused{why}"
        case DriverState.CONNECTED:
            return "its VPN client is connected"
        case _:
            assert_never(status.state)
