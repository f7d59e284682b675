"""Asking the system's resolver, which blocks for as long as it likes, in threads that nobody ever waits for.

The loop's own getaddrinfo will not do: its threads are few, questions that were given up stay in their queue, and the
process does not end before the last is answered. With name servers that are silent a drained gateway lived on for
minutes. Daemon threads die with the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

_MOST: Final = 32
"""Threads. Twice what the resolver asks at once: half of them may hang, and the others still work."""

Ask = Callable[[str], list[Any]]


def _ask(host: str) -> list[Any]:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)


class SystemLookup:
    """What the system's resolver says of a host, in its order (RFC 6724). Belongs to one event loop."""

    def __init__(self, *, most: int = _MOST, ask: Ask = _ask) -> None:
        """At most `most` threads are in `ask` at once, those that were given up included."""
        self._most = most
        self._ask = ask
        self._asking = 0

    async def __call__(self, host: str) -> list[str]:
        """Addresses as IP text. Raises OSError, at once when too many questions are unanswered already.

        Cancelled, it leaves its thread behind, to be counted until the answer comes.
        """
        if self._asking >= self._most:
            raise OSError(f"{self._asking} earlier questions are not answered yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()
        question = threading.Thread(target=self._put, args=(host, loop, answer), name=f"resolve {host}", daemon=True)
        try:
            question.start()
        except RuntimeError as error:  # no thread to be had
            raise OSError(str(error)) from error
        self._asking += 1
        return await answer

    def _put(self, host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[list[str]]) -> None:
        """In a thread: ask, and hand over what comes of it."""
        found: list[str] = []
        failure: Exception | None = None
        try:
            found = [str(entry[4][0]) for entry in self._ask(host)]
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            failure = error
        try:
            loop.call_soon_threadsafe(self._hand_over, answer, found, failure)
        except RuntimeError:  # the loop is closed: nobody waits for the answer any more
            return

    def _hand_over(self, answer: asyncio.Future[list[str]], found: list[str], failure: Exception | None) -> None:
        self._asking -= 1
        if answer.done():  # given up
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)
