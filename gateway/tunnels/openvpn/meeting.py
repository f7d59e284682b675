"""The socket on which an OpenVPN process comes to take orders: a Unix socket of ours, to which the first is let in.

Its directory is private, and it is there for one connection only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.errors import LinkError

_PATIENCE: Final = 5.0  # seconds for the process to come

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Meeting:
    """What is said on the socket. Made by `meeting`."""

    def __init__(self) -> None:
        self._guest: asyncio.Queue[_Streams] = asyncio.Queue()
        self._all: list[asyncio.StreamWriter] = []
        self._writer: asyncio.StreamWriter | None = None

    def come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Somebody has connected: the first one is it."""
        self._all.append(writer)
        if len(self._all) == 1:
            self._guest.put_nowait((reader, writer))
        else:
            writer.close()

    def over(self) -> None:
        """Hang up."""
        for writer in self._all:
            writer.close()

    async def lines(self) -> AsyncIterator[str]:
        """What the process says, until it hangs up; nothing if it does not come within 5 s."""
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, self._writer = await self._guest.get()
        except TimeoutError:
            return
        while True:
            try:
                line = await reader.readline()
            except (ConnectionError, ValueError):  # gone, or a line without end
                return
            if not line:
                return
            yield line.decode(errors="replace").rstrip("\r\n")

    def order(self, *orders: str) -> None:
        """Tell it, a line each; nothing before it has said its first line."""
        if self._writer is not None:
            self._writer.write("".join(f"{order}\n" for order in orders).encode())


@asynccontextmanager
async def meeting(path: Path) -> AsyncIterator[Meeting]:
    """A socket at `path`, gone at the end of the block. Raises LinkError where none can be made."""
    found = Meeting()
    try:
        _remove(path)  # of a gateway that was killed
        server = await asyncio.start_unix_server(found.come, path)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise LinkError(f"the socket {path} cannot be made: {why}") from error
    try:
        yield found
    finally:
        server.close()
        found.over()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
