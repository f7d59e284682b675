"""A small name server in a namespace of its own, at the far end of a veth pair: what a tunnel's name server is.

    with NameServer("tun-a", near=("10.20.0.2/24",), far=("10.20.0.53/24",)) as server:
        server.zone["db.corp"] = Records(v4=("10.0.0.5",), ttl=60)

To be made inside `in_namespace`: the near end of the pair, up and with its addresses, is in the caller's namespace.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface
from time import monotonic
from types import TracebackType
from typing import Self

from tests.control.namespace import await_carrier, enter_namespace, ip

NO_ERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
A, CNAME, AAAA = 1, 5, 28
_DEADLINE = 30.0


@dataclass(frozen=True, kw_only=True)
class Records:
    """What there is under a name. `codes` are response codes by record type instead; `alias` has a TTL of its own."""

    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()
    ttl: int = 60
    alias: tuple[str, int] | None = None
    truncated: bool = False
    codes: Mapping[int, int] = field(default_factory=dict)

    def of(self, kind: int) -> tuple[str, ...]:
        return {A: self.v4, AAAA: self.v6}.get(kind, ())


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question that came. `server` and `client` are IP addresses."""

    at: float
    name: str
    kind: int
    server: str
    client: str


class NameServer:
    """Answers from `zone`; names that are not in it are NXDOMAIN.

    `silent` has the addresses that hear, and say nothing. `noise` is sent before each response.
    """

    def __init__(self, device: str, *, near: tuple[str, ...], far: tuple[str, ...]) -> None:
        """`device` and the addresses of both ends, each with its prefix length."""
        self.zone: dict[str, Records] = {}
        self.asked: list[Asked] = []
        self.silent: frozenset[str] = frozenset()
        self.noise: tuple[bytes, ...] = ()
        self._device = device
        self._near = near
        self._far = far
        self._entered = threading.Event()
        self._wired = threading.Event()
        self._serving = threading.Event()
        self._stop_reader, self._stop_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"name server behind {device}")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._entered.wait(_DEADLINE)
        self.connect()
        self._wired.set()
        assert self._serving.wait(_DEADLINE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._stop_writer)
        self._wired.set()
        self._thread.join(_DEADLINE)
        os.close(self._stop_reader)

    def times(self, name: str) -> list[float]:
        """When questions for IPv4 addresses of `name` came; each lookup asks one such."""
        return [asked.at for asked in self.asked if asked.name == name and asked.kind == A]

    def connect(self) -> None:
        """Make the pair: at first, and again when one of its ends was deleted."""
        ip(
            f"link add {self._device} type veth peer name far netns {self._thread.native_id}",
            *_adding(self._near, self._device),
        )
        there = f"--net=/proc/{os.getpid()}/task/{self._thread.native_id}/ns/net"
        far = "\n".join(_adding(self._far, "far"))
        subprocess.run(["nsenter", there, "ip", "-batch", "-"], input=far, text=True, check=True)
        await_carrier(self._device)

    # ---------------------------------------------------------------- in its thread

    def _run(self) -> None:
        enter_namespace()
        self._entered.set()
        self._wired.wait(_DEADLINE)
        self._serve()

    def _serve(self) -> None:
        with ExitStack() as held, selectors.DefaultSelector() as ready:
            ready.register(self._stop_reader, selectors.EVENT_READ)
            sockets = [held.enter_context(self._bind(address)) for address in self._far]
            for listening in sockets:
                ready.register(listening, selectors.EVENT_READ, listening)
            self._serving.set()
            while True:
                for key, _ in ready.select():
                    if key.data is None:
                        return
                    self._answer(key.data)

    @staticmethod
    def _bind(address: str) -> socket.socket:
        host = ip_interface(address).ip
        bound = socket.socket(socket.AF_INET6 if host.version == 6 else socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind((str(host), 53))
        return bound

    def _answer(self, listening: socket.socket) -> None:
        message, client = listening.recvfrom(4096)
        name, end = _name(message)
        kind = int.from_bytes(message[end : end + 2])
        server = str(listening.getsockname()[0])
        self.asked.append(Asked(at=monotonic(), name=name, kind=kind, server=server, client=str(client[0])))
        if server not in self.silent:
            for noise in self.noise:
                listening.sendto(noise, client)
            listening.sendto(self._response(message, end + 4, name, kind), client)

    def _response(self, message: bytes, end: int, name: str, kind: int) -> bytes:
        """`end` is that of the question, which a response repeats."""
        records = self.zone.get(name, Records(codes={A: NXDOMAIN, AAAA: NXDOMAIN}))
        code = records.codes.get(kind, NO_ERROR)
        answers = []
        if code == NO_ERROR:
            owner = b"\xc0\x0c"  # the name in the question
            if records.alias is not None:
                alias, ttl = records.alias
                target = b"".join(bytes([len(label)]) + label.encode() for label in alias.split(".")) + b"\0"
                answers.append(_record(owner, CNAME, ttl, target))
                owner = target
            answers += [_record(owner, kind, records.ttl, ip_address(text).packed) for text in records.of(kind)]
        flags = 0x8180 | code | (0x0200 if records.truncated else 0)  # a response, recursion desired and available
        counts = b"".join(number.to_bytes(2) for number in (1, len(answers), 0, 0))
        return message[:2] + flags.to_bytes(2) + counts + message[12:end] + b"".join(answers)


def _adding(addresses: tuple[str, ...], device: str) -> list[str]:
    adding = [f"addr add {address} dev {device}{' nodad' if ':' in address else ''}" for address in addresses]
    return [*adding, f"link set {device} up"]


def _record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    return owner + kind.to_bytes(2) + (1).to_bytes(2) + ttl.to_bytes(4) + len(data).to_bytes(2) + data


def _name(message: bytes) -> tuple[str, int]:
    """The name in the question, and where it ends."""
    labels, at = [], 12
    while length := message[at]:
        labels.append(message[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1
