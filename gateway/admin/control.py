"""The control socket: /api/v1 with its changes, for root and the gateway's own user on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from gateway.admin.api import Api
from gateway.admin.claim import Claim, claim
from gateway.admin.credentials import Peer, peer_of
from gateway.admin.places import default_socket
from gateway.admin.serving import Handler, Serving, application
from gateway.errors import ListenError

log = structlog.get_logger()

_LONGEST_BODY: Final = 64 * 1024


class ControlServer:
    """Answers on a Unix socket from `start` to `close`; may be started again afterwards, elsewhere."""

    def __init__(self, api: Api, *, env: Mapping[str, str] = os.environ) -> None:
        self._api = api
        self._env = env
        self._serving = Serving()
        self._claim: Claim | None = None

    @property
    def path(self) -> Path | None:
        """Where it answers; None while it does not."""
        return None if self._claim is None else self._claim.path

    async def start(self, configured: str | None) -> None:
        """Answer at `configured`, or without one at the default place.

        Raises ListenError, and is not started, when the configured place cannot be had. Without the default one it is
        not started either, and only a warning is logged: the gateway does its work without being asked.
        """
        if configured is not None:
            await self._listen(Path(configured))
            return
        place = default_socket(uid=os.geteuid(), env=self._env)
        if place is None:
            log.warning("control.unavailable", path=None, reason="there is no XDG_RUNTIME_DIR; see [admin] socket")
            return
        try:
            await self._listen(place)
        except ListenError as error:
            log.warning("control.unavailable", path=str(place), reason=error.failures[0][2])

    async def close(self) -> None:
        """Stop answering, and remove the socket's file if it is still ours. Closing again does nothing."""
        taken, self._claim = self._claim, None
        if taken is not None:
            taken.release()  # first: who finds the file is to be answered
            await self._serving.close()
            log.info("control.stopped", path=str(taken.path))

    async def _listen(self, path: Path) -> None:
        taken = claim(path)
        routes = [*self._api.questions(), *self._api.changes(_asker)]
        app = application(routes, longest_body=_LONGEST_BODY, middlewares=[_operators_only])
        try:
            await self._serving.start(app, taken.listening)
        except BaseException:
            taken.release()
            raise
        self._claim = taken
        log.info("control.started", path=str(path))


@web.middleware
async def _operators_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nobody else gets an answer, whatever the mode of the socket's file has become."""
    _operator(request)
    return await handler(request)


def _asker(request: web.Request) -> str:
    return str(_operator(request))


def _operator(request: web.Request) -> Peer:
    """The peer. Raises web.HTTPForbidden when it may not ask."""
    peer = peer_of(request.transport)
    if peer is None:
        raise web.HTTPForbidden(reason="the connection has ended")
    if not peer.may_operate:
        log.warning("control.refused", uid=peer.uid, pid=peer.pid)
        raise web.HTTPForbidden(reason=f"uid {peer.uid} may not: only root and uid {os.geteuid()}")
    return peer
