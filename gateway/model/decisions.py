"""Decisions: what the data plane and the prober are told, and what has become of tunnels and forwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.names import Cause, Endpoint, Health, IPAddress
from gateway.model.settings import ForwardSpec, HealthSettings, ProbeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A tunnel as a socket sees it: bind to `ifindex`, which must still be what `interface` names.

    `weight` is its share of a balanced forward's sessions; from `ramp_from` on (a moment) it grows to the whole within
    `slow_start` seconds.
    """

    tunnel: str
    interface: str
    ifindex: int
    source_address: IPAddress | None = None
    mss: int | None = None
    weight: int = 1
    slow_start: float = 0.0
    ramp_from: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The tunnels to try for one (forward, target), right now and in order.

    Empty: no tunnel is healthy. The client waits (`hold_timeout`), or meets what `when_down` says.
    `last_resort`: none is healthy for this target, and what is named is dialled all the same (counted).
    """

    tunnels: tuple[str, ...]
    last_resort: bool = False


NO_CHOICE = Choice(tunnels=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """The whole instruction to the data plane. Immutable; a new one replaces the old one as a difference.

    `choices` has a key for each (forward name, target) of `forwards`; `addresses` gives the IP addresses of each
    target host, best first (an IP host stands for itself; an unresolved name is absent). `tunnel_addresses` has the
    same by (tunnel, host) for names that are resolved through a tunnel with name servers of its own.
    """

    generation: int
    forwards: tuple[ForwardSpec, ...]
    paths: Mapping[str, Path]
    choices: Mapping[tuple[str, Endpoint], Choice]
    addresses: Mapping[str, tuple[str, ...]]
    tunnel_addresses: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def addresses_through(self, tunnel: str, host: str) -> tuple[str, ...]:
        """The addresses of `host` as they are to be dialled through `tunnel`, best first; empty: none known."""
        own = self.tunnel_addresses.get((tunnel, host))
        return self.addresses.get(host, ()) if own is None else own


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """One thing to probe through one tunnel, with the addresses that its host has there, best first."""

    spec: ProbeSpec
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What is to be probed through one tunnel. `path=None`: the device cannot be used, so nothing is.

    `aims` are probed in turn, all the time. `targets` are those of the forwards that use the tunnel, if they are not
    aims anyway: probed only while something makes them suspect.
    """

    path: Path | None
    settings: HealthSettings
    aims: tuple[Aim, ...]
    targets: tuple[Aim, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of the health of a tunnel, or, with a `target`, of that target behind it. Moments are monotonic.

    `evidence` says in words what the change rests on, `evidence_at` when the first of it came.
    """

    tunnel: str
    old: Health
    new: Health
    cause: Cause
    at: float
    evidence: str = ""
    evidence_at: float | None = None
    target: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """New sessions of `forward` go to `to_tunnel`, because `from_tunnel` failed them for `cause`.

    `evidence_at`: when the first evidence of that came, monotonic.
    """

    forward: str
    from_tunnel: str
    to_tunnel: str
    cause: Cause
    evidence_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Failback: new sessions of `forward` left `from_tunnel`, which is well, for `to_tunnel`, which is better."""

    forward: str
    from_tunnel: str
    to_tunnel: str
