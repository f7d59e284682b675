"""The front desk: what people, Prometheus and load balancers ask, and who answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time

from gateway import __version__
from gateway.admin.api import Api, ApiSources
from gateway.admin.book.book import Book
from gateway.admin.control import ControlServer
from gateway.admin.families import ReloadFacts
from gateway.admin.http import AdminServer, Questions
from gateway.admin.lag import LagMeter
from gateway.admin.metrics import Metrics, Sources
from gateway.admin.rates import RateMeter
from gateway.admin.readiness import Phase
from gateway.app.clients import Clients
from gateway.app.connections import VpnConnections
from gateway.app.senses import Senses
from gateway.control.controller import Controller
from gateway.control.operator import Operator
from gateway.dataplane.messages import DataPlane
from gateway.model import AdminState, Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Everybody who has something to say. `phase` is the gateway's."""

    config: Config
    plane: DataPlane
    controller: Controller
    operator: Operator
    senses: Senses
    clients: Clients
    book: Book
    lag: LagMeter
    rates: RateMeter
    phase: Callable[[], Phase]


class FrontDesk:
    """The servers, not started yet. `start` and `close` them."""

    def __init__(self, rooms: Rooms) -> None:
        self._config = rooms.config
        api = _api(rooms)
        self._control = ControlServer(api)
        self._admin = AdminServer(
            metrics=_metrics(rooms),
            questions=Questions(
                view=rooms.controller.view, phase=rooms.phase, ready_when=lambda: rooms.config.admin.ready
            ),
            api=api,
            control=lambda: self._control.path,
        )

    async def start(self) -> None:
        """Answer from now on. Raises ListenError."""
        admin = self._config.admin
        if admin.listen is not None:
            await self._admin.start(admin.listen)
        await self._control.start(admin.socket)

    async def close(self) -> None:
        """Answer nobody any more. Closing what was not started does nothing."""
        await self._control.close()
        await self._admin.close()


def _api(rooms: Rooms) -> Api:
    sources = ApiSources(
        view=rooms.controller.view,
        stats=rooms.plane.stats,
        rates=rooms.rates.rates,
        phase=rooms.phase,
        version=__version__,
        environment=rooms.config.gateway.environment,
        drivers=rooms.clients.statuses,
        expiries=rooms.clients.expiries,
    )

    def admin_of(tunnel: str) -> AdminState:
        return rooms.controller.state().tunnels[tunnel].admin

    connections = VpnConnections(rooms.clients, rooms.operator, admin=admin_of)
    return Api(sources, rooms.operator, connections=connections, book=rooms.book)


def _metrics(rooms: Rooms) -> Metrics:
    loaded = ReloadFacts(successful=True, success_at_unix=time())
    sources = Sources(
        stats=rooms.plane.stats,
        view=rooms.controller.view,
        reload=lambda: loaded,
        lag=lambda: rooms.lag.worst,
        draining=lambda: rooms.phase() is Phase.DRAINING,
        probes=rooms.senses.stats,
        drivers=rooms.clients.statuses,
        tally=rooms.clients.tally,
        expiries=rooms.clients.expiries,
        unkept=lambda: rooms.book.dropped,
    )
    return Metrics(sources, version=__version__, environment=rooms.config.gateway.environment)
