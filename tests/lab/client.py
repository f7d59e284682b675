"""A client inside a namespace, bound to a device if so wished: what the lab's tests look at the tunnels with.

It knows nothing of the gateway. Errors are the kernel's own OSErrors; silence is TimeoutError.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.lab.corp import HTTP_PORT
from tests.lab.netns import Namespace
from tests.lab.topology import CORP_ADDRESS

_PATIENCE = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes

    @property
    def seen(self) -> str:
        """The address that the company's server saw. Raises ValueError if it is another page."""
        prefix, found, address = self.body.decode().strip().rpartition("\n")[2].partition("you=")
        if (prefix, found) != ("corp ", "you="):
            raise ValueError(f"not the company's page: {self.body[:80]!r}")
        return address


async def connect(
    space: Namespace,
    host: str,
    port: int,
    *,
    device: str | None = None,
    source: str | None = None,
    within: float = _PATIENCE,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a TCP connection from inside `space`. The caller closes the writer."""
    opened = space.open_socket(device=device)
    try:
        if source is not None:
            opened.bind((source, 0))
        async with asyncio.timeout(within):
            await asyncio.get_running_loop().sock_connect(opened, (host, port))
        return await asyncio.open_connection(sock=opened)
    except BaseException:
        opened.close()
        raise


async def fetch(
    space: Namespace,
    path: str = "/",
    *,
    host: str = CORP_ADDRESS,
    port: int = HTTP_PORT,
    device: str | None = None,
    source: str | None = None,
    within: float = _PATIENCE,
) -> Answer:
    """GET `path` on a connection of its own; `within` seconds for all of it."""
    async with asyncio.timeout(within):
        reader, writer = await connect(space, host, port, device=device, source=source, within=within)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            head, body = await reader.readuntil(b"\r\n\r\n"), await reader.read()
        finally:
            writer.close()
    return Answer(int(head.split(maxsplit=2)[1]), body)
