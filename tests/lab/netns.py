"""A network namespace: made, entered, and asked for sockets.

Commands enter it by `nsenter`. Sockets are opened by a thread that lives in the namespace: a socket belongs for
ever to the namespace it was opened in, so that a test's own event loop can use it from outside, with no child
process. A socket still open keeps the namespace's devices alive after it was deleted by name.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

from tests.lab.commands import run
from tests.lab.errors import LabError

_DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_P = ParamSpec("_P")
_T = TypeVar("_T")


def delete(name: str) -> None:
    """Delete the namespace `name`, if there is one."""
    if (_DIRECTORY / name).exists():
        run(["ip", "netns", "del", name])


def existing() -> frozenset[str]:
    """The names of all network namespaces of this machine."""
    return frozenset(path.name for path in _DIRECTORY.iterdir()) if _DIRECTORY.exists() else frozenset()


@dataclass(frozen=True, slots=True)
class Link:
    """A device as it was when it was looked at: kernel index, flags by name, IPv4 addresses with prefix length."""

    index: int
    flags: frozenset[str]
    addresses: tuple[str, ...]

    @property
    def up(self) -> bool:
        """IFF_UP: the administrator wants it up."""
        return "UP" in self.flags

    @property
    def carrier(self) -> bool:
        """IFF_LOWER_UP: there is somebody at the other end of the cable."""
        return "LOWER_UP" in self.flags


class Namespace:
    """One network namespace, made by `create`. `close` ends its thread and deletes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._path = _DIRECTORY / name
        self._inside: ThreadPoolExecutor | None = None

    def create(self) -> None:
        """Make the namespace with its loopback up."""
        run(["ip", "netns", "add", self.name])
        self.ip("link set lo up")

    def close(self) -> None:
        """Delete the namespace. Processes and open sockets in it live on until they end."""
        if self._inside is not None:
            self._inside.shutdown()
            self._inside = None
        delete(self.name)

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command that runs in this namespace. It replaces itself, so the process keeps its id."""
        return ["nsenter", f"--net={self._path}", "--", *argv]

    def run(self, argv: Sequence[str], *, text: str | None = None) -> str:
        """Run `argv` in here; see `commands.run`."""
        return run(self.command(argv), text=text)

    def ip(self, *lines: str) -> None:
        """Carry out lines of `ip` (without the word `ip`) one after the other, in one process."""
        run(["ip", "-n", self.name, "-batch", "-"], text="\n".join(lines) + "\n")

    def nft(self, rules: str) -> None:
        """Load nftables rules."""
        self.run(["nft", "-f", "-"], text=rules)

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """The result of `function(*args, **kwargs)`, called by a thread that lives in this namespace."""
        if self._inside is None:
            self._inside = ThreadPoolExecutor(1, f"in-{self.name}", initializer=_enter, initargs=(self._path,))
        return self._inside.submit(function, *args, **kwargs).result()

    def sysctl(self, name: str, value: int | str) -> None:
        """Set a value of this namespace below /proc/sys/net: "ipv4/ip_forward"."""
        self.call(Path("/proc/sys/net", name).write_text, str(value))

    def open_socket(
        self,
        family: socket.AddressFamily = socket.AF_INET,
        kind: socket.SocketKind = socket.SOCK_STREAM,
        *,
        device: str | None = None,
    ) -> socket.socket:
        """A new non-blocking socket of this namespace, bound to `device` if given. The caller closes it."""
        opened = self.call(socket.socket, family, kind)
        try:
            opened.setblocking(False)
            if device is not None:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        except OSError:
            opened.close()
            raise
        return opened

    def listen(self, host: str, port: int, *, backlog: int = 1024) -> socket.socket:
        """A new non-blocking listening socket of this namespace. The caller closes it."""
        opened = self.open_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind((host, port))
            opened.listen(backlog)
        except OSError:
            opened.close()
            raise
        return opened

    def link(self, device: str) -> Link | None:
        """What the kernel says of `device` at this moment; None if there is no such device."""
        entries = json.loads(self.run(["ip", "-j", "address", "show"]))
        for entry in entries:
            if entry["ifname"] == device:
                addresses = [f"{a['local']}/{a['prefixlen']}" for a in entry["addr_info"] if a["family"] == "inet"]
                return Link(entry["ifindex"], frozenset(entry["flags"]), tuple(addresses))
        return None

    def address(self, device: str) -> str:
        """The first IPv4 address of `device`. Raises LabError while there is none."""
        link = self.link(device)
        if link is None or not link.addresses:
            raise LabError(f"{device} has no address")
        return link.addresses[0].partition("/")[0]


def _enter(path: Path) -> None:
    """Move the calling thread, and only it, into the namespace at `path`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, _CLONE_NEWNET) != 0:
            raise LabError(f"cannot enter {path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(fd)
