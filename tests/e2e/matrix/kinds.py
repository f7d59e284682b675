"""The stage with a tunnel of each kind, all of them brought up by the gateway itself: OpenVPN, IPsec, WireGuard.

One is active, both others stand by: of every fault two failovers are seen, one to each. The order is what the forwards
say, so that one configuration serves for every pair. New sessions go back soon.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.e2e.harness import GatewayProcess
from tests.e2e.kinds import TUNNELS, Kind, ManagedServer, entries
from tests.e2e.managed import configuration, connected, told
from tests.e2e.matrix.cases import Case
from tests.e2e.matrix.ready import ReadyIp, ready_ip
from tests.e2e.matrix.stage import Stage, Way, all_up, bulk_forward
from tests.e2e.traces import child
from tests.lab.errors import CommandError
from tests.lab.faults import Fault
from tests.lab.lab import Lab
from tests.lab.processes import ProcessId

_SOON_BACK = 'failback_delay = "1s"'
_SOON_OVER = 'drain_timeout = "2s"'  # some sessions are stuck for good in the faults that are endured


PAIRS = tuple((active, standby) for active in Kind for standby in Kind if active is not standby)


def place(active: Kind, standby: Kind) -> str:
    """Where the results of a pair are kept, below the matrix' own."""
    return f"kinds/{active}-{standby}"


@asynccontextmanager
async def kinds(
    lab: Lab, directory: Path, case: Case, active: Kind, running: Mapping[Kind, ManagedServer]
) -> AsyncIterator[Stage]:
    """A gateway with default settings, but for the time after which it goes back, and nothing that leaves beside it."""
    ways = [
        Way(standby=standby.tunnel, address="", number=number, suffix=f"-{standby}")
        for number, standby in enumerate(kind for kind in Kind if kind is not active)
    ]
    forwards = [
        entry
        for way in ways
        for entry in way.forwards([active.tunnel, way.standby, *(it.standby for it in ways if it is not way)])
    ]
    bulk = bulk_forward(lab, case, f'tunnels = ["{active.tunnel}", "{ways[0].standby}"]')
    text = configuration(lab, directory, *entries(running, _SOON_BACK), *forwards, *bulk, gateway=_SOON_OVER)
    with lab.capture() as capture, ready_ip(lab.cloud) as tool:
        async with GatewayProcess(lab, directory, text) as gateway:
            await gateway.event("gateway.started")
            await connected(gateway, *TUNNELS)
            stage = Stage(
                lab=lab,
                gateway=gateway,
                active=active.tunnel,
                address=await _address(gateway, active.tunnel),
                victim=OfGateway(lab, tool, gateway, active, running[active].name),
                ways=[replace(way, address=await _address(gateway, way.standby)) for way in ways],
                returns=True,
            )
            await all_up(stage)
            yield stage
            assert await gateway.terminate() == 0
    assert capture.packets == (), f"left beside the tunnels: {capture.packets}"


async def _address(gateway: GatewayProcess, name: str) -> str:
    """What the company sees of a tunnel that is connected."""
    (address,) = (await told(gateway, name))["driver"]["addresses"]
    return str(address)


class OfGateway:
    """A `victim.Victim` whose client is a child of the gateway: nobody but the gateway starts it again.

    Faults in the cloud's namespace are made by `tool`.
    """

    def __init__(self, lab: Lab, tool: ReadyIp, gateway: GatewayProcess, kind: Kind, server: str) -> None:
        self.site = kind.site
        self.server = server
        self.faults = lab.faults
        self._cloud = lab.cloud
        self._tool = tool
        self._gateway = gateway
        self._kind = kind

    @property
    def client(self) -> ProcessId:
        """Its client at this moment. Raises ValueError while there is none."""
        return child(self._gateway.pid, self._kind.program)

    def client_killed(self) -> Fault:
        """See `victim.Victim`. Its end is the gateway's to bring about."""
        return Fault("client killed", self.client.end, lambda: None, [])

    def client_frozen(self) -> Fault:
        """See `victim.Victim`. By the end the gateway may have another one."""
        frozen: list[ProcessId] = []

        def inject() -> None:
            frozen.append(self.client)
            frozen[-1].signal(signal.SIGSTOP)

        def heal() -> None:
            frozen.pop().signal(signal.SIGCONT)

        return Fault("client frozen", inject, heal, [])

    def device_down(self) -> Fault:
        """See `victim.Victim`."""
        device = self._kind.tunnel
        return Fault(
            "device down",
            lambda: self._tool.do(f"link set {device} down"),
            lambda: self._mend(f"link set {device} up"),
            [],
        )

    def device_deleted(self) -> Fault:
        """See `victim.Victim`. Its end is the gateway's to bring about."""
        return Fault("device deleted", lambda: self._tool.do(f"link del {self._kind.tunnel}"), lambda: None, [])

    def address_removed(self) -> Fault:
        """See `victim.Victim`."""
        device = self._kind.tunnel
        link = self._cloud.link(device)
        addresses = () if link is None else link.addresses

        def inject() -> None:
            for address in addresses:
                self._tool.do(f"addr del {address} dev {device}")

        def heal() -> None:
            self._mend(*(f"addr replace {address} dev {device}" for address in addresses))

        return Fault("address removed", inject, heal, [])

    def _mend(self, *lines: str) -> None:
        """Undo what was done by hand, unless the gateway has done more than that and replaced the device."""
        try:
            self._cloud.ip(*lines)
        except CommandError:
            if self._cloud.link(self._kind.tunnel) is not None:
                raise
