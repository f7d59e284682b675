"""The HTTP endpoints: /healthz, /readyz, /metrics. Reading only, no secrets, nothing that a request could change."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import hdrs, web

from gateway.admin.metrics import Metrics
from gateway.admin.readiness import Phase, readiness
from gateway.errors import ListenError
from gateway.model import ControlView, ListenAddress, ReadyWhen
from gateway.observe.events import Event

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LONGEST: Final = 4096
"""Bytes of a request line, and of one header: nobody has business with more here."""

_MOST: Final = 64
"""Connections at once. Whoever reaches this address must not be able to use up the descriptors of the relay."""

_KEEPALIVE: Final = 75.0
"""Seconds that an idle connection is kept: above the usual scrape interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What /readyz asks, on the event loop's thread. `clock` is monotonic, the one of the view."""

    view: Callable[[], ControlView]
    phase: Callable[[], Phase]
    ready_when: Callable[[], ReadyWhen]
    clock: Callable[[], float] = time.monotonic


class AdminServer:
    """Answers on one listen address from `start` to `close`; may be started again afterwards, elsewhere."""

    def __init__(self, *, metrics: Metrics, questions: Questions) -> None:
        self._metrics = metrics
        self._questions = questions
        self._one_scrape = asyncio.Lock()
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._address: ListenAddress | None = None

    @property
    def address(self) -> ListenAddress | None:
        """Where it answers, with the real port where 0 was asked for; None while it does not."""
        return self._address

    async def start(self, listen: ListenAddress) -> None:
        """Bind `listen` and answer there. Raises ListenError, and is not started, when it cannot be bound."""
        bound = _bind(listen)
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEPALIVE,
            max_line_size=_LONGEST,
            max_field_size=_LONGEST,
            shutdown_timeout=1.0,
        )
        try:
            await runner.setup()
            self._listening = await asyncio.get_running_loop().create_server(_bounded(runner), sock=bound)
        except BaseException:
            bound.close()
            await runner.cleanup()
            raise
        self._runner = runner
        self._address = ListenAddress(listen.host, bound.getsockname()[1])
        log.info(Event.ADMIN_STARTED, listen=str(self._address))

    async def close(self) -> None:
        """Stop answering and close every connection. Closing again does nothing."""
        runner, address = self._runner, self._address
        listening, self._listening = self._listening, None
        self._runner = self._address = None
        if listening is not None:
            listening.close()
        if runner is not None:
            await runner.cleanup()
            log.info(Event.ADMIN_STOPPED, listen=str(address))

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[_errors_as_json], client_max_size=_LONGEST)
        app.router.add_get("/healthz", self._healthz, allow_head=False)
        app.router.add_get("/readyz", self._readyz, allow_head=False)
        app.router.add_get("/metrics", self._serve_metrics, allow_head=False)
        app.on_response_prepare.append(_say_nothing_of_the_server)
        return app

    async def _healthz(self, _request: web.Request) -> web.Response:
        """That this line runs is the answer: the loop turns."""
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        ask = self._questions
        answer = readiness(ask.view(), ask.phase(), ask.ready_when(), now=ask.clock())
        status = HTTPStatus.OK if answer.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(answer.body, status=status)

    async def _serve_metrics(self, request: web.Request) -> web.Response:
        async with self._one_scrape:  # several at once would only slow each other, and the relay
            answer = await asyncio.to_thread(
                self._metrics.render,
                self._metrics.gather(),
                accept=request.headers.get(hdrs.ACCEPT, ""),
                accept_encoding=request.headers.get(hdrs.ACCEPT_ENCODING, ""),
            )
        headers = {hdrs.CONTENT_TYPE: answer.content_type}
        if answer.encoding is not None:
            headers[hdrs.CONTENT_ENCODING] = answer.encoding
        return web.Response(body=answer.body, headers=headers)


def _bounded(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    """What makes the protocol of each connection: the runner's, beyond `_MOST` at the cost of the oldest.

    Not of the newest: who holds connections would have whoever asks after the gateway's health turned away, and a
    gateway that does not answer is restarted.
    """
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None  # noqa: S101 - the runner has been set up

    def close_the_oldest() -> None:
        for connection in server.connections[:-_MOST]:
            connection.force_close()

    def make() -> asyncio.Protocol:
        loop.call_later(0.0, close_the_oldest)  # when this one has been counted
        return server()

    return make


def _bind(listen: ListenAddress) -> socket.socket:
    """A bound socket, owned by the caller. Without a host: IPv6 and IPv4, or IPv4 alone where there is no IPv6."""
    try:
        if listen.host is not None:
            family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
            return socket.create_server((listen.host, listen.port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", listen.port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", listen.port))
    except OSError as exc:
        raise ListenError([("[admin] listen", str(listen), exc.strerror or str(exc))]) from exc


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What there is not, or not in this way, is said in JSON like everything else."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        headers = {hdrs.ALLOW: exc.headers[hdrs.ALLOW]} if hdrs.ALLOW in exc.headers else None
        return web.json_response({"error": exc.reason, "path": request.path}, status=exc.status, headers=headers)


async def _say_nothing_of_the_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
