"""What the clients of managed tunnels share: the hands on the kernel's devices and routes, and a place of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Protocol

from gateway.model import IPAddress

IPInterface = IPv4Interface | IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A device of the kernel. `kind` is rtnetlink's ("tun", "wireguard", "xfrm", "veth"), empty for none.

    `ours`: a gateway has made it, this one or one that was killed.
    """

    index: int
    name: str
    kind: str
    mtu: int
    up: bool
    addresses: tuple[IPInterface, ...] = ()
    ours: bool = False


class Links(Protocol):
    """Makes and changes devices. Everything raises LinkError, whose text says what was refused and why.

    Errors of permission name the capability that is missing.
    """

    async def find(self, name: str) -> Link | None:
        """The device of this name; None when there is none."""

    async def holding(self, address: IPAddress) -> Link | None:
        """The device that has this address; None when there is none."""

    async def make_tun(self, name: str) -> None:
        """A persistent tun device that a client may open by name; one that is there already is kept, if it is ours."""

    async def make(self, name: str, kind: str, *, if_id: int | None = None, parent: int | None = None) -> None:
        """A device of `kind` "wireguard" or "xfrm". Raises LinkError with ENOTSUP or EOPNOTSUPP without that kind."""

    async def remove(self, name: str) -> None:
        """Delete a device; nothing when there is none."""

    async def rename(self, index: int, name: str) -> None:
        """Give a device another name, whether it is up or not; it keeps its addresses."""

    async def configure(
        self, name: str, *, addresses: Sequence[IPInterface] | None = None, mtu: int | None = None
    ) -> None:
        """Have the device up, with exactly these addresses (None: as they are) and this MTU (None: as it is)."""

    async def filter_paths(self, name: str, number: int) -> int:
        """Set the device's reverse-path filter (IPv4; `path_filter`), and return what it was."""


class Roads(Protocol):
    """The routes and rules of the tunnels whose `routes` are managed; of others it does nothing."""

    async def expect(self, tunnel: str, addresses: tuple[IPAddress, ...]) -> None:
        """The tunnel's device is about to have these addresses. What is sent from them will not leave elsewhere.

        Sessions of an earlier connection may still be sent to, as soon as the address is back: the kernel's answer
        (RST) belongs to no socket, and is bound to no device. Raises LinkError, also for addresses that no tunnel can
        have.
        """

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        """The tunnel's device is up with these addresses: what its forwards need is routed when this returns.

        Raises LinkError.
        """

    async def close(self, tunnel: str) -> None:
        """The connection has ended. What keeps its traffic from leaving elsewhere stays until the gateway ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """`runtime` is a private directory (0700) for sockets of children; it is removed when the gateway ends."""

    links: Links
    roads: Roads
    runtime: Path
