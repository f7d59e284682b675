"""One conversation with a running gateway over its control socket: requests out, documents in.

Whatever goes wrong is a `VerbError`, whose text is for the person at the terminal.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway.admin.documents import DrillDocument, ExplainDocument, FailbackDocument, StatusDocument, TunnelDocument
from gateway.admin.places import default_socket
from gateway.verbs.errors import VerbError

_PATIENCE: Final = 10.0  # seconds for an answer
_CONNECT: Final = 2.0  # seconds for being accepted


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

    async def _ask(
        self, method: str, *steps: str, body: Mapping[str, str] | None = None, patience: float | None = _PATIENCE
    ) -> object:
        path = "/".join(quote(step, safe="") for step in steps)
        url = URL(f"http://gateway/api/v1/{path}", encoded=True)
        limits = aiohttp.ClientTimeout(total=patience, sock_connect=_CONNECT)
        try:
            async with self._session.request(method, url, json=body, timeout=limits) as answer:
                said, status = await answer.read(), answer.status
        except aiohttp.ClientConnectorError as exc:
            raise VerbError(f"no gateway answers at {self._path}: {exc.os_error.strerror or exc.os_error}") from exc
        except TimeoutError as exc:
            raise VerbError(f"the gateway at {self._path} did not answer in time") from exc
        except aiohttp.ClientError as exc:
            raise VerbError(f"what answers at {self._path} ended the conversation: {exc}") from exc
        try:
            document = json.loads(said)
        except ValueError as exc:
            raise VerbError(f"what answers at {self._path} is no gateway: it does not speak JSON") from exc
        if status == HTTPStatus.OK:
            return document
        why = document.get("error") if isinstance(document, dict) else None
        raise VerbError(f"{why or status}", usage=status == HTTPStatus.BAD_REQUEST)
