"""Ports of 127.0.0.1 that stay ours before anybody listens on them.

A port that was free a moment ago may be the source port of somebody's connection now. A reserved one is bound by a
socket that never listens: the kernel then gives it to nobody by itself, while a server that sets SO_REUSEADDR, as
all do, may listen on it.
"""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self


class ReservedPorts:
    """A port for each name, the same for as long as this is open."""

    def __init__(self, *names: str) -> None:
        self._sockets = {name: _bound() for name in names}

    def __getitem__(self, name: str) -> int:
        port: int = self._sockets[name].getsockname()[1]
        return port

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held in self._sockets.values():
            held.close()


def _bound() -> socket.socket:
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
