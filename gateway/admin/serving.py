"""What every server of the admin side shares: how it listens, what it bounds, and how it says no."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

STOPPING: Final = web.AppKey("stopping", asyncio.Event)
"""Of an application: set when it stops. An answer that has no end of its own ends then."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LONGEST: Final = 4096
"""Bytes of a request line, and of one header: nobody has business with more here."""

_MOST: Final = 64
"""Connections at once. Whoever reaches this address must not be able to use up the descriptors of the relay."""

_KEEPALIVE: Final = 75.0
"""Seconds that an idle connection is kept: above the usual scrape interval."""


class Serving:
    """An application behind one listening socket, from `start` to `close`; may be started again afterwards."""

    def __init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    async def start(self, app: web.Application, bound: socket.socket) -> None:
        """Answer on `bound`, and take ownership of it: it is closed if this fails, too."""
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_KEEPALIVE,
            max_line_size=_LONGEST,
            max_field_size=_LONGEST,
            shutdown_timeout=1.0,
        )
        loop = asyncio.get_running_loop()
        try:
            await runner.setup()
            if bound.family == socket.AF_UNIX:
                self._listening = await loop.create_unix_server(_bounded(runner), sock=bound)
            else:
                self._listening = await loop.create_server(_bounded(runner), sock=bound)
        except BaseException:
            bound.close()
            await runner.cleanup()
            raise
        self._runner = runner

    async def close(self) -> None:
        """Stop answering and close every connection. Closing again does nothing."""
        runner, self._runner = self._runner, None
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        if runner is not None:
            await runner.cleanup()


def application(
    routes: Sequence[web.RouteDef], *, longest_body: int, middlewares: Sequence[Middleware] = ()
) -> web.Application:
    """An application that says its errors in JSON, and nothing of the server. `longest_body` is in bytes."""
    app = web.Application(middlewares=[_errors_as_json, *middlewares], client_max_size=longest_body)
    app.router.add_routes(routes)
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_say_that_it_stops)
    app.on_response_prepare.append(_say_nothing_of_the_server)
    return app


def get(path: str, handler: Handler) -> web.RouteDef:
    """A route that answers GET, and not HEAD."""
    return web.get(path, handler, allow_head=False)


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


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What there is not, or not in this way, is said in JSON like everything else."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        headers = {hdrs.ALLOW: exc.headers[hdrs.ALLOW]} if hdrs.ALLOW in exc.headers else None
        return web.json_response({"error": exc.reason, "path": request.path}, status=exc.status, headers=headers)


async def _say_that_it_stops(app: web.Application) -> None:
    app[STOPPING].set()


async def _say_nothing_of_the_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall(hdrs.SERVER, None)
