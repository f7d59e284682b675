"""A network namespace for one scenario: a thread enters a fresh one and runs a coroutine there, on uvloop.

Threads and child processes that the scenario starts inherit the namespace; it ends with the last of them.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv6Address
from pathlib import Path

import uvloop

from tests.lab.waiting import wait_until

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETCARRIER = 0x400454E2
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_TUN_NO_PI = 0x1001
_IFF_UP = 0x1
_IFF_RUNNING = 0x40
_DEADLINE = 30.0  # seconds
_libc = ctypes.CDLL(None, use_errno=True)


def in_namespace(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `scenario` to its end in a fresh namespace with `lo` up; what it raises is raised here."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_enter_and_run, scenario).result()


def enter_namespace() -> None:
    """Put the calling thread into a fresh namespace, for good, with `lo` up."""
    if _libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    ip("link set lo up")


def _enter_and_run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    enter_namespace()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


def ip(*commands: str) -> None:
    """Have iproute2 do these, in order. A batch is of one family: those for `-6` come after the others."""
    _batch([], [command for command in commands if not command.startswith("-6 ")])
    _batch(["-6"], [command.removeprefix("-6 ") for command in commands if command.startswith("-6 ")])


def _batch(options: list[str], commands: list[str]) -> None:
    if commands:
        subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(commands), text=True, check=True)


def await_carrier(*devices: str) -> None:
    """Return when these devices of the calling thread's namespace carry packets.

    A cable between devices that are up is seen by a worker of the kernel (linkwatch), and what is sent before is lost.
    """
    for device in devices:
        wait_until(partial(_runs, device), within=_DEADLINE, what=f"{device} runs")


def await_neighbours(device: str, address: str) -> None:
    """Return when `address` of this device, an IPv6 one, can be asked for: a worker of the kernel has it listen."""
    asked = "ff02" + "0" * 18 + "01ff" + IPv6Address(address).packed[-3:].hex()  # its solicited-node group (RFC 4291)

    def listens() -> bool:
        groups = [line.split() for line in Path("/proc/thread-self/net/igmp6").read_text().splitlines()]
        return any(device == name and group == asked for _, name, group, *_ in groups)

    wait_until(listens, within=_DEADLINE, what=f"{address} on {device} can be asked for")


def _runs(device: str) -> bool:
    return bool(_flags(device) & _IFF_RUNNING)


def _flags(device: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        answer = fcntl.ioctl(asker, _SIOCGIFFLAGS, struct.pack("16sH22x", device.encode(), 0))
    return int(struct.unpack("16sH22x", answer)[1])


def _no_detection(address: str) -> str:
    """An IPv6 address is tentative for a moment, even where nobody can have it, too."""
    return " nodad" if ":" in address else ""


class Tun:
    """A tun device held by this process, as a VPN client holds one. Up, with `address`, unless told otherwise."""

    def __init__(self, name: str, *addresses: str) -> None:
        self.name = name
        self._fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
        ip(f"link set {name} up", *(f"addr add {address} dev {name}{_no_detection(address)}" for address in addresses))

    @property
    def index(self) -> int:
        return socket.if_nametoindex(self.name)

    def carrier(self, on: bool) -> None:
        fcntl.ioctl(self._fd, _TUNSETCARRIER, struct.pack("i", on))

    def up(self, on: bool) -> None:
        flags = _flags(self.name) & ~_IFF_UP | (_IFF_UP if on else 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            fcntl.ioctl(asker, _SIOCSIFFLAGS, struct.pack("16sH22x", self.name.encode(), flags))

    def abandon(self) -> None:
        """What a dying client does to a persistent device: it stays, without a process."""
        fcntl.ioctl(self._fd, _TUNSETPERSIST, 1)
        self.close()

    def close(self) -> None:
        """What a dying client does to its device: it is gone."""
        os.close(self._fd)
