"""/api/v1: what the gateway knows, and what an operator may have it do. The keys of its JSON are in `documents`.

Questions are answered on every address; changes are made through the control socket only, where the kernel says who
asks. A browser is never an operator: a change with an Origin header is refused wherever it comes from.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from aiohttp import hdrs, web

from gateway.admin.answers import BadRequestError, answered, error, seconds_of, unknown_name, value_of
from gateway.admin.book.book import Book
from gateway.admin.book.routes import BookRoutes
from gateway.admin.describe import Picture, drill, driver
from gateway.admin.documents import ConnectionDocument, DrillDocument, ExplainDocument, FailbackDocument, TunnelDocument
from gateway.admin.operations import Connections, Operations
from gateway.admin.rates import Rates
from gateway.admin.readiness import Phase
from gateway.admin.serving import get
from gateway.admin.stats import StatsView
from gateway.model import AdminState, ControlView, DriverStatus, Expiry

_JSON: Final = "application/json"
_TUNNEL: Final = "/api/v1/tunnels/{name}"
_FAILBACK: Final = "/api/v1/failback/{name}"

_DRILL_SECONDS: Final = 10.0  # when nobody says
_LONGEST_DRILL: Final = 3600.0
_LONGEST_DRAIN: Final = 7 * 86_400.0

Asker = Callable[[web.Request], str]
"""Who makes a request, in words for the log."""

_Change = Callable[[web.Request, str], Awaitable[Mapping[str, object]]]


class _AskClient(Protocol):
    """`connect` or `disconnect`."""

    def __call__(self, tunnel: str, *, by: str) -> Awaitable[DriverStatus]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSources:
    """Where answers come from. Called on the event loop's thread; none may block. `clock` is that of the view."""

    view: Callable[[], ControlView]
    stats: Callable[[], StatsView]
    rates: Callable[[], Rates]
    phase: Callable[[], Phase]
    version: str
    environment: str
    clock: Callable[[], float] = time.monotonic
    now_unix: Callable[[], float] = time.time
    drivers: Callable[[], Mapping[str, DriverStatus]] = dict
    expiries: Callable[[], tuple[Expiry, ...]] = tuple


