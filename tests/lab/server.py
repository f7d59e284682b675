"""What every VPN server shows to the lab: for tests in which the gateway itself is the client.

The servers are in `servers`, one file a kind of VPN, and in `samples` as a customer was told to set them up. Each says
in its `access` what a client needs to get in.

    with lab.serving(OpenVpnServer(lab.workshop, Site.A, login=Login.BOTH)) as server:
        ... server.access.host, server.access.account ...
"""

from __future__ import annotations

from typing import Protocol


class Server(Protocol):
    """A VPN server at a site, with no client."""

    @property
    def name(self) -> str:
        """The name of its process."""

    def start(self) -> None:
        """Start it; clients may come after `wait_ready`."""

    def wait_ready(self) -> None:
        """Return when it listens and is set up. Raises LabError with what the process said."""

    def restart(self) -> None:
        """Kill it if it is alive, start it again as it was, and wait until it is ready. It knows no client any more."""

    def stop(self) -> None:
        """Kill it. Nothing happens to one that has ended."""
