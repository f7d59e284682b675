"""Reading devices and addresses without netlink, for sandboxes that have none: the old ioctls of netdevice(7).

Less is known this way: nothing of routes, and carrier as IFF_RUNNING, which may follow it a second late. What is read
is the network namespace of the calling thread, whatever happens to be mounted on /sys.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from gateway.control.netlink import RouteQuestion
from gateway.model import LinkFacts

_SIOCGIFCONF: Final = 0x8912
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFMTU: Final = 0x8921
_SIOCGIFINDEX: Final = 0x8933
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40

_IFREQ: Final = struct.Struct("16si20x")  # name, then a union that starts with an int
_IFREQ_FLAGS: Final = struct.Struct("16sH22x")
_IFREQ_ADDRESS: Final = struct.Struct("16sHH4s16x")  # name, sockaddr_in: family, port, address
_IFCONF: Final = struct.Struct("@iP")  # length and place of an array of ifreq
_IFCONF_SIZE: Final = 1 << 17
"""Room for 3,276 IPv4 addresses in all."""

_IF_INET6: Final = Path("/proc/thread-self/net/if_inet6")
_IFA_F_DADFAILED: Final = 0x08
_IFA_F_TENTATIVE: Final = 0x40


class IoctlReader:
    """Answers the questions of `NetlinkReader`, as well as it can. Owns one descriptor; `close` it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def close(self) -> None:
        """Give the descriptor back. May be called again."""
        self._socket.close()

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        """The devices there are among `interfaces`, by name. Raises OSError when the kernel could not be asked."""
        addresses: dict[str, list[str]] = {}
        for name, address in [*self._ipv4(), *_ipv6()]:
            addresses.setdefault(name, []).append(address)
        found = {name: self._link(name, tuple(addresses.get(name, ()))) for name in interfaces}
        return {name: facts for name, facts in found.items() if facts is not None}

    def unrouted(self, _questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        """None: what cannot be known is no evidence against a tunnel."""
        return set()

    def _link(self, name: str, addresses: tuple[str, ...]) -> LinkFacts | None:
        try:
            index = self._ask(_SIOCGIFINDEX, name, _IFREQ)
            flags = self._ask(_SIOCGIFFLAGS, name, _IFREQ_FLAGS)
            mtu = self._ask(_SIOCGIFMTU, name, _IFREQ)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        up = bool(flags & _IFF_UP)
        return LinkFacts(index=index, up=up, carrier=up and bool(flags & _IFF_RUNNING), mtu=mtu, addresses=addresses)

    def _ask(self, request: int, name: str, layout: struct.Struct) -> int:
        encoded = name.encode()
        if len(encoded) > 15:  # noqa: PLR2004 - IFNAMSIZ with its final zero
            raise OSError(errno.ENODEV, f"no device can be called {name}")
        answer = fcntl.ioctl(self._socket, request, layout.pack(encoded, 0))
        value: int = layout.unpack(answer)[1]
        return value

    def _ipv4(self) -> list[tuple[str, str]]:
        room = array.array("B", bytes(_IFCONF_SIZE))
        answer = fcntl.ioctl(self._socket, _SIOCGIFCONF, _IFCONF.pack(_IFCONF_SIZE, room.buffer_info()[0]))
        used, _ = _IFCONF.unpack(answer)
        entries = _IFREQ_ADDRESS.iter_unpack(room[:used].tobytes())
        return [(_device(label), str(IPv4Address(address))) for label, _, _, address in entries]


def _device(label: bytes) -> str:
    """An address's label is its device's name, perhaps with an alias after a colon."""
    return label.partition(b"\0")[0].partition(b":")[0].decode()


def _ipv6() -> list[tuple[str, str]]:
    """Lines such as `fd000000000000000000000000000001 03 40 00 80 eth0`. No file: no IPv6."""
    if not _IF_INET6.exists():
        return []
    found = []
    for line in _IF_INET6.read_text().splitlines():
        digits, _, _, _, flags, name = line.split()
        address = IPv6Address(int(digits, 16))
        if not int(flags, 16) & (_IFA_F_TENTATIVE | _IFA_F_DADFAILED) and not address.is_link_local:
            found.append((name, str(address)))
    return found
