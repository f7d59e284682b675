"""Where a fault of the matrix is played: a gateway, the tunnel that gets the fault, and those that stand by.

`pair` is the plain one: two tunnels of the lab, which the gateway finds. The other one is in `kinds`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.failover import forward, sealed_gateway, zone
from tests.e2e.harness import GatewayProcess
from tests.e2e.load import BULK_PORT, serve_bulk
from tests.e2e.matrix.cases import Case, Load
from tests.e2e.matrix.victim import OfLab, Victim
from tests.lab.corp import ECHO_PORT
from tests.lab.lab import Lab
from tests.lab.topology import Site

BULK = 33100
_FIRST, _APART = 33000, 10  # ports of the ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """From the active tunnel to one that stands by: `standby`, a tunnel, which the company sees as `address`.

    Three forwards end with its `suffix`: `hello` and `echo` go there when the active one fails, `steady` always does.
    """

    standby: str
    address: str
    number: int = 0
    suffix: str = ""

    @property
    def hello(self) -> int:
        """The port of the page."""
        return _FIRST + _APART * self.number

    @property
    def echo(self) -> int:
        """The port of the echo."""
        return self.hello + 1

    @property
    def steady(self) -> int:
        """The port of the echo through the standby alone."""
        return self.hello + 2

    def name(self, forward: str) -> str:
        """The name that the forward `hello`, `echo` or `steady` of this way has in the configuration."""
        return f"{forward}{self.suffix}"

    def forwards(self, tunnels: Sequence[str] | None = None) -> list[str]:
        """Their entries. `tunnels`: in this order, if not in that of the file."""
        order = [] if tunnels is None else [f"tunnels = [{', '.join(map(_quoted, tunnels))}]"]
        return [
            forward(self.name("hello"), self.hello, 8080, *order),
            forward(self.name("echo"), self.echo, ECHO_PORT, *order),
            forward(self.name("steady"), self.steady, ECHO_PORT, f"tunnels = [{_quoted(self.standby)}]"),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All is UP. `active` is the tunnel that gets the fault, seen as `address` now; `ways` lead from it.

    `returns`: the time after which new sessions go back to it is so short that it is waited for.
    """

    lab: Lab
    gateway: GatewayProcess
    active: str
    address: str
    victim: Victim
    ways: Sequence[Way]
    returns: bool


@asynccontextmanager
async def pair(lab: Lab, directory: Path, case: Case) -> AsyncIterator[Stage]:
    """A gateway with default settings, the tunnels to the sites a and b, and nothing that leaves beside them."""
    way = Way(standby=zone(Site.B), address=lab.vpn(Site.B).address)
    async with sealed_gateway(lab, directory, *way.forwards(), *bulk_forward(lab, case), tunnel="") as gateway:
        stage = Stage(
            lab=lab,
            gateway=gateway,
            active=zone(Site.A),
            address=lab.vpn(Site.A).address,
            victim=OfLab(lab, Site.A),
            ways=[way],
            returns=False,
        )
        await all_up(stage)
        yield stage


def bulk_forward(lab: Lab, case: Case, *further: str) -> list[str]:
    """The entry of the forward for the case's load, with what it leads to; none for a case without."""
    if case.load is Load.NONE:
        return []
    serve_bulk(lab)
    return [forward("bulk", BULK, BULK_PORT, *further)]


async def all_up(stage: Stage) -> None:
    """Return when every tunnel of the stage is UP."""
    for tunnel in (stage.active, *(way.standby for way in stage.ways)):
        await stage.gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=tunnel)


def _quoted(name: str) -> str:
    return f'"{name}"'
