"""What a tunnel must reach, and by its own settings cannot: targets, probes and name servers elsewhere. Pure.

WireGuard drops what its allowed_ips do not have, and IPsec encrypts nothing but its remote_networks: a forward to
anywhere else hangs, with every health check of the tunnel's own green.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from gateway.config.endpoints import is_name
from gateway.model import ForwardSpec, IPNetwork, IpsecSpec, TunnelSpec, WireguardSpec

_SHOWN: Final = 3


class Unreached(NamedTuple):
    """What the networks of `tunnel`, which stand under `key`, do not have."""

    tunnel: str
    key: str
    text: str


def unreached(tunnels: Iterable[TunnelSpec], forwards: Iterable[ForwardSpec]) -> Iterator[Unreached]:
    """One for each tunnel with something out of its reach. Names are left out: who knows where they lead."""
    forwards = tuple(forwards)
    for tunnel in tunnels:
        key, networks = _networks(tunnel)
        if not networks:
            continue
        wanted = {host: whose for host, whose in _wanted(tunnel, forwards) if not is_name(host)}
        outside = [(host, whose) for host, whose in wanted.items() if not _covered(host, networks)]
        if outside:
            listed = ", ".join(f"{host} ({whose})" for host, whose in outside[:_SHOWN])
            more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
            yield Unreached(tunnel.name, key, f"there is no way to {listed}{more}: no network here has that address")


def _networks(tunnel: TunnelSpec) -> tuple[str, tuple[IPNetwork, ...]]:
    """The networks that a tunnel is limited to; none: it is not, or its server says."""
    match tunnel.vpn:
        case WireguardSpec(allowed_ips=networks):
            return "allowed_ips", networks
        case IpsecSpec(remote_networks=networks):
            return "remote_networks", networks
    return "", ()


def _wanted(tunnel: TunnelSpec, forwards: Iterable[ForwardSpec]) -> Iterator[tuple[str, str]]:
    """Hosts, and what they are; of the same host the last one counts."""
    for probe in tunnel.health.probes or ():
        yield probe.host, f"probe {probe.label}"
    for server in tunnel.dns:
        yield server.host, "dns"
    for forward in forwards:
        if tunnel.name in forward.tunnels:
            yield forward.ports[0].target.host, f"forward {forward.name}"


def _covered(host: str, networks: Iterable[IPNetwork]) -> bool:
    address = ip_address(host)
    return any(address in network for network in networks)
