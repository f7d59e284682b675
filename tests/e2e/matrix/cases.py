"""The faults of the matrix, and what the gateway owes to each of them.

The active tunnel is the one to site A, the standby the one to site B. Settings are the defaults; two targets of one
company are behind both: pages and an echo.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.lab.corp import HTTP_PORT
from tests.lab.faults import Direction, Fault
from tests.lab.lab import Lab
from tests.lab.topology import Site


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
    fault: Callable[[Lab], Fault] | None  # None: the tunnel is well, and that has to stay so
    lasts: float = 10.0
    load: Load = Load.NONE
    busy: float = 0.0


def _visible(name: str, title: str, fault: Callable[[Lab], Fault]) -> Case:
    return Case(name=name, title=title, sort=Sort.VISIBLE, fault=fault)


def _silent(name: str, title: str, fault: Callable[[Lab], Fault]) -> Case:
    return Case(name=name, title=title, sort=Sort.SILENT, fault=fault)


_A = Site.A
_LONG = 60.0  # seconds
_SOAK = 600.0

CASES = {
    case.name: case
    for case in (
        _visible("client-killed", "VPN client killed -9", lambda lab: lab.faults.tun_carrier(_A)),
        _visible("tunnel-down", "tunnel's device switched off", lambda lab: lab.faults.tun_down(_A)),
        _visible("tunnel-deleted", "tunnel's device deleted", lambda lab: lab.faults.tun_deleted(_A)),
        _visible("address-removed", "tunnel's address removed", lambda lab: lab.faults.address_removed(_A)),
        _silent("carrier", "carrier of the physical link lost", lambda lab: lab.faults.carrier(_A)),
        _silent("local-down", "physical link down near by", lambda lab: lab.faults.local_down(_A)),
        _silent("remote-down", "physical link down far away", lambda lab: lab.faults.remote_down(_A)),
        _silent("blackhole", "black hole, both ways", lambda lab: lab.faults.blackhole(_A)),
        _silent(
            "blackhole-out", "black hole towards the site", lambda lab: lab.faults.blackhole(_A, Direction.TO_SITE)
        ),
        _silent("blackhole-in", "black hole from the site", lambda lab: lab.faults.blackhole(_A, Direction.FROM_SITE)),
        _silent("server-killed", "VPN server killed -9", lambda lab: lab.faults.kill9(lab.vpn(_A).server)),
        _silent("server-frozen", "VPN server frozen", lambda lab: lab.faults.freeze(lab.vpn(_A).server)),
        _silent("server-stopped", "VPN server stopped in order", lambda lab: lab.faults.stop(lab.vpn(_A).server)),
        _silent("client-frozen", "VPN client frozen", lambda lab: lab.faults.freeze(lab.vpn(_A).client)),
        _silent("corp-dead", "all targets silent behind the tunnel", lambda lab: lab.faults.corp_dead(_A)),
        _silent("reject", "ICMP reject behind the tunnel", lambda lab: lab.faults.reject(_A)),
        Case(
            name="target-dead",
            title="one target dead behind the tunnel",
            sort=Sort.TARGET,
            fault=lambda lab: lab.faults.target_dead(_A, HTTP_PORT),
        ),
        Case(
            name="loss",
            title="30 % loss each way",
            sort=Sort.HARMLESS,
            fault=lambda lab: lab.faults.loss(_A, 30),
            lasts=_LONG,
        ),
        Case(
            name="mtu",
            title="path-MTU black hole",
            sort=Sort.HARMLESS,
            fault=lambda lab: lab.faults.mtu(_A, 1300),
            lasts=_LONG,
            load=Load.BULK,
        ),
        Case(
            name="saturated",
            title="2 Mbit/s, saturated both ways",
            sort=Sort.HARMLESS,
            fault=lambda lab: lab.faults.rate(_A, "2mbit"),
            lasts=_LONG,
            load=Load.BULK,
            busy=2.0,  # more than one way alone can be
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
