"""Routes to the company's network through tunnels.

A *plain* route is what somebody else's tunnel brings: one entry in the main table. *Own tables* are what a managed
tunnel brings: the rules `oif DEVICE` and `from ADDRESS` at priority 150 lead to a table with the route and, below
it, an `unreachable` default. Without the latter the kernel answers late packets of a socket that is gone with
a RST that ignores the tunnel and leaves by the default route.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.errors import CommandError, LabError
from tests.lab.netns import Namespace
from tests.lab.topology import CORP_NETWORK, Site

RULE_PRIORITY = 150  # below strongSwan's 220
UNREACHABLE_METRIC = 4278198272  # as far down as a route can be
_PROTOCOL = 201  # whose routes these are; the number is free
_TABLES = {site: 400 + site.number for site in Site}
_METRICS = {site: 100 + site.number for site in Site}  # one prefix through two tunnels needs two metrics


class Routes:
    """The routes of the namespace `space`. Says nothing of devices: they must be there, up, and have an address."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._owned: dict[Site, tuple[str, str]] = {}  # device and address that the rules were made for

    def plain(self, site: Site, device: str) -> None:
        """Route the company's network through `device` in the main table, and in its own table if it has one."""
        self._space.ip(f"route replace {CORP_NETWORK} dev {device} metric {_METRICS[site]}")
        if site in self._owned:
            self.own(site, device)

    def remove(self, site: Site, device: str) -> None:
        """Take the routes away, in all tables; an own table keeps its `unreachable` default."""
        self._delete(f"route del {CORP_NETWORK} dev {device} metric {_METRICS[site]}")
        if site in self._owned:
            self._delete(f"route del {CORP_NETWORK} dev {device} table {_TABLES[site]}")

    def own(self, site: Site, device: str) -> None:
        """Give `device` a table and rules of its own; again after it got another address. `disown` ends it."""
        link = self._space.link(device)
        if link is None or not link.addresses:
            raise LabError(f"{device} has no address to make a rule for")
        address = link.addresses[0].partition("/")[0]
        self._drop_rules(site)
        table = _TABLES[site]
        self._space.ip(
            f"route replace {CORP_NETWORK} dev {device} src {address} table {table} protocol {_PROTOCOL}",
            f"route replace unreachable default metric {UNREACHABLE_METRIC} table {table} protocol {_PROTOCOL}",
            f"rule add priority {RULE_PRIORITY} oif {device} lookup {table} protocol {_PROTOCOL}",
            f"rule add priority {RULE_PRIORITY} from {address} lookup {table} protocol {_PROTOCOL}",
        )
        self._owned[site] = (device, address)

    def disown(self, site: Site) -> None:
        """Take the table and its rules away."""
        if site in self._owned:
            self._drop_rules(site)
            self._delete(f"route flush table {_TABLES[site]}")
            del self._owned[site]

    def disown_all(self) -> None:
        for site in Site:
            self.disown(site)

    @contextmanager
    def owned(self, *tunnels: tuple[Site, str]) -> Iterator[None]:
        """Own tables for these (site, device) pairs, for a while."""
        for site, device in tunnels:
            self.own(site, device)
        try:
            yield
        finally:
            for site, _ in tunnels:
                self.disown(site)

    def _drop_rules(self, site: Site) -> None:
        if site in self._owned:
            device, address = self._owned[site]
            self._delete(f"rule del priority {RULE_PRIORITY} oif {device} lookup {_TABLES[site]}")
            self._delete(f"rule del priority {RULE_PRIORITY} from {address} lookup {_TABLES[site]}")

    def _delete(self, line: str) -> None:
        """Delete what may have gone with its device or address."""
        try:
            self._space.ip(line)
        except CommandError as error:
            if (
                "No such process" not in error.output
                and "No such file" not in error.output
                and "Cannot find device" not in error.output
            ):
                raise
