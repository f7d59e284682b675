"""WireGuard in the kernel: a device of the kind "wireguard", told everything over generic netlink.

The device outlives the process that made it. One of ours that was left behind is known by its key: it is this tunnel's,
or there is none yet. One with another key is somebody else's, and is left alone.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, Self, TypeVar

from gateway.errors import LinkError
from gateway.model import FailureReason
from gateway.tunnels.tools import Links
from gateway.tunnels.wireguard import messages
from gateway.tunnels.wireguard.device import Address, DeviceError, Peering, Reading
from gateway.tunnels.wireguard.messages import Told
from gateway.tunnels.wireguard.netlink import Family

KIND: Final = "wireguard"

_T = TypeVar("_T")
_GONE: Final = frozenset({errno.ENODEV, errno.EOPNOTSUPP})  # no such device, or it is of another kind by now
_FORBIDDEN: Final = frozenset({errno.EPERM, errno.EACCES})


class Conversation(Protocol):
    """What `netlink.Family` is."""

    def order(self, message: bytes) -> None:
        """Send it, and return when it is carried out."""

    def dump(self, message: bytes) -> list[bytes]:
        """All answers to it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class KernelDevice:
    """A `device.Device`. `public_key` is that of the tunnel's private key."""

    def __init__(
        self, name: str, public_key: str, links: Links, converse: Callable[[str], Conversation] = Family
    ) -> None:
        self._name = name
        self._public_key = public_key
        self._links = links
        self._converse = converse
        self._made = False
        self._speaking = threading.Lock()  # what was cancelled goes on in its thread: who takes it back has to wait

    async def open(self) -> None:
        """Make it, unless it is there. Raises LinkError with EOPNOTSUPP where the kernel has no WireGuard."""
        found = await self._links.find(self._name)
        if found is not None and found.kind == KIND and self._made:
            return
        self._made = False
        if found is not None:
            await self._remove_left_over(found.kind)
        self._made = True  # from here on, since what was begun goes on where this is cancelled
        try:
            await self._links.make(self._name, KIND)
        except LinkError:
            self._made = False
            raise

    async def begin(self, peering: Peering) -> None:
        """See `device.Device`."""
        await self._order(messages.begin(self._name, peering))

    async def move(self, public_key: str, address: Address) -> None:
        """See `device.Device`."""
        await self._order(messages.move(self._name, public_key, address))

    async def keep_alive(self, public_key: str, seconds: int) -> None:
        """See `device.Device`."""
        await self._order(messages.keep_alive(self._name, public_key, seconds))

    async def read(self) -> Reading:
        """See `device.Device`."""
        return (await self._told()).reading

    async def forget(self) -> None:
        """See `device.Device`."""
        await self._order(messages.forget(self._name))

    async def ended(self) -> str:
        """Never: there is no process. A device that somebody has deleted is missed by the next `read`."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    async def close(self) -> None:
        """Remove it, if it is there and ours."""
        if self._made:
            self._made = False
            with suppress(LinkError):  # one that stays is known by its key, and removed before another is made
                await self._links.remove(self._name)

    async def _remove_left_over(self, kind: str) -> None:
        if kind != KIND:
            raise DeviceError(
                FailureReason.CONFIGURATION,
                f"a device called {self._name} exists and is a {kind or 'physical'} device that the gateway has not "
                "made: delete it, or give the tunnel another interface",
            )
        key = (await self._told()).public_key
        if key not in (None, self._public_key):
            raise DeviceError(
                FailureReason.CONFIGURATION,
                f"a device called {self._name} exists and is a WireGuard device with another key (its public key is "
                f"{key}): delete it, or give the tunnel another interface",
            )
        await self._links.remove(self._name)

    async def _order(self, message: bytes) -> None:
        await self._speak(lambda kernel: kernel.order(message))

    async def _told(self) -> Told:
        question = messages.ask(self._name)
        return await self._speak(lambda kernel: messages.told(kernel.dump(question)))

    async def _speak(self, say: Callable[[Conversation], _T]) -> _T:
        """What comes of a conversation, in a thread: it waits for locks of the kernel. Raises DeviceError."""

        def conversation() -> _T:
            with self._speaking, self._converse(messages.FAMILY) as kernel:
                return say(kernel)

        try:
            return await asyncio.to_thread(conversation)
        except OSError as error:
            raise _failure(self._name, error) from error


def lacks(error: LinkError) -> bool:
    """Whether a device could not be made because the kernel has no such kind."""
    return error.number in {errno.EOPNOTSUPP, errno.ENOTSUP}


def _failure(name: str, error: OSError) -> DeviceError:
    if error.errno in _GONE:
        return DeviceError(FailureReason.CLIENT_DIED, f"somebody has deleted the device {name}")
    text = f"the kernel's WireGuard refuses to set up {name}: {os.strerror(error.errno or 0)}"
    if error.errno in _FORBIDDEN:
        return DeviceError(FailureReason.NOT_PERMITTED, f"{text}: CAP_NET_ADMIN is missing")
    return DeviceError(FailureReason.OTHER, text)
