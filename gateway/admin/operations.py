"""What an operator may ask of a running gateway, as the control socket needs it. The controller's side fulfils it."""

from __future__ import annotations

from typing import Protocol

from gateway.model import AdminState, DrillReport, DriverStatus, TunnelView


class Operations(Protocol):
    """Each call is carried out when it returns. `by` says who asked, for the log: "uid 0, pid 123".

    Raises UnknownNameError for a name that nobody has, RefusedError for what would do harm or is under way already;
    then nothing was changed.
    """

    async def set_admin(
        self,
        tunnel: str,
        admin: AdminState,
        *,
        timeout: float | None,  # noqa: ASYNC109 - not of this call, but of the drain that it begins
        by: str,
    ) -> TunnelView:
        """Make the admin state of `tunnel` so; the tunnel as it is then.

        DISABLED resets its sessions at once. DRAINING lets them end, for `timeout` seconds at most (None: 25 s), and
        becomes DISABLED. Other states ignore `timeout`.
        """
        ...

    async def failback(self, name: str, *, by: str) -> tuple[str, ...]:
        """End the hold-down of the tunnel `name`, or have the forward `name` take its best tunnel again.

        Returns the forwards whose new sessions have moved by that.
        """
        ...

    async def drill(self, tunnel: str, *, seconds: float, by: str) -> DrillReport:
        """Take `tunnel` out for `seconds`, watch its forwards recover elsewhere, give it back. Returns at the end."""
        ...


class Connections(Protocol):
    """What an operator may ask of VPN clients. Each call returns when it has begun, and errors are those of Operations.

    RefusedError: the tunnel has no VPN client, for somebody else makes its device.
    """

    async def connect(self, tunnel: str, *, by: str) -> DriverStatus:
        """Have it connected: an attempt begins at once, also where one was to wait. Where it stands then."""
        ...

    async def disconnect(self, tunnel: str, *, by: str) -> DriverStatus:
        """Have it stopped: its sessions are reset, an attempt under way is cancelled. Where it stands then."""
        ...
