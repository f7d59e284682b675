"""A conversation with charon over vici, its control protocol, by strongSwan's own client library.

The library waits for each answer, so it does that in a thread, one for each conversation, never on the event loop's.
Cancelling whoever waits (as a deadline does) cuts it off, which ends the thread's wait: the conversation is over.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import vici
from vici.exception import CommandException, DeserializationException, EventUnknownException, SessionException

from gateway.errors import GatewayError

Value = str | int | bytes | Sequence[str | bytes] | Mapping[str, "Value"]
Message = Mapping[str, Value]
_T = TypeVar("_T")


class OrderRefusedError(GatewayError):
    """charon does not do what it was told; the text is its own."""


class OrdersLostError(GatewayError):
    """charon does not answer any more: it has ended, or the conversation was cut."""


class Orders:
    """An async context manager; `path` is charon's socket. One order at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._session = vici.Session(self._socket)
        self._thread = ThreadPoolExecutor(1, f"vici-{path.stem}")

    async def __aenter__(self) -> Self:
        """Raises OrdersLostError when nobody listens."""
        try:
            await self._ask(lambda: self._socket.connect(str(self._path)))
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    async def give(self, command: str, message: Message) -> None:
        """Have an order done. Raises OrderRefusedError, OrdersLostError."""
        await self._ask(lambda: self._session.request(command, message))

    async def give_streamed(self, command: str, event: str, message: Message) -> list[Mapping[str, object]]:
        """Have an order done, and return what it reports as `event` meanwhile. Raises as `give`."""
        return await self._ask(lambda: list(self._session.streamed_request(command, event, message)))

    async def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, question)
        except asyncio.CancelledError:
            self._cut()
            raise
        except CommandException as error:
            raise OrderRefusedError(str(error).removeprefix("Command failed: ")) from error
        except (OSError, SessionException, EventUnknownException, DeserializationException) as error:
            raise OrdersLostError(f"charon does not answer: {error}") from error

    def _cut(self) -> None:
        with suppress(OSError):  # it was not connected, or charon has hung up
            self._socket.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        self._cut()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._socket.close()
