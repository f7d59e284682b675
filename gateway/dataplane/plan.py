"""Plans: what a listener does with its next client, worked out from the routing table before the client comes.

A plan is immutable and shared by all sessions that were accepted under it. It lists the attempts in the order in which
they are to be made: for each tunnel that the table offers, each address that the target has there.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from time import monotonic
from typing import Final

from gateway.dataplane.ledger import ForwardEntry, Lane, Ledger
from gateway.dataplane.shares import load
from gateway.model import NO_CHOICE, ForwardPolicy, Path, PortMap, RoutingTable

_AF_INET: Final = int(socket.AF_INET)
_AF_INET6: Final = int(socket.AF_INET6)


class Attempt:
    """One thing to dial: `address` by `path`, the tunnel of `lane`. Compared by what it is, not by identity.

    The same address by another device (it was made again, perhaps) is another attempt.
    """

    __slots__ = ("address", "family", "lane", "path", "spares")

    def __init__(self, lane: Lane, path: Path, host: str, port: int) -> None:
        self.lane = lane
        self.path = path
        self.address = (host, port)
        self.family = _AF_INET6 if ":" in host else _AF_INET
        self.spares = lane.spares6 if ":" in host else lane.spares4

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Attempt)
            and self.lane is other.lane
            and same_device(self.path, other.path)
            and self.address == other.address
        )

    def __hash__(self) -> int:
        return hash((id(self.lane), self.address))


class Plan:
    """What is to be tried for one port map of a forward, in order."""

    __slots__ = ("_attempts", "balance", "forward", "last_resort", "ports", "share", "spec")

    def __init__(
        self, *, forward: ForwardEntry, ports: PortMap, attempts: tuple[Attempt, ...], last_resort: bool
    ) -> None:
        self.forward = forward
        self.spec = forward.spec  # as of now: the forward may get another one
        self.ports = ports
        self.last_resort = last_resort
        self.balance = forward.spec.policy is ForwardPolicy.BALANCE
        self.share = forward.spec.connect_timeout / max(1, len(attempts))  # what the first attempt has, in seconds
        self._attempts = attempts

    def attempts(self) -> tuple[Attempt, ...]:
        """The attempts, best first; for a balanced forward, those of the least busy tunnel first, as of now."""
        if self.balance:
            now = monotonic()
            return tuple(sorted(self._attempts, key=lambda it: load(len(it.lane.sessions), it.path, now)))
        return self._attempts


def make_plan(table: RoutingTable, forward: ForwardEntry, ports: PortMap, ledger: Ledger) -> Plan:
    """The plan that `table` makes for one port map. A target without a known address has no attempts."""
    choice = table.choices.get((forward.spec.name, ports.target), NO_CHOICE)
    host, port = ports.target
    attempts: list[Attempt] = []
    for name in choice.tunnels:
        tunnel = ledger.tunnel(name)
        if tunnel.path is None:
            continue
        lane = ledger.lane(forward, tunnel)
        attempts += [
            Attempt(lane, tunnel.path, address, port)
            for address in table.addresses_through(name, host)
            if _same_family(tunnel.path, address)
        ]
    return Plan(forward=forward, ports=ports, attempts=tuple(attempts), last_resort=choice.last_resort)


def same_device(one: Path, other: Path | None) -> bool:
    """Whether a socket that was bound for `one` is bound as `other` wants it: the rest of a path changes no socket."""
    return one is other or (
        other is not None
        and one.ifindex == other.ifindex
        and one.interface == other.interface
        and one.source_address == other.source_address
    )


def _same_family(path: Path, address: str) -> bool:
    """A tunnel with a fixed source address can only dial targets of that address's family."""
    return path.source_address is None or path.source_address.version == ip_address(address).version
