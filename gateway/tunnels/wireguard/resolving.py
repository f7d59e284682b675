"""The server's addresses: its name asked for in a thread that nobody waits for, and only those that a route leads to.

The loop's own getaddrinfo will not do: the process does not end before its last question is answered, and with name
servers that are silent that takes minutes. Daemon threads die with the process.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Final

from gateway.model import Endpoint, FailureReason
from gateway.tunnels.wireguard.device import Address, DeviceError

_PATIENCE: Final = 5.0  # seconds
_MOST: Final = 4
"""Questions without an answer: a resolver that hangs is not asked by ever more threads."""

Ask = Callable[[str], Sequence[str]]
"""The addresses of a host, best first. Blocks. Raises OSError, or UnicodeError for what is no host name."""


def _ask(host: str) -> Sequence[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)]


class Resolver:
    """Asks the system's resolver. Belongs to one event loop."""

    def __init__(self, ask: Ask = _ask) -> None:
        self._ask = ask
        self._unanswered = 0

    async def routed(self, server: Endpoint) -> Sequence[Address]:
        """Where the server may be, of that what a route leads to, best first, at least one. Raises DeviceError."""
        try:
            async with asyncio.timeout(_PATIENCE):
                hosts = (server.host,) if _is_address(server.host) else await self.addresses(server.host)
        except TimeoutError:
            text = f"{server.host} could not be resolved within {_PATIENCE:g} s"
            raise DeviceError(FailureReason.UNREACHABLE, text) from None
        except OSError as error:
            text = f"{server.host} cannot be resolved: {error.strerror or error}"
            raise DeviceError(FailureReason.UNREACHABLE, text) from error
        obstacles = {
            address: unreachable(address) for address in (Address(ip_address(it), server.port) for it in hosts)
        }
        routed = [address for address, why in obstacles.items() if why is None]
        if not routed:
            text = ", ".join(f"{address.ip}: {why}" for address, why in obstacles.items())
            raise DeviceError(FailureReason.UNREACHABLE, f"nothing can be sent to the server: {text}")
        return routed

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of a name, best first. Raises OSError.

        Cancelled, it leaves its thread behind, to be counted until the answer comes.
        """
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


def unreachable(address: Address) -> str | None:
    """Why no packet can be sent to this address; None where a route leads to it. Nothing is sent."""
    family = socket.AF_INET if address.ip.version == 4 else socket.AF_INET6  # noqa: PLR2004
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((str(address.ip), address.port))
        except OSError as error:
            return os.strerror(error.errno or 0)
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def following(address: Address, addresses: Sequence[Address]) -> Address:
    """The one to try after `address` got no answer: the next one of the name, or the first of those that it has now."""
    if address not in addresses:
        return addresses[0]
    return addresses[(addresses.index(address) + 1) % len(addresses)]
