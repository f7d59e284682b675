"""The far side of tunnels: a second namespace, joined to the scenario's by veth pairs that stand for tunnels.

A socket belongs to the namespace in which it was made, wherever it is used. So what is done in the far namespace is the
making of sockets, and of addresses, routes and drops; the scenario's own loop serves on them.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path as File
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from gateway.model import Aim, Path, ProbeKind, ProbeSpec
from tests.control.namespace import await_carrier, await_neighbours, enter_namespace, ip

DEADLINE = 30.0
_P = ParamSpec("_P")
_T = TypeVar("_T")


def nft(rules: str) -> None:
    """Load a ruleset into the namespace of the thread."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def sysctl(name: str, value: str) -> None:
    File("/proc/sys", *name.split(".")).write_text(value)


class Far:
    """A namespace beyond tunnels. Made within `in_namespace`; a context manager."""

    def __enter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1)
        self.task = self.call(self._enter)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    @staticmethod
    def _enter() -> str:
        enter_namespace()
        return File("/proc/thread-self").readlink().name

    def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call `function` in this namespace, and wait for it."""
        return self._thread.submit(function, *args, **kwargs).result()

    def link(self, name: str, number: int) -> Path:
        """A tunnel called `name`: near it is 10.N.0.2 and fd0N::2, and 10.N.0.1 and fd0N::1 here."""
        far = f"{name}-far"
        ip(f"link add {name} type veth peer name {far}", f"link set {far} netns {self.task}", f"link set {name} up")
        self.call(
            ip,
            f"link set {far} up",
            f"addr add 10.{number}.0.1/24 dev {far}",
            f"addr add fd0{number}::1/64 dev {far} nodad",
        )
        ip(f"addr add 10.{number}.0.2/24 dev {name}", f"addr add fd0{number}::2/64 dev {name} nodad")
        sysctl(f"net.ipv4.conf.{name}.rp_filter", "0")
        await_carrier(name)
        self.call(await_carrier, far)
        await_neighbours(name, f"fd0{number}::2")
        self.call(await_neighbours, far, f"fd0{number}::1")
        return Path(tunnel=name, interface=name, ifindex=socket.if_nametoindex(name))

    def listener(self, host: str, port: int = 0) -> socket.socket:
        """A listening socket here, non-blocking; the caller's."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = self.call(socket.create_server, (host, port), family=family, backlog=128)
        made.setblocking(False)
        return made

    def datagrams(self, host: str, port: int) -> socket.socket:
        """A bound UDP socket here, non-blocking; the caller's."""

        def make() -> socket.socket:
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((host, port))
            made.setblocking(False)
            return made

        return self.call(make)

    def drop(self, what: str) -> None:
        """Drop what arrives here and matches `what`; `drop("")` drops all."""
        self._rule(f"{what} drop")

    def reject(self, what: str, how: str) -> None:
        """Have what arrives here and matches `what` rejected, as a router would: `how` is nft's."""
        self._rule(f"{what} reject with {how}")

    def _rule(self, rule: str) -> None:
        self.call(nft, f"table inet faults {{ chain in {{ type filter hook input priority 0; {rule}; }}; }};")

    def heal(self) -> None:
        """No more faults."""
        self.call(nft, "table inet faults {}; delete table inet faults;")


class Tap:
    """Every IPv4 packet on one device of the calling thread's namespace, from now on. A context manager."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        self._socket.bind((device, 0x0003))  # ETH_P_ALL: of a single protocol, only what comes in is seen
        self._socket.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def taken(self) -> list[bytes]:
        """What has passed since it was last asked."""
        found = []
        try:
            while True:
                found.append(self._socket.recv(65536))
        except BlockingIOError:
            return [packet for packet in found if packet[0] >> 4 == 4]


def tcp_flags(packet: bytes) -> str:
    """The flags of an IPv4 TCP packet, as in "SA"; "" for other packets."""
    if packet[9] != socket.IPPROTO_TCP:
        return ""
    flags = packet[(packet[0] & 0xF) * 4 + 13]
    return "".join(letter for bit, letter in enumerate("FSRPA") if flags & 1 << bit)


def aim(kind: str, host: str, port: int = 0, *, addresses: tuple[str, ...] | None = None, **more: object) -> Aim:
    """A thing to probe, at its own address unless told otherwise."""
    spec = ProbeSpec(label=f"{kind}://{host}:{port}", kind=ProbeKind(kind), host=host, port=port, **more)  # type: ignore[arg-type]
    return Aim(spec=spec, addresses=(host,) if addresses is None else addresses)


@asynccontextmanager
async def serving(
    listener: socket.socket, speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], **more: object
) -> AsyncIterator[asyncio.Server]:
    """Serve on `listener`, which ends with it."""
    server = await asyncio.start_server(speak, sock=listener, **more)  # type: ignore[arg-type]
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()
