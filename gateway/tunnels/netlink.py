"""The one thread that changes devices, routes and rules, and the words for what the kernel refuses.

pyroute2's IPRoute blocks, and brings an event loop of its own that does not run inside uvloop's: it lives in a thread,
one for all tunnels, from the first question to `close`.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from gateway.errors import LinkError

_T = TypeVar("_T")

_RENEWED_AFTER: Final = 50
"""Questions. pyroute2 keeps a little of each for as long as its socket lives, and scatters the heap with it: a tunnel
that tries for weeks to connect would be felt. Another socket takes 2 ms, and leaves nothing behind.
"""


class Netlink:
    """Asks the kernel in a thread of its own. The methods are for the event loop's thread; `close` it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="links")
        self._socket: IPRoute | None = None  # touched by the worker thread only, as is what follows
        self._asked = 0
        self._closed = False

    async def ask(self, what: str, do: Callable[[IPRoute], _T]) -> _T:
        """What `do` returns, called in the thread. Raises LinkError, which begins with `what` was to be done.

        Cancelled, what was begun goes on: ask the kernel what became of it.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._do, what, do)

    async def close(self) -> None:
        """End the thread after what was asked, and give its socket back. Closing again does nothing."""
        if not self._closed:
            self._closed = True
            await asyncio.get_running_loop().run_in_executor(self._executor, self._hang_up)
            self._executor.shutdown(wait=False)

    def _hang_up(self) -> None:
        self._asked = 0
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _do(self, what: str, do: Callable[[IPRoute], _T]) -> _T:
        try:
            if self._asked == _RENEWED_AFTER:
                self._hang_up()
            if self._socket is None:
                self._socket = IPRoute()
            self._asked += 1
            return do(self._socket)
        except NetlinkError as error:
            raise refused(what, error.code) from error
        except OSError as error:
            raise refused(what, error.errno or 0) from error


def refused(what: str, number: int) -> LinkError:
    """The error for the errno `number`, met when `what` was to be done. Of permission it says what is missing."""
    why = "CAP_NET_ADMIN is missing" if number == errno.EPERM else os.strerror(number)
    return LinkError(f"cannot {what}: {why}", number)