class Api:
    """The routes of /api/v1, for any number of servers.

    Without `connections` there are no VPN clients to connect, and without `book` nothing of one to read: then there are
    no such routes.
    """

    def __init__(
        self,
        sources: ApiSources,
        operations: Operations,
        *,
        connections: Connections | None = None,
        book: Book | None = None,
    ) -> None:
        self._sources = sources
        self._operations = operations
        self._connections = connections
        self._book = None if book is None else BookRoutes(book, sources.view, now_unix=sources.now_unix)
        self._one_status = asyncio.Lock()

    def questions(self) -> list[web.RouteDef]:
        """What can be asked without changing anything."""
        own = [
            get("/api/v1/status", self._status),
            get("/api/v1/explain/{name}", self._explain),
            get(_TUNNEL, self._one_tunnel),
        ]
        return own if self._book is None else [*own, *self._book.questions()]

    def changes(self, asker: Asker) -> list[web.RouteDef]:
        """What an operator can have done; `asker` says who it is, and raises web.HTTPException for who may not."""

        def post(path: str, change: _Change) -> web.RouteDef:
            async def handler(request: web.Request) -> web.Response:
                if hdrs.ORIGIN in request.headers:
                    return error("a browser may change nothing here", HTTPStatus.FORBIDDEN)
                return await answered(change(request, asker(request)))

            return web.post(path, handler)

        return [post(path, change) for path, change in self._changes().items()]

    def refused_changes(self, control: Callable[[], Path | None]) -> list[web.RouteDef]:
        """The same paths where nothing can be changed: the answer names the socket where it can, `control`."""

        async def handler(_request: web.Request) -> web.Response:
            place = control()
            how = "this gateway has none: see [admin] socket" if place is None else f"here that is {place}"
            return error(f"changes are made through the control socket only; {how}", HTTPStatus.FORBIDDEN)

        return [web.post(path, handler) for path in self._changes()]

    def _changes(self) -> Mapping[str, _Change]:
        changes: dict[str, _Change] = {
            f"{_TUNNEL}/enable": partial(self._set_admin, AdminState.ENABLED),
            f"{_TUNNEL}/disable": partial(self._set_admin, AdminState.DISABLED),
            f"{_TUNNEL}/drain": self._drain,
            f"{_TUNNEL}/drill": self._drill,
            _FAILBACK: self._failback,
        }
        if self._connections is not None:
            changes |= {
                f"{_TUNNEL}/connect": partial(self._ask_client, self._connections.connect),
                f"{_TUNNEL}/disconnect": partial(self._ask_client, self._connections.disconnect),
            }
        return changes

    # ---------------------------------------------------------------- questions

    async def _status(self, _request: web.Request) -> web.Response:
        about = self._sources
        async with self._one_status:  # several at once would only slow each other, and the relay
            render = partial(
                self._picture().status, version=about.version, environment=about.environment, phase=about.phase()
            )
            body = await asyncio.to_thread(render)
        return web.Response(body=body, content_type=_JSON)

    async def _explain(self, request: web.Request) -> web.Response:
        return await answered(self._explained(request.match_info["name"]))

    async def _explained(self, name: str) -> ExplainDocument:
        picture = self._picture()
        found = next((forward for forward in picture.view.forwards if forward.name == name), None)
        if found is None:
            raise await unknown_name("forward", name, [forward.name for forward in picture.view.forwards])
        return picture.explain(found)

    async def _one_tunnel(self, request: web.Request) -> web.Response:
        return await answered(self._tunnel_alone(request))

    async def _tunnel_alone(self, request: web.Request) -> TunnelDocument:
        """Cheap, however many forwards there are: for those who wait until a tunnel is what they want it to be."""
        name, picture = await self._tunnel(request), self._picture()
        return next(picture.tunnel(tunnel) for tunnel in picture.view.tunnels if tunnel.name == name)

    def _picture(self) -> Picture:
        ask = self._sources
        return Picture(
            view=ask.view(),
            stats=ask.stats(),
            rates=ask.rates(),
            now=ask.clock(),
            drivers=ask.drivers(),
            expiries=ask.expiries(),
            now_unix=ask.now_unix(),
        )

    # ---------------------------------------------------------------- changes

    async def _set_admin(self, admin: AdminState, request: web.Request, by: str) -> TunnelDocument:
        await value_of(request, key=None)
        name = await self._tunnel(request)
        changed = await self._operations.set_admin(name, admin, timeout=None, by=by)
        return self._picture().tunnel(changed)

    async def _drain(self, request: web.Request, by: str) -> TunnelDocument:
        timeout = seconds_of(await value_of(request, key="timeout"), "timeout", at_most=_LONGEST_DRAIN)
        name = await self._tunnel(request)
        changed = await self._operations.set_admin(name, AdminState.DRAINING, timeout=timeout, by=by)
        return self._picture().tunnel(changed)

    async def _drill(self, request: web.Request, by: str) -> DrillDocument:
        seconds = seconds_of(await value_of(request, key="for"), "for", at_most=_LONGEST_DRILL)
        if seconds == 0.0:
            raise BadRequestError('"for": a drill lasts longer than nothing')
        name = await self._tunnel(request)
        seconds = _DRILL_SECONDS if seconds is None else seconds
        return drill(await self._operations.drill(name, seconds=seconds, by=by))

    async def _failback(self, request: web.Request, by: str) -> FailbackDocument:
        await value_of(request, key=None)
        name, view = request.match_info["name"], self._sources.view()
        names = [tunnel.name for tunnel in view.tunnels] + [forward.name for forward in view.forwards]
        if name not in names:
            raise await unknown_name("tunnel or forward", name, list(dict.fromkeys(names)))
        return {"name": name, "moved": list(await self._operations.failback(name, by=by))}

    async def _ask_client(self, ask: _AskClient, request: web.Request, by: str) -> ConnectionDocument:
        await value_of(request, key=None)
        name = await self._tunnel(request)
        return {"name": name, "driver": driver(await ask(name, by=by), self._sources.clock())}

    async def _tunnel(self, request: web.Request) -> str:
        """The tunnel that the path names. Raises UnknownNameError."""
        name, names = request.match_info["name"], [tunnel.name for tunnel in self._sources.view().tunnels]
        if name not in names:
            raise await unknown_name("tunnel", name, names)
        return name
