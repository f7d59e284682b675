"""A rig around one engine: real sockets on loopback, the tunnel is the device `lo`."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from gateway.dataplane.engine import Engine, EngineOptions
from gateway.dataplane.messages import DialFailed, SessionEnded, Stats
from gateway.model import Choice, Endpoint, ForwardSpec, ListenAddress, Path, PortMap, RoutingTable

DEADLINE = 10.0
LO = socket.if_nametoindex("lo")


def free_port(host: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
        return port


async def eventually(condition: Callable[[], bool], what: str = "") -> None:
    """Wait until `condition()` holds; fail when it does not within the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the condition is a counter, not an event
            await asyncio.sleep(0.002)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Peer:
    """A raw socket with awaitable calls: what a client or a target does, said step by step."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    async def send(self, data: bytes) -> None:
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

    def finish_sending(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        reset(self.sock)


class Target:
    """A listening socket on loopback that plays the company's server."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, backlog: int = 4096) -> None:
        self.sock = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=backlog
        )
        self.sock.setblocking(False)
        self.endpoint = Endpoint(host, self.sock.getsockname()[1])

    async def accept(self) -> Peer:
        async with asyncio.timeout(DEADLINE):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
            return Peer(sock)

    def close(self) -> None:
        self.sock.close()


class Rig:
    """One engine, the forwards it was told, and what it said."""

    def __init__(self, options: EngineOptions) -> None:
        self.dial_failures: list[DialFailed] = []
        self.ended: list[SessionEnded] = []
        self.engine = Engine(
            options=options, on_dial_failed=self.dial_failures.append, on_session_ended=self.ended.append
        )
        self.generation = 0
        self.forwards: list[ForwardSpec] = []
        self.paths = {"lo-a": self.path("lo-a")}
        self.choice = Choice(tunnels=("lo-a",))
        self.addresses: dict[str, tuple[str, ...]] = {}

    @staticmethod
    def path(tunnel: str, **changes: Any) -> Path:
        return replace(Path(tunnel=tunnel, interface="lo", ifindex=LO), **changes)

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

    @property
    def stats(self) -> Stats:
        return self.engine.stats()

    async def connect(self, endpoint: Endpoint) -> Peer:
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        peer = Peer(socket.socket(family))
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_connect(peer.sock, tuple(endpoint))
        return peer

    async def session(self, **settings: Any) -> tuple[Peer, Peer]:
        """A client and the target's side of an established session."""
        with self.target() as target:
            endpoint = self.forward(target.endpoint, **settings)
            client = await self.connect(endpoint)
            return client, await target.accept()

    @contextmanager
    def target(self, host: str = "127.0.0.1") -> Iterator[Target]:
        target = Target(host)
        try:
            yield target
        finally:
            target.close()

    async def idle(self) -> None:
        await eventually(lambda: self.engine.sessions == 0)


OPTIONS = {
    "all-on": EngineOptions(max_sessions=5000),
    "no-splice": EngineOptions(max_sessions=5000, splice=False),
    "no-reuse": EngineOptions(max_sessions=5000, reuse_upstreams=False),
    "busy-poll": EngineOptions(max_sessions=5000, busy_poll=50e-6),
    "all-off": EngineOptions(max_sessions=5000, splice=False, reuse_upstreams=False),
}


@asynccontextmanager
async def running_rig(options: EngineOptions) -> AsyncIterator[Rig]:
    rig = Rig(options)
    try:
        yield rig
    finally:
        rig.engine.stop()
