"""The networks to measure in, made of namespaces of the bench's own; the machine's own network is not touched.

    loopback    one namespace: client, proxy and target meet on lo
    veth        client ──veth── proxy ──veth── target: three namespaces, the proxy's forwards packets too
    tunnels     client ──veth── proxy ══tun-a══ target a        both targets have the same address,
                                     ══tun-b══ target b        so that a tunnel's loss is only the gateway's matter

Why fresh namespaces for every sample: tables of sockets in TIME_WAIT belong to a namespace, and start empty. Why
these settings: a client that opens 15,000 connections a second needs its ports back after a second, not sixty
(tcp_tw_reuse), more of them (ip_local_port_range, and several source addresses), and queues as long as its storm.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from typing import NamedTuple

LISTEN_PORT = 28411
TARGET_PORT = 28412
ADMIN_PORT = 28413

_SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv4.ip_local_port_range=1024 65535",
    f"net.ipv4.ip_local_reserved_ports={LISTEN_PORT}-{ADMIN_PORT}",
    "net.ipv4.tcp_tw_reuse=1",
    "net.ipv4.tcp_max_syn_backlog=65535",
    "net.ipv4.conf.all.rp_filter=0",
    "net.core.somaxconn=65535",
    "net.ipv6.conf.all.disable_ipv6=1",
)
_PREFIX = "gwbench"
_numbers = count()


class PlaceName(StrEnum):
    """The networks that there are."""

    LOOPBACK = "loopback"
    VETH = "veth"
    TUNNELS = "tunnels"


class Namespace(NamedTuple):
    """A network namespace made by `_namespace`."""

    name: str

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs in here."""
        return ["ip", "netns", "exec", self.name]

    def ip(self, command: str) -> None:
        _run(["ip", "-n", self.name, *command.split()])

    def run(self, command: Sequence[str]) -> None:
        _run([*self.prefix, *command])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A network, up. `devices` are the proxy's, towards the target(s), one per target namespace."""

    name: PlaceName
    client: Namespace
    proxy: Namespace
    targets: tuple[Namespace, ...]
    listen: str
    target: str
    devices: tuple[str, ...]
    sources: tuple[str, ...]


@contextmanager
def build(name: PlaceName) -> Iterator[Place]:
    """Makes the place and removes it again. Needs root. Raises subprocess.CalledProcessError."""
    with ExitStack() as stack:
        yield _BUILDERS[name](stack)


def remove_stale() -> None:
    """Removes namespaces of benches that are no longer running."""
    listing = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        match = re.match(rf"({_PREFIX}-(\d+)-\S+)", line)
        if match and not os.path.exists(f"/proc/{match[2]}"):  # noqa: PTH110 - /proc is no path of ours
            _run(["ip", "netns", "del", match[1]])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _namespace(stack: ExitStack, role: str) -> Namespace:
    namespace = Namespace(f"{_PREFIX}-{os.getpid()}-{next(_numbers)}-{role}")
    _run(["ip", "netns", "add", namespace.name])
    stack.callback(_run, ["ip", "netns", "del", namespace.name])
    namespace.ip("link set lo up")
    namespace.run(["sysctl", "-q", "-w", *_SYSCTLS])
    return namespace


def _veth(left: Namespace, left_device: str, right: Namespace, right_device: str, subnet: str) -> None:
    """Joins two namespaces: `left` gets address .1 of the /24 `subnet` (its first three bytes), `right` .2."""
    left.ip(f"link add {left_device} type veth peer name {right_device} netns {right.name}")
    for namespace, device, host in ((left, left_device, 1), (right, right_device, 2)):
        namespace.ip(f"addr add {subnet}.{host}/24 dev {device}")
        namespace.ip(f"link set {device} up")


def _loopback(stack: ExitStack) -> Place:
    here = _namespace(stack, "lo")
    return Place(
        name=PlaceName.LOOPBACK,
        client=here,
        proxy=here,
        targets=(here,),
        listen="127.0.0.1",
        target="127.0.0.1",
        devices=("lo",),
        sources=tuple(f"127.0.0.{host}" for host in range(10, 18)),
    )


def _client_side(stack: ExitStack) -> tuple[Namespace, Namespace, tuple[str, ...]]:
    """Client and proxy namespaces, joined; and the client's addresses."""
    client, proxy = _namespace(stack, "client"), _namespace(stack, "proxy")
    _veth(proxy, "clients", client, "uplink", "10.201.1")
    sources = tuple(f"10.201.1.{host}" for host in range(10, 18))
    for source in sources:
        client.ip(f"addr add {source}/24 dev uplink")
    client.ip("route add default via 10.201.1.1")
    return client, proxy, sources


def _veth_place(stack: ExitStack) -> Place:
    client, proxy, sources = _client_side(stack)
    target = _namespace(stack, "target")
    _veth(proxy, "tun-a", target, "uplink", "10.201.2")
    target.ip("route add default via 10.201.2.1")
    return Place(
        name=PlaceName.VETH,
        client=client,
        proxy=proxy,
        targets=(target,),
        listen="10.201.1.1",
        target="10.201.2.2",
        devices=("tun-a",),
        sources=sources,
    )


def _tunnels(stack: ExitStack) -> Place:
    client, proxy, sources = _client_side(stack)
    address = "10.201.9.1"
    targets = []
    for letter, subnet, metric in (("a", "10.201.2", 1), ("b", "10.201.3", 2)):
        target = _namespace(stack, f"target-{letter}")
        _veth(proxy, f"tun-{letter}", target, "uplink", subnet)
        target.ip(f"addr add {address}/32 dev lo")
        target.ip(f"route add default via {subnet}.1")
        proxy.ip(f"route add {address} via {subnet}.2 dev tun-{letter} metric {metric}")
        targets.append(target)
    return Place(
        name=PlaceName.TUNNELS,
        client=client,
        proxy=proxy,
        targets=tuple(targets),
        listen="10.201.1.1",
        target=address,
        devices=("tun-a", "tun-b"),
        sources=sources,
    )


_BUILDERS = {PlaceName.LOOPBACK: _loopback, PlaceName.VETH: _veth_place, PlaceName.TUNNELS: _tunnels}
