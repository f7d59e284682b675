"""The faults of the matrix, and what the gateway owes to each of them.

Each is done to the active tunnel; the stage says which that is, and what stands by. Two targets of one company are
behind all of them: pages and an echo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.e2e.matrix.victim import Victim
from tests.lab.corp import HTTP_PORT
from tests.lab.faults import Direction, Fault


class Sort(Enum):
    """How a fault shows, and with it what is owed: the goal is seconds from the fault to a page by the standby."""

    VISIBLE = ("seen by the kernel", 0.05)
    SILENT = ("silent", 3.0)
    TARGET = ("one target is dead", 3.0)  # its new sessions move; no session ends, and the tunnel stays UP
    HARMLESS = ("to be endured", None)  # no failover: the tunnel is bad, and works

    def __init__(self, title: str, goal: float | None) -> None:
        self.title = title
        self.goal = goal

    @property
    def falls(self) -> bool:
        """Whether the active tunnel goes DOWN."""
        return self in {Sort.VISIBLE, Sort.SILENT}

    @property
    def moves(self) -> bool:
        """Whether new sessions go to the standby."""
        return self is not Sort.HARMLESS


class Load(Enum):
    """What else the active tunnel carries meanwhile."""

    NONE = "none"
    BULK = "bulk"  # as much as it takes, both ways
    FULL = "full"  # that, and as many new connections as the machine manages


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault. `lasts`: seconds for which it is watched after what it must bring, or in all when that is nothing.

    `busy`: Mbit/s that the tunnel must have carried, for the case to say anything.
    """

    name: str
    title: str
    sort: Sort
    fault: Callable[[Victim], Fault] | None  # None: the tunnel is well, and that has to stay so
    lasts: float = 10.0
    load: Load = Load.NONE
    busy: float = 0.0


def _visible(name: str, title: str, fault: Callable[[Victim], Fault]) -> Case:
    return Case(name=name, title=title, sort=Sort.VISIBLE, fault=fault)


def _silent(name: str, title: str, fault: Callable[[Victim], Fault]) -> Case:
    return Case(name=name, title=title, sort=Sort.SILENT, fault=fault)


_LONG = 60.0  # seconds
_SOAK = 600.0

CASES = {
    case.name: case
    for case in (
        _visible("client-killed", "VPN client killed -9", lambda it: it.client_killed()),
        _visible("tunnel-down", "tunnel's device switched off", lambda it: it.device_down()),
        _visible("tunnel-deleted", "tunnel's device deleted", lambda it: it.device_deleted()),
        _visible("address-removed", "tunnel's address removed", lambda it: it.address_removed()),
        _silent("carrier", "carrier of the physical link lost", lambda it: it.faults.carrier(it.site)),
        _silent("local-down", "physical link down near by", lambda it: it.faults.local_down(it.site)),
        _silent("remote-down", "physical link down far away", lambda it: it.faults.remote_down(it.site)),
        _silent("blackhole", "black hole, both ways", lambda it: it.faults.blackhole(it.site)),
        _silent(
            "blackhole-out", "black hole towards the site", lambda it: it.faults.blackhole(it.site, Direction.TO_SITE)
        ),
        _silent(
            "blackhole-in", "black hole from the site", lambda it: it.faults.blackhole(it.site, Direction.FROM_SITE)
        ),
        _silent("server-killed", "VPN server killed -9", lambda it: it.faults.kill9(it.server)),
        _silent("server-frozen", "VPN server frozen", lambda it: it.faults.freeze(it.server)),
        _silent("server-stopped", "VPN server stopped in order", lambda it: it.faults.stop(it.server)),
        _silent("client-frozen", "VPN client frozen", lambda it: it.client_frozen()),
        _silent("corp-dead", "all targets silent behind the tunnel", lambda it: it.faults.corp_dead(it.site)),
        _silent("reject", "ICMP reject behind the tunnel", lambda it: it.faults.reject(it.site)),
        Case(
            name="target-dead",
            title="one target dead behind the tunnel",
            sort=Sort.TARGET,
            fault=lambda it: it.faults.target_dead(it.site, HTTP_PORT),
        ),
        Case(
            name="loss",
            title="30 % loss each way",
            sort=Sort.HARMLESS,
            fault=lambda it: it.faults.loss(it.site, 30),
            lasts=_LONG,
        ),
        Case(
            name="mtu",
            title="path-MTU black hole",
            sort=Sort.HARMLESS,
            fault=lambda it: it.faults.mtu(it.site, 1300),
            lasts=_LONG,
            load=Load.BULK,
        ),
        Case(
            name="saturated",
            title="2 Mbit/s, saturated both ways",
            sort=Sort.HARMLESS,
            fault=lambda it: it.faults.rate(it.site, "2mbit"),
            lasts=_LONG,
            load=Load.BULK,
            busy=1.0,  # of bulk; the rest are headers, pages, and what is sent again
        ),
        Case(
            name="healthy",
            title="no fault, full load",
            sort=Sort.HARMLESS,
            fault=None,
            lasts=_SOAK,
            load=Load.FULL,
            busy=20.0,
        ),
    )
}
