"""What an answer is; and asking the system's resolver, which blocks at will, in threads that nobody ever waits for.

The loop's own getaddrinfo will not do: its threads are few, questions that were given up stay in their queue, and the
process does not end before the last is answered. With name servers that are silent a drained gateway lived on for
minutes. Daemon threads die with the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

_MOST: Final = 32
"""Threads. Twice what the resolver asks at once: half of them may hang, and the others still work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A host's addresses as IP text, best first. `ttl`: seconds for which they are good; None: nobody said.

    `missing`: IP versions that were asked for without an answer, as opposed to those of which there are no addresses.
    """

    addresses: tuple[str, ...]
    ttl: float | None = None
    missing: frozenset[int] = frozenset()


Lookup = Callable[[str], Awaitable[Answer]]
"""Asks for one host. Raises OSError, or ValueError (UnicodeError is one) for what is no host name."""

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

    async def __call__(self, host: str) -> Answer:
        """The answer, without a TTL. Raises OSError, at once when too many questions are unanswered already.

        Cancelled, it leaves its thread behind, to be counted until the answer comes.
        """
        if self._asking >= self._most:
            raise OSError(f"{self._asking} earlier questions are not answered yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        question = threading.Thread(target=self._put, args=(host, loop, answer), name=f"resolve {host}", daemon=True)
        try:
            question.start()
        except RuntimeError as error:  # no thread to be had
            raise OSError(str(error)) from error
        self._asking += 1
        return await answer

    def _put(self, host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Answer]) -> None:
        """In a thread: ask, and hand over what comes of it."""
        found = Answer(addresses=())
        failure: Exception | None = None
        try:
            found = Answer(addresses=tuple(str(entry[4][0]) for entry in self._ask(host)))
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            failure = error
        try:
            loop.call_soon_threadsafe(self._hand_over, answer, found, failure)
        except RuntimeError:  # the loop is closed: nobody waits for the answer any more
            return

    def _hand_over(self, answer: asyncio.Future[Answer], found: Answer, failure: Exception | None) -> None:
        self._asking -= 1
        if answer.done():  # given up
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)
