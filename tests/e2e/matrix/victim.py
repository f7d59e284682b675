"""The tunnel that a fault is done to: what is the same for all is the lab's, what its client is differs."""

from __future__ import annotations

from typing import Protocol

from tests.lab.faults import Fault, Faults
from tests.lab.lab import Lab
from tests.lab.topology import Site


class Victim(Protocol):
    """A tunnel to `site`, and the faults that depend on who made it."""

    @property
    def site(self) -> Site:
        """Where it leads to."""

    @property
    def faults(self) -> Faults:
        """Those of the lab: of links, of servers, behind the tunnel."""

    @property
    def server(self) -> str:
        """The name of the server's process in the lab."""

    def client_killed(self) -> Fault:
        """Its client is killed -9."""

    def client_frozen(self) -> Fault:
        """Its client lives, and is mute."""

    def device_down(self) -> Fault:
        """Its device is switched off."""

    def device_deleted(self) -> Fault:
        """Its device is deleted."""

    def address_removed(self) -> Fault:
        """Its device loses its address."""


class OfLab:
    """A `Victim` whose client is a process of the lab."""

    def __init__(self, lab: Lab, site: Site) -> None:
        self.site = site
        self.faults = lab.faults
        self._vpn = lab.vpn(site)

    @property
    def server(self) -> str:
        """See `Victim`."""
        return self._vpn.server

    def client_killed(self) -> Fault:
        """See `Victim`. The device stays, without a carrier."""
        return self.faults.tun_carrier(self.site)

    def client_frozen(self) -> Fault:
        """See `Victim`."""
        return self.faults.freeze(self._vpn.client)

    def device_down(self) -> Fault:
        """See `Victim`."""
        return self.faults.tun_down(self.site)

    def device_deleted(self) -> Fault:
        """See `Victim`."""
        return self.faults.tun_deleted(self.site)

    def address_removed(self) -> Fault:
        """See `Victim`."""
        return self.faults.address_removed(self.site)
