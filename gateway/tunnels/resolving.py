"""The addresses of a VPN server's name, asked for in a thread that nobody waits for.

The loop's own getaddrinfo will not do: the process does not end before its last question is answered, and with name
servers that are silent that takes minutes. Daemon threads die with the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final, TypeVar

from gateway.errors import GatewayError
from gateway.model import IPAddress

_PATIENCE: Final = 5.0  # seconds
_MOST: Final = 4
"""Questions without an answer: a resolver that hangs is not asked by ever more threads."""

Ask = Callable[[str], Sequence[str]]
"""The addresses of a host, best first. Blocks. Raises OSError, or UnicodeError for what is no host name."""

_T = TypeVar("_T")


class UnresolvedError(GatewayError):
    """A name has no address, or nobody says so in time. The text names it."""


def _ask(host: str) -> Sequence[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)]


class Resolver:
    """Asks the system's resolver. Belongs to one event loop."""

    def __init__(self, ask: Ask = _ask) -> None:
        self._ask = ask
        self._unanswered = 0

    async def addresses(self, host: str) -> Sequence[IPAddress]:
        """The addresses of a host, best first, at least one; of an address, itself. Takes 5 s at most.

        Raises UnresolvedError. Cancelled, it leaves its thread behind, to be counted until the answer comes.
        """
        try:
            return (ip_address(host),)
        except ValueError:
            pass  # a name
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await self._answer(host)
        except TimeoutError:
            raise UnresolvedError(f"{host} could not be resolved within {_PATIENCE:g} s") from None
        except OSError as error:
            raise UnresolvedError(f"{host} cannot be resolved: {error.strerror or error}") from error
        return tuple(dict.fromkeys(map(ip_address, found)))

    async def _answer(self, host: str) -> Sequence[str]:
        """Raises OSError."""
        if self._unanswered >= _MOST:
            raise OSError(f"{self._unanswered} earlier questions are not answered yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        question = threading.Thread(target=self._put, args=(host, loop, answer), name=f"resolve {host}", daemon=True)
        try:
            question.start()
        except RuntimeError as error:  # no thread to be had
            raise OSError(str(error)) from error
        self._unanswered += 1
        return await answer

    def _put(self, host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Sequence[str]]) -> None:
        """In the thread: ask, and hand over what comes of it."""
        found: Sequence[str] = ()
        failure: OSError | None = None
        try:
            found = self._ask(host)
        except OSError as error:
            failure = error
        except UnicodeError:
            failure = OSError("no host name")
        try:
            loop.call_soon_threadsafe(self._hand_over, answer, found, failure)
        except RuntimeError:  # the loop is closed: nobody waits for the answer any more
            return

    def _hand_over(self, answer: asyncio.Future[Sequence[str]], found: Sequence[str], failure: OSError | None) -> None:
        self._unanswered -= 1
        if answer.done():  # given up
            return
        if failure is None:
            answer.set_result(found)
        else:
            answer.set_exception(failure)


def following(address: _T, addresses: Sequence[_T]) -> _T:
    """The one to try after `address` got no answer: the next one of the name, or the first of those that it has now."""
    if address not in addresses:
        return addresses[0]
    return addresses[(addresses.index(address) + 1) % len(addresses)]
