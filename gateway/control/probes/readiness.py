"""Waiting for one event on one descriptor of the running loop.

uvloop gives up its watch of a descriptor on which epoll sees an error, after one last call: that call is all that is
needed here, and what it was about is asked of the socket.
"""

from __future__ import annotations

import asyncio
import socket


async def writable(sock: socket.socket) -> None:
    """Return when `sock` can be written to, or has failed."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(sock, _ready, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sock)


async def readable(sock: socket.socket) -> None:
    """Return when there is something to read on `sock`, or it has failed."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(sock, _ready, ready)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


def _ready(waiter: asyncio.Future[None]) -> None:
    """The event may be told again before the waiter has run, or after it was cancelled."""
    if not waiter.done():
        waiter.set_result(None)
