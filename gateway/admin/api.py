"""/api/v1: what the gateway knows, and what an operator may have it do. The keys of its JSON are in `documents`.

Questions are answered on every address; changes are made through the control socket only, where the kernel says who
asks. A browser is never an operator: a change with an Origin header is refused wherever it comes from.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from gateway.admin.describe import Picture, drill
from gateway.admin.documents import DrillDocument, ErrorDocument, ExplainDocument, FailbackDocument, TunnelDocument
from gateway.admin.names import unknown
from gateway.admin.operations import Operations
from gateway.admin.rates import Rates
from gateway.admin.readiness import Phase
from gateway.admin.serving import get
from gateway.admin.stats import StatsView
from gateway.config import durations
from gateway.errors import OperationError, UnknownNameError
from gateway.model import AdminState, ControlView

_JSON: Final = "application/json"
_TUNNEL: Final = "/api/v1/tunnels/{name}"
_FAILBACK: Final = "/api/v1/failback/{name}"

_DRILL_SECONDS: Final = 10.0  # when nobody says
_LONGEST_DRILL: Final = 3600.0
_LONGEST_DRAIN: Final = 7 * 86_400.0

Asker = Callable[[web.Request], str]
"""Who makes a request, in words for the log."""

_Change = Callable[[web.Request, str], Awaitable[Mapping[str, object]]]


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


class Api:
    """The routes of /api/v1, for any number of servers."""

    def __init__(self, sources: ApiSources, operations: Operations) -> None:
        self._sources = sources
        self._operations = operations
        self._one_status = asyncio.Lock()

    def questions(self) -> list[web.RouteDef]:
        """What can be asked without changing anything."""
        return [get("/api/v1/status", self._status), get("/api/v1/explain/{name}", self._explain)]

    def changes(self, asker: Asker) -> list[web.RouteDef]:
        """What an operator can have done; `asker` says who it is, and raises web.HTTPException for who may not."""

        def post(path: str, change: _Change) -> web.RouteDef:
            async def handler(request: web.Request) -> web.Response:
                if hdrs.ORIGIN in request.headers:
                    return _error("a browser may change nothing here", HTTPStatus.FORBIDDEN)
                return await _answer(change(request, asker(request)))

            return web.post(path, handler)

        changes: dict[str, _Change] = {
            f"{_TUNNEL}/enable": partial(self._set_admin, AdminState.ENABLED),
            f"{_TUNNEL}/disable": partial(self._set_admin, AdminState.DISABLED),
            f"{_TUNNEL}/drain": self._drain,
            f"{_TUNNEL}/drill": self._drill,
            _FAILBACK: self._failback,
        }
        return [post(path, change) for path, change in changes.items()]

    @staticmethod
    def refused_changes(control: Callable[[], Path | None]) -> list[web.RouteDef]:
        """The same paths where nothing can be changed: the answer names the socket where it can, `control`."""

        async def handler(_request: web.Request) -> web.Response:
            place = control()
            how = "this gateway has none: see [admin] socket" if place is None else f"here that is {place}"
            return _error(f"changes are made through the control socket only; {how}", HTTPStatus.FORBIDDEN)

        verbs = ("enable", "disable", "drain", "drill")
        return [web.post(path, handler) for path in (*(f"{_TUNNEL}/{verb}" for verb in verbs), _FAILBACK)]

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
        return await _answer(self._explained(request.match_info["name"]))

    async def _explained(self, name: str) -> ExplainDocument:
        picture = self._picture()
        found = next((forward for forward in picture.view.forwards if forward.name == name), None)
        if found is None:
            raise await _unknown("forward", name, [forward.name for forward in picture.view.forwards])
        return picture.explain(found)

    def _picture(self) -> Picture:
        ask = self._sources
        return Picture(view=ask.view(), stats=ask.stats(), rates=ask.rates(), now=ask.clock())

    # ---------------------------------------------------------------- changes

    async def _set_admin(self, admin: AdminState, request: web.Request, by: str) -> TunnelDocument:
        await _body(request, key=None)
        name = await self._tunnel(request)
        changed = await self._operations.set_admin(name, admin, timeout=None, by=by)
        return self._picture().tunnel(changed)

    async def _drain(self, request: web.Request, by: str) -> TunnelDocument:
        timeout = _duration(await _body(request, key="timeout"), "timeout", at_most=_LONGEST_DRAIN)
        name = await self._tunnel(request)
        changed = await self._operations.set_admin(name, AdminState.DRAINING, timeout=timeout, by=by)
        return self._picture().tunnel(changed)

    async def _drill(self, request: web.Request, by: str) -> DrillDocument:
        seconds = _duration(await _body(request, key="for"), "for", at_most=_LONGEST_DRILL)
        if seconds == 0.0:
            raise _BadRequestError('"for": a drill lasts longer than nothing')
        name = await self._tunnel(request)
        seconds = _DRILL_SECONDS if seconds is None else seconds
        return drill(await self._operations.drill(name, seconds=seconds, by=by))

    async def _failback(self, request: web.Request, by: str) -> FailbackDocument:
        await _body(request, key=None)
        name, view = request.match_info["name"], self._sources.view()
        names = [tunnel.name for tunnel in view.tunnels] + [forward.name for forward in view.forwards]
        if name not in names:
            raise await _unknown("tunnel or forward", name, list(dict.fromkeys(names)))
        return {"name": name, "moved": list(await self._operations.failback(name, by=by))}

    async def _tunnel(self, request: web.Request) -> str:
        """The tunnel that the path names. Raises UnknownNameError."""
        name, names = request.match_info["name"], [tunnel.name for tunnel in self._sources.view().tunnels]
        if name not in names:
            raise await _unknown("tunnel", name, names)
        return name


class _BadRequestError(Exception):
    """What was asked cannot be understood; the text says what can."""


async def _answer(document: Awaitable[Mapping[str, object]]) -> web.Response:
    """`document` as JSON, or why there is none."""
    try:
        return web.json_response(await document)
    except _BadRequestError as exc:
        return _error(str(exc), HTTPStatus.BAD_REQUEST)
    except UnknownNameError as exc:
        return _error(str(exc), HTTPStatus.NOT_FOUND)
    except OperationError as exc:
        return _error(str(exc), HTTPStatus.CONFLICT)


def _error(text: str, status: HTTPStatus) -> web.Response:
    document: ErrorDocument = {"error": text}
    return web.json_response(document, status=status)


async def _unknown(kind: str, name: str, known: list[str]) -> UnknownNameError:
    """In a thread: to compare a name with ten thousand others takes a while."""
    return UnknownNameError(await asyncio.to_thread(unknown, kind, name, known))


async def _body(request: web.Request, *, key: str | None) -> object:
    """The value of the only key that the request's JSON object may have; None if it has none, or there is no body."""
    raw = await request.read()
    if not raw.strip():
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise _BadRequestError("the body is no JSON") from exc
    if not isinstance(body, dict):
        raise _BadRequestError("the body is no JSON object")
    extra = next((each for each in body if each != key), None)
    if extra is not None:
        allowed = "none is known here" if key is None else f'only "{key}" is'
        raise _BadRequestError(f"the key {json.dumps(extra)} is unknown: {allowed}")
    return None if key is None else body.get(key)


def _duration(value: object, key: str, *, at_most: float) -> float | None:
    """The seconds of a duration as configuration files have them; None for none."""
    if value is None:
        return None
    try:
        seconds = durations.parse(value)
    except ValueError as exc:
        raise _BadRequestError(f'"{key}": {exc}') from exc
    if seconds > at_most:
        raise _BadRequestError(f'"{key}": at most {durations.render(at_most)}')
    return seconds
