"""One conversation with a running gateway over its control socket: requests out, documents in.

Whatever goes wrong is a `VerbError`, whose text is for the person at the terminal.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from gateway.admin.documents import (
    ActivitiesDocument,
    ActivityDocument,
    ConnectionDocument,
    DrillDocument,
    ExplainDocument,
    FailbackDocument,
    LineDocument,
    LogsDocument,
    StatusDocument,
    TunnelDocument,
)
from gateway.admin.places import default_socket
from gateway.verbs.errors import VerbError

_PATIENCE: Final = 10.0  # seconds for an answer
_CONNECT: Final = 2.0  # seconds for being accepted
_SILENCE: Final = 50.0  # seconds; a stream says something every 15, be it an empty line

Parameters = Mapping[str, str]
"""What is asked of the book: `tunnel`, `since`, `level`, `grep`, `after`, `before`, `limit`; each may be left out."""


def place(named: Path | None) -> Path:
    """Where the gateway is asked: at `named`, else at the default place. Raises VerbError when there is none."""
    found = named or default_socket(uid=os.geteuid(), env=os.environ)
    if found is None:
        raise VerbError(
            "where is the gateway? There is no default place for its socket without XDG_RUNTIME_DIR: "
            "name it by --socket PATH or GATEWAY_SOCKET"
        )
    return found


@asynccontextmanager
async def gateway_at(path: Path) -> AsyncIterator[Asking]:
    """The gateway that answers at `path`; nothing is asked before its methods are called."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path))) as session:
        yield Asking(session, path)


class Asking:
    """What can be asked. Every method raises VerbError: nobody answers, or the gateway says no."""

    def __init__(self, session: aiohttp.ClientSession, path: Path) -> None:
        self._session = session
        self._path = path

    async def status(self) -> StatusDocument:
        """How everything is."""
        return cast("StatusDocument", await self._ask("GET", "status"))

    async def explain(self, forward: str) -> ExplainDocument:
        """Why a forward takes the tunnel that it takes."""
        return cast("ExplainDocument", await self._ask("GET", "explain", forward))

    async def enable(self, tunnel: str) -> TunnelDocument:
        """Let new sessions use the tunnel again."""
        return cast("TunnelDocument", await self._ask("POST", "tunnels", tunnel, "enable"))

    async def disable(self, tunnel: str) -> TunnelDocument:
        """Take the tunnel out, its sessions at once."""
        return cast("TunnelDocument", await self._ask("POST", "tunnels", tunnel, "disable"))

    async def drain(self, tunnel: str, timeout: str | None) -> TunnelDocument:  # noqa: ASYNC109 - of the drain
        """Take the tunnel out, and let its sessions end until `timeout`, a duration as in configuration files."""
        body = {} if timeout is None else {"timeout": timeout}
        return cast("TunnelDocument", await self._ask("POST", "tunnels", tunnel, "drain", body=body))

    async def failback(self, name: str) -> FailbackDocument:
        """Have new sessions return now, to the tunnel `name` or of the forward `name`."""
        return cast("FailbackDocument", await self._ask("POST", "failback", name))

    async def drill(self, tunnel: str, lasting: str) -> DrillDocument:
        """Take the tunnel out on purpose for a while; returns when it is over."""
        answer = await self._ask("POST", "tunnels", tunnel, "drill", body={"for": lasting}, patience=None)
        return cast("DrillDocument", answer)

    # ---------------------------------------------------------------- VPN clients

    async def tunnel(self, tunnel: str) -> TunnelDocument:
        """How one tunnel is."""
        return cast("TunnelDocument", await self._ask("GET", "tunnels", tunnel))

    async def connect(self, tunnel: str) -> ConnectionDocument:
        """Have its VPN client connect; where that stands now."""
        return cast("ConnectionDocument", await self._ask("POST", "tunnels", tunnel, "connect"))

    async def disconnect(self, tunnel: str) -> ConnectionDocument:
        """Have its VPN client stop, or its attempt cancelled; where that stands now."""
        return cast("ConnectionDocument", await self._ask("POST", "tunnels", tunnel, "disconnect"))

    # ---------------------------------------------------------------- the book

    async def logs(self, parameters: Parameters) -> LogsDocument:
        """One page of what VPN clients said."""
        return cast("LogsDocument", await self._ask("GET", "logs", parameters=parameters))

    async def activity(self, parameters: Parameters) -> ActivitiesDocument:
        """One page of what happened."""
        return cast("ActivitiesDocument", await self._ask("GET", "activity", parameters=parameters))

    def logs_followed(self, parameters: Parameters) -> AsyncGenerator[LineDocument, None]:
        """What VPN clients say, as they say it. For ever: its end is a VerbError, for the gateway has gone."""
        return cast("AsyncGenerator[LineDocument, None]", self._follow("logs", parameters))

    def activity_followed(self, parameters: Parameters) -> AsyncGenerator[ActivityDocument, None]:
        """What happens, as it happens; as `logs_followed`."""
        return cast("AsyncGenerator[ActivityDocument, None]", self._follow("activity", parameters))

    # ---------------------------------------------------------------- requests

    async def _ask(
        self,
        method: str,
        *steps: str,
        body: Mapping[str, str] | None = None,
        parameters: Parameters | None = None,
        patience: float | None = _PATIENCE,
    ) -> object:
        limits = aiohttp.ClientTimeout(total=patience, sock_connect=_CONNECT)
        request = self._session.request(method, _url(*steps, **parameters or {}), json=body, timeout=limits)
        async with self._talking(), request as answer:
            said, status = await answer.read(), answer.status
        document = self._document(said)
        if status == HTTPStatus.OK:
            return document
        raise _refusal(document, status)

    async def _follow(self, what: str, parameters: Parameters) -> AsyncGenerator[object, None]:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
        request = self._session.get(_url(what, "stream", **parameters), timeout=limits)
        async with self._talking(), request as answer:
            if answer.status != HTTPStatus.OK:
                raise _refusal(self._document(await answer.read()), answer.status)
            async for line in answer.content:
                if line.strip():  # an empty one is a heartbeat
                    yield self._document(line)
        raise VerbError(f"the gateway at {self._path} has ended: there is nobody to follow any more")

    @asynccontextmanager
    async def _talking(self) -> AsyncIterator[None]:
        """What goes wrong in a conversation, in words."""
        try:
            yield
        except aiohttp.ClientConnectorError as exc:
            raise VerbError(f"no gateway answers at {self._path}: {exc.os_error.strerror or exc.os_error}") from exc
        except TimeoutError as exc:
            raise VerbError(f"the gateway at {self._path} did not answer in time") from exc
        except aiohttp.ClientError as exc:
            raise VerbError(f"what answers at {self._path} ended the conversation: {exc}") from exc

    def _document(self, said: bytes) -> object:
        try:
            return json.loads(said)
        except ValueError as exc:
            raise VerbError(f"what answers at {self._path} is no gateway: it does not speak JSON") from exc


def _url(*steps: str, **parameters: str) -> URL:
    path = "/".join(quote(step, safe="") for step in steps)
    return URL(f"http://gateway/api/v1/{path}?{urlencode(parameters)}", encoded=True)


def _refusal(document: object, status: int) -> VerbError:
    why = document.get("error") if isinstance(document, dict) else None
    return VerbError(f"{why or status}", usage=status == HTTPStatus.BAD_REQUEST)
