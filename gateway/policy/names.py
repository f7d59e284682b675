"""Which host names are asked of whom: the system's resolver, or the tunnel's own name servers through the tunnel.

A tunnel with `dns` has its names asked of these servers, through its device, and never elsewhere. Other tunnels have
theirs asked of the system. So one host may be asked in several ways, and have other addresses in each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.model import Endpoint, ForwardSpec, IPAddress, LinkFacts, TunnelSpec
from gateway.policy.state import is_address


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """All host names to be asked: `system` of the system's resolver, `through` of the tunnels' own name servers."""

    system: frozenset[str] = frozenset()
    through: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by tunnel; none is empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a tunnel's name servers are asked, in their order. `ifindex=None`: it cannot be used now.

    `leading` is the IP version whose addresses come first: 6 where the device has an IPv6 address, as RFC 6724 has it.
    """

    servers: tuple[Endpoint, ...]
    interface: str
    ifindex: int | None
    source_address: IPAddress | None = None
    leading: int = 4

    @property
    def usable(self) -> bool:
        """Whether the device is there, and carries."""
        return self.ifindex is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelNames:
    """The hosts to be asked through one tunnel, and the way in which they are."""

    hosts: frozenset[str]
    way: Way


def questions(forwards: Iterable[ForwardSpec], tunnels: Iterable[TunnelSpec]) -> Questions:
    """The names of the forwards' targets, for each of their tunnels, and those in the tunnels' explicit probes."""
    specs = {spec.name: spec for spec in tunnels}
    system: set[str] = set()
    through: defaultdict[str, set[str]] = defaultdict(set)

    def ask(host: str, spec: TunnelSpec) -> None:
        if not is_address(host):
            (through[spec.name] if spec.dns else system).add(host)

    for forward in forwards:
        for host in {ports.target.host for ports in forward.ports}:
            for tunnel in forward.tunnels:
                ask(host, specs[tunnel])
    for spec in specs.values():
        for probe in spec.health.probes or ():
            ask(probe.host, spec)
    return Questions(
        system=frozenset(system),
        through=MappingProxyType({tunnel: frozenset(hosts) for tunnel, hosts in through.items()}),
    )


def tunnel_names(
    asked: Questions, tunnels: Iterable[TunnelSpec], links: Mapping[str, LinkFacts]
) -> Mapping[str, TunnelNames]:
    """What is to be asked through each tunnel, as its device is now. `links` are by interface, from the kernel."""
    return MappingProxyType(
        {
            spec.name: TunnelNames(hosts=asked.through[spec.name], way=_way(spec, links.get(spec.interface)))
            for spec in tunnels
            if spec.name in asked.through
        }
    )


def _way(spec: TunnelSpec, link: LinkFacts | None) -> Way:
    addresses = () if link is None else link.addresses
    source = spec.source_address
    good = link is not None and link.up and link.carrier and (source is None or str(source) in addresses)
    return Way(
        servers=spec.dns,
        interface=spec.interface,
        ifindex=link.index if link is not None and good else None,
        source_address=source,
        leading=6 if any(":" in address for address in addresses) else 4,
    )
