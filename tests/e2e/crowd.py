"""Many sessions held by one client process, and the moment at which each of them is reset.

One epoll holds them all, so that what is measured is the gateway and not the client. The kernel's word about a fallen
device comes by netlink into the same epoll: both moments are read off one clock by one thread.
"""

from __future__ import annotations

import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from tests.lab.errors import NotReadyError
from tests.lab.netns import Namespace

_LOOPBACK = "127.0.0.1"
_MANY = 4096  # events in one batch
_RTMGRP_LINK = 1  # rtnetlink(7)
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_WHOLE = 0x1 | 0x10000  # IFF_UP and IFF_LOWER_UP
_MESSAGE = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change


@dataclass(slots=True)
class Fall:
    """When the kernel told that a device fell, and when each client of the crowd was reset; monotonic seconds."""

    told_at: float | None = None
    reset_at: list[float] = field(default_factory=list)

    @property
    def last(self) -> float:
        """Seconds from the kernel's word to the last reset. Raises ValueError when there was not both."""
        if self.told_at is None or not self.reset_at:
            raise ValueError("nobody fell")
        return self.reset_at[-1] - self.told_at


class Crowd:
    """Clients of the forward that listens on `port`. Made by `crowd`, which closes them. All methods block."""

    def __init__(self, space: Namespace, port: int, clients: list[socket.socket]) -> None:
        self._space = space
        self._port = port
        self._clients = clients

    def gather(self, *, within: float) -> None:
        """Connect all, and return when each has had a byte echoed: then each is a session with an upstream.

        Raises OSError when one is refused or reset, NotReadyError at the deadline.
        """
        for each in self._clients:
            each.connect_ex((_LOOPBACK, self._port))
        self.echo(within=within)

    def echo(self, *, within: float) -> None:
        """Return when each client has had a byte echoed. Raises as `gather` does."""
        deadline = time.monotonic() + within
        silent = {each.fileno(): each for each in self._clients}
        with select.epoll() as poll:
            for fd in silent:
                poll.register(fd, select.EPOLLOUT)
            while silent:
                for fd, event in _ready(poll, deadline, lambda: f"{len(silent)} are silent"):
                    if event & select.EPOLLIN:
                        assert silent.pop(fd).recv(2) == b"!"
                        poll.unregister(fd)
                    else:
                        silent[fd].send(b"!")
                        poll.modify(fd, select.EPOLLIN)

    @contextmanager
    def watched(self, device: int) -> Iterator[Callable[[float], Fall]]:
        """Watch the device with this index and every client, from now on.

        The function returns once the device has fallen and every client is reset, and takes the seconds that
        it may take; it raises NotReadyError. An orderly end of a client is an error, too.
        """
        with select.epoll() as poll, self._space.open_socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
            kernel.bind((0, _RTMGRP_LINK))
            poll.register(kernel, select.EPOLLIN)
            for each in self._clients:
                poll.register(each, select.EPOLLRDHUP)

            def fall(within: float) -> Fall:
                seen = Fall()
                deadline = time.monotonic() + within
                while seen.told_at is None or len(seen.reset_at) < len(self._clients):
                    for fd, event in _ready(poll, deadline, lambda: f"{len(seen.reset_at)} are reset"):
                        now = time.monotonic()
                        if fd != kernel.fileno():
                            assert event & select.EPOLLERR, "a client saw an orderly end"
                            poll.unregister(fd)
                            seen.reset_at.append(now)
                        elif _fell(kernel.recv(65536), device) and seen.told_at is None:
                            seen.told_at = now
                return seen

            yield fall


@contextmanager
def crowd(space: Namespace, port: int, size: int) -> Iterator[Crowd]:
    """A crowd of `size` clients, not connected yet."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        yield Crowd(space, port, [stack.enter_context(space.open_socket()) for _ in range(size)])


def _ready(poll: select.epoll, deadline: float, detail: Callable[[], str]) -> list[tuple[int, int]]:
    left = deadline - time.monotonic()
    if left <= 0:
        raise NotReadyError("what every client of the crowd waits for", 0, detail())
    return poll.poll(left, _MANY)


def _fell(messages: bytes, device: int) -> bool:
    """Whether one of these netlink messages says that the device is gone, down, or without a carrier."""
    offset = 0
    while offset < len(messages):
        length, kind, *_ = _MESSAGE.unpack_from(messages, offset)
        _, _, index, flags, _ = _LINK.unpack_from(messages, offset + _MESSAGE.size)
        if index == device and (kind == _RTM_DELLINK or (kind == _RTM_NEWLINK and flags & _WHOLE != _WHOLE)):
            return True
        offset += (length + 3) & ~3
    return False
