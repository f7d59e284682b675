"""A rig around one engine: real sockets on loopback, the tunnel is the device `lo`.

Whatever a test opens through the rig is closed when the rig is, so that a test says only what it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pathlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Self, TypeVar

import pytest

from gateway.dataplane.engine import Engine, EngineOptions
from gateway.dataplane.messages import DialFailed, DialOutrun, FirstConnect, SessionEnded, Stats
from gateway.dataplane.session import Pump, Session
from gateway.model import Choice, Endpoint, ForwardSpec, ListenAddress, Path, PortMap, RoutingTable

DEADLINE = 30.0
_Owned = TypeVar("_Owned", "Peer", "Target")
LO = socket.if_nametoindex("lo")


def seeded(seed: int | str) -> random.Random:
    """Chance that repeats itself."""
    return random.Random(seed)  # noqa: S311 - no secret is made of it


_ports = seeded(os.getpid())


def free_port(host: str = "127.0.0.1") -> int:
    """A port to listen on, below the range from which the kernel takes ports for clients."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = _ports.randrange(15_000, 32_000)
        with socket.socket(family) as sock, contextlib.suppress(OSError):
            sock.bind((host, port))
            return port


async def eventually(condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Wait until `condition()` holds; fail when it does not within `deadline` seconds."""
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110 - the condition is a counter, not an event
            await asyncio.sleep(0.002)


def open_descriptors() -> set[str]:
    """What the process has open, by number and kind."""
    found = set()
    for entry in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add(f"{entry.name} {str(entry.readlink()).partition(':')[0]}")
    return found


class Peer:
    """A raw socket with awaitable calls: what a client or a target does, said step by step."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    @property
    def address(self) -> Endpoint:
        return Endpoint(*self.sock.getsockname()[:2])

    async def send(self, data: bytes | memoryview) -> None:
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self, size: int = 65536) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().sock_recv(self.sock, size)

    async def receive_exactly(self, size: int) -> bytes:
        chunks = []
        while size:
            data = await self.receive(min(size, 1 << 18))
            if not data:
                raise EOFError
            size -= len(data)
            chunks.append(data)
        return b"".join(chunks)

    async def receive_all(self) -> bytes:
        chunks = []
        while data := await self.receive(1 << 18):
            chunks.append(data)
        return b"".join(chunks)

    async def receive_until_reset(self) -> bytes:
        """What still arrives before the reset; fails when the end is an orderly one."""
        chunks = []
        try:
            while data := await self.receive(1 << 18):
                chunks.append(data)
        except ConnectionResetError:
            return b"".join(chunks)
        pytest.fail("an orderly end of file where a reset belongs")

    async def send_until_reset(self) -> None:
        """Send until the other side's reset is noticed, which must be soon."""
        with pytest.raises(ConnectionError):
            await self._send_for_ever()

    async def _send_for_ever(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                await asyncio.get_running_loop().sock_sendall(self.sock, b"x")
                await asyncio.sleep(0)

    async def echo(self, other: Peer, data: bytes = b"ping") -> None:
        """Prove that the session lives: `data` goes to `other` and comes back."""
        await self.send(data)
        assert await other.receive_exactly(len(data)) == data
        await other.send(data)
        assert await self.receive_exactly(len(data)) == data

    async def fill(self, pump: Pump, most: int = 256 << 20) -> int:
        """Send until `pump`, whose source this side feeds, is blocked and nothing more is taken; how much was."""
        taken, block = 0, bytes(1 << 20)

        def is_full() -> bool:
            nonlocal taken
            blocked = pump.held is not None  # asked first: what is sent from now on stays in the kernel
            with contextlib.suppress(BlockingIOError):
                while taken < most:
                    taken += self.sock.send(block)
            return blocked or taken >= most

        await eventually(is_full)
        assert taken < most, "no back-pressure"
        return taken

    def finish_sending(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Target:
    """A listening socket on loopback that plays the company's server."""

    def __init__(self, rig: Rig, host: str, port: int, backlog: int) -> None:
        self._rig = rig
        self.sock = socket.create_server(
            (host, port or free_port(host)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=backlog
        )
        self.sock.setblocking(False)
        self.endpoint = Endpoint(host, self.sock.getsockname()[1])

    async def accept(self) -> Peer:
        async with asyncio.timeout(DEADLINE):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
            return self._rig.owns(Peer(sock))

    def saw_nobody(self) -> bool:
        """Whether no connection waits to be accepted."""
        try:
            sock, _ = self.sock.accept()
        except BlockingIOError:
            return True
        sock.close()
        return False

    def close(self) -> None:
        self.sock.close()


class Rig:
    """One engine, the forwards it was told, and what it said."""

    def __init__(self, options: EngineOptions) -> None:
        self.dial_failures: list[DialFailed] = []
        self.ended: list[SessionEnded] = []
        self.first_connects: list[FirstConnect] = []
        self.outruns: list[DialOutrun] = []
        self.engine = Engine(
            options=options,
            on_dial_failed=self.dial_failures.append,
            on_session_ended=self.ended.append,
            on_first_connect=self.first_connects.append,
            on_dial_outrun=self.outruns.append,
        )
        self.generation = 0
        self.forwards: list[ForwardSpec] = []
        self.paths = {"lo-a": self.path("lo-a")}
        self.choice = Choice(tunnels=("lo-a",))
        self.addresses: dict[str, tuple[str, ...]] = {}
        self._owned: list[Peer | Target] = []
        self._stopped = False

    # ------------------------------------------------------------ telling the engine

    @staticmethod
    def path(tunnel: str, **changes: Any) -> Path:
        return replace(Path(tunnel=tunnel, interface="lo", ifindex=LO), **changes)

    def offer(self, *paths: Path, last_resort: bool = False) -> None:
        """From the next table on, these are the tunnels to try, in this order."""
        self.paths = {path.tunnel: path for path in paths}
        self.choice = Choice(tunnels=tuple(self.paths), last_resort=last_resort)

    def forward(self, target: Endpoint, *, listen: ListenAddress | None = None, **settings: Any) -> Endpoint:
        """Add a forward and apply; the endpoint where clients connect."""
        at = listen or ListenAddress("127.0.0.1", free_port())
        name = settings.pop("name", f"forward-{len(self.forwards)}")
        self.forwards.append(
            ForwardSpec(
                name=name,
                ports=(PortMap(listen=at, target=target),),
                tunnels=settings.pop("tunnels", ("lo-a", "lo-b")),
                **settings,
            )
        )
        self.apply()
        return Endpoint(at.host or "127.0.0.1", at.port)

    def respecify(self, index: int = 0, **changes: Any) -> None:
        """Change one forward, as a reload does, and apply."""
        self.forwards[index] = replace(self.forwards[index], **changes)
        self.apply()

    def apply(self, **changes: Any) -> None:
        self.generation += 1
        targets = [(forward.name, ports.target) for forward in self.forwards for ports in forward.ports]
        hosts = {target.host: (target.host,) for _, target in targets}
        table = RoutingTable(
            generation=self.generation,
            forwards=tuple(self.forwards),
            paths=self.paths,
            choices=dict.fromkeys(targets, self.choice),
            addresses=hosts | self.addresses,
        )
        self.engine.apply(replace(table, **changes))

    def stop(self) -> int:
        self._stopped = True
        return self.engine.stop()

    # ------------------------------------------------------------ clients and targets

    def owns(self, thing: _Owned) -> _Owned:
        self._owned.append(thing)
        return thing

    async def connect(self, endpoint: Endpoint, source: str | None = None) -> Peer:
        """A client. On loopback the kernel has answered when this returns; what it answered shows at the first call."""
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        peer = self.owns(Peer(socket.socket(family)))
        if source is not None:
            peer.sock.bind((source, 0))
        assert peer.sock.connect_ex(tuple(endpoint)) in (0, errno.EINPROGRESS)
        return peer

    def target(self, host: str = "127.0.0.1", port: int = 0, backlog: int = 4096) -> Target:
        return self.owns(Target(self, host, port, backlog))

    async def session(self, **settings: Any) -> tuple[Peer, Peer]:
        """A new forward; a client and the target's side of an established session."""
        target = self.target()
        return await self.pair(self.forward(target.endpoint, **settings), target)

    async def pair(self, endpoint: Endpoint, target: Target) -> tuple[Peer, Peer]:
        """A further session of a forward."""
        client = await self.connect(endpoint)
        return client, await target.accept()

    # ------------------------------------------------------------ looking

    @property
    def stats(self) -> Stats:
        return self.engine.stats()

    @property
    def sessions(self) -> list[Session]:
        return list(self.engine._ledger.sessions())

    @property
    def upstream(self) -> Any:
        """The gateway's own socket towards the target, of the only session."""
        (session,) = self.sessions
        return session.down.source

    async def idle(self) -> None:
        await eventually(lambda: self.engine.sessions == 0)

    def close(self) -> None:
        if not self._stopped:
            self.stop()
        for thing in self._owned:
            thing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


OPTIONS = {
    "all-on": EngineOptions(max_sessions=5000),
    "no-splice": EngineOptions(max_sessions=5000, splice=False),
    "no-reuse": EngineOptions(max_sessions=5000, reuse_upstreams=False),
    "busy-poll": EngineOptions(max_sessions=5000, busy_poll=50e-6),
    "all-off": EngineOptions(max_sessions=5000, splice=False, reuse_upstreams=False),
}


@asynccontextmanager
async def running_rig(options: EngineOptions = OPTIONS["all-on"]) -> AsyncIterator[Rig]:
    """A rig that ends with the block. The loop turns once more, so that nothing of it is left behind."""
    with Rig(options) as rig:
        yield rig
    await asyncio.sleep(0)
