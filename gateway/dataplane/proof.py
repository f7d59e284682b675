"""Proof, before a dial, that a socket bound to a path leaves through the tunnel.

The kernel itself refuses a socket that is bound to an interface index which no longer exists or is down. What it cannot
know is whether that index is still the device the operator named: a device may be renamed, and another take its name.
So the name is asked for its index and flags (netdevice(7)), once per tunnel and batch of events.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from enum import StrEnum
from typing import Final, Self

from gateway.model import Path

_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFINDEX: Final = 0x8933
_IFREQ: Final = struct.Struct("16si20x")  # struct ifreq: name, then a union that starts with an int or a short
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40  # operational: carrier is there, or the device has no notion of it (netdevice(7))


class Refusal(StrEnum):
    """Why a path is not proven."""

    DEVICE_GONE = "device_gone"
    DEVICE_REPLACED = "device_replaced"
    LINK_DOWN = "link_down"
    CARRIER_LOST = "carrier_lost"


class PathProof:
    """Asks the kernel about devices. Owns one descriptor; `close` it."""

    __slots__ = ("_socket",)

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def refusal(self, path: Path) -> Refusal | None:
        """None when `path.interface` is up and still the device with index `path.ifindex`; else why not."""
        name = path.interface.encode()
        try:
            index = self._ask(_SIOCGIFINDEX, name)
            flags = self._ask(_SIOCGIFFLAGS, name) & 0xFFFF
        except OSError:  # ENODEV; whatever else it is, nothing is proven
            return Refusal.DEVICE_GONE
        if index != path.ifindex:
            return Refusal.DEVICE_REPLACED
        if not flags & _IFF_UP:
            return Refusal.LINK_DOWN
        if not flags & _IFF_RUNNING:
            return Refusal.CARRIER_LOST
        return None

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: int, name: bytes) -> int:
        answer = fcntl.ioctl(self._socket, request, _IFREQ.pack(name, 0))
        value: int = _IFREQ.unpack(answer)[1]
        return value
