"""The HTTP endpoints over TCP: /healthz, /readyz, /metrics, and the questions of /api/v1.

Reading only, no secrets, nothing that a request could change: who asks is not known here.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from aiohttp import hdrs, web

from gateway.admin.api import Api
from gateway.admin.metrics import Metrics
from gateway.admin.readiness import Phase, readiness
from gateway.admin.serving import Serving, application, get
from gateway.errors import ListenError
from gateway.model import ControlView, ListenAddress, ReadyWhen
from gateway.observe.events import Event

log = structlog.get_logger()

_LONGEST_BODY: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """What /readyz asks, on the event loop's thread. `clock` is monotonic, the one of the view."""

    view: Callable[[], ControlView]
    phase: Callable[[], Phase]
    ready_when: Callable[[], ReadyWhen]
    clock: Callable[[], float] = time.monotonic


class AdminServer:
    """Answers on one listen address from `start` to `close`; may be started again afterwards, elsewhere.

    `control` is where the control socket is, to be told to those who would change something here.
    """

    def __init__(
        self,
        *,
        metrics: Metrics,
        questions: Questions,
        api: Api | None = None,
        control: Callable[[], Path | None] = lambda: None,
    ) -> None:
        self._metrics = metrics
        self._questions = questions
        self._api = api
        self._control = control
        self._one_scrape = asyncio.Lock()
        self._serving = Serving()
        self._address: ListenAddress | None = None

    @property
    def address(self) -> ListenAddress | None:
        """Where it answers, with the real port where 0 was asked for; None while it does not."""
        return self._address

    async def start(self, listen: ListenAddress) -> None:
        """Bind `listen` and answer there. Raises ListenError, and is not started, when it cannot be bound."""
        bound = _bind(listen)
        address = ListenAddress(listen.host, bound.getsockname()[1])
        await self._serving.start(application(self._routes(), longest_body=_LONGEST_BODY), bound)
        self._address = address
        log.info(Event.ADMIN_STARTED, listen=str(address))

    async def close(self) -> None:
        """Stop answering and close every connection. Closing again does nothing."""
        address, self._address = self._address, None
        if address is not None:
            await self._serving.close()
            log.info(Event.ADMIN_STOPPED, listen=str(address))

    def _routes(self) -> list[web.RouteDef]:
        own = [
            get("/healthz", self._healthz),
            get("/readyz", self._readyz),
            get("/metrics", self._serve_metrics),
        ]
        if self._api is None:
            return own
        return [*own, *self._api.questions(), *self._api.refused_changes(self._control)]

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
