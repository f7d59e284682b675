"""The resolved plan of a configuration, for `gateway check`: what listens where, and which tunnels it tries.

`plan` is pure; `render` makes rich tables of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.config import durations
from gateway.config.endpoints import Listen, Target
from gateway.config.notes import notes
from gateway.config.vpn_plan import VpnRow, vpn_row
from gateway.model import Config, Failback, ForwardSpec, PortMap, TunnelDownAction, TunnelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelRow:
    """One tunnel, as it will be used. `position` is its place when all are tried, 1 first."""

    position: int
    name: str
    kind: str
    interface: str
    source_address: str
    mss: str
    failback_delay: str
    weight: str
    routes: str
    probes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardRow:
    """One forward, as it will run."""

    name: str
    listen: str
    target: str
    tunnels: str
    policy: str
    on_tunnel_down: str
    no_tunnel: str
    allow: str
    max_connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything `gateway check` shows. `notes` are for the operator, the warnings of the file among them."""

    tunnels: tuple[TunnelRow, ...]
    vpns: tuple[VpnRow, ...]
    forwards: tuple[ForwardRow, ...]
    notes: tuple[str, ...]


def plan(config: Config) -> Plan:
    """The plan of a valid configuration: tunnels in the order in which they are tried, forwards in file order."""
    tunnels = sorted(config.tunnels, key=lambda spec: spec.rank)
    return Plan(
        tunnels=tuple(map(_tunnel, tunnels)),
        vpns=tuple(filter(None, map(vpn_row, tunnels))),
        forwards=tuple(map(_forward, config.forwards)),
        notes=tuple(notes(config)),
    )


def render(config: Config) -> RenderableType:
    """The plan as tables, with the notes below."""
    made = plan(config)
    tunnels = _table(
        "Tunnels",
        "#",
        "tunnel",
        "kind",
        "interface",
        "source address",
        "MSS",
        "failback delay",
        "weight",
        "routes",
        "probes",
    )
    for tunnel in made.tunnels:
        tunnels.add_row(
            str(tunnel.position),
            Text(tunnel.name),
            tunnel.kind,
            Text(tunnel.interface),
            tunnel.source_address,
            tunnel.mss,
            tunnel.failback_delay,
            tunnel.weight,
            tunnel.routes,
            tunnel.probes,
        )
    vpns = _table("VPN clients", "tunnel", "servers, in order", "how", "logs in with", "server's proof", "connects")
    for vpn in made.vpns:
        vpns.add_row(*map(Text, (vpn.name, vpn.servers, vpn.how, vpn.login, vpn.trust, vpn.connects)))
    forwards = _table(
        "Forwards", "forward", "listen", "target", "tunnels", "policy", "tunnel down", "none up", "clients", "limit"
    )
    for forward in made.forwards:
        forwards.add_row(  # Text: brackets of IPv6 addresses are not markup
            Text(forward.name),
            Text(forward.listen),
            Text(forward.target),
            Text(forward.tunnels),
            forward.policy,
            forward.on_tunnel_down,
            forward.no_tunnel,
            Text(forward.allow),
            str(forward.max_connections),
        )
    managed = (vpns,) if made.vpns else ()
    return Group(tunnels, *managed, forwards, *(Text(f"note: {note}") for note in made.notes))


def _table(title: str, *headers: str) -> Table:
    table = Table(title=title, title_justify="left")
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _tunnel(spec: TunnelSpec) -> TunnelRow:
    return TunnelRow(
        position=spec.rank + 1,
        name=spec.name,
        kind=spec.kind,
        interface=spec.interface,
        source_address="kernel's choice" if spec.source_address is None else str(spec.source_address),
        mss="kernel's choice" if spec.mss is None else str(spec.mss),
        failback_delay=durations.render(spec.failback_delay),
        weight=f"{spec.weight}, in {durations.render(spec.slow_start)}" if spec.slow_start else str(spec.weight),
        routes=spec.routes,
        probes=_probes(spec),
    )


def _probes(spec: TunnelSpec) -> str:
    """How many, or whose: what they are stands in the file, and is too wide for a table."""
    probes = spec.health.probes
    if probes is None:
        return "targets of its forwards"
    return str(len(probes) or "none")


def _forward(spec: ForwardSpec) -> ForwardRow:
    listen, target = _ranges(spec.ports)
    grace = spec.on_tunnel_down is TunnelDownAction.GRACE
    return ForwardRow(
        name=spec.name,
        listen=listen,
        target=target,
        tunnels=", ".join(spec.tunnels),
        policy=", ".join(_policy(spec)),
        on_tunnel_down=f"{spec.on_tunnel_down} {durations.render(spec.grace)}" if grace else spec.on_tunnel_down,
        no_tunnel=f"wait {durations.render(spec.hold_timeout)}" if spec.hold_timeout else spec.when_down,
        allow=", ".join(map(str, spec.allow)) or "all",
        max_connections=spec.max_connections,
    )


def _policy(spec: ForwardSpec) -> Iterator[str]:
    """How a tunnel is chosen, and what is unusual about it."""
    yield spec.policy
    if spec.hedge_after:
        yield f"hedged after {durations.render(spec.hedge_after)}"
    if spec.failback is Failback.MANUAL:
        yield "manual failback"
    if spec.failback_rate:
        yield f"{spec.failback_rate:g} sessions/s moved back"


def _ranges(ports: tuple[PortMap, ...]) -> tuple[str, str]:
    """Listen addresses and targets as they stood in the file: a range is one host and successive ports."""
    first, last = ports[0], ports[-1]
    return (
        str(Listen(first.listen.host, first.listen.port, last.listen.port)),
        str(Target(first.target.host, first.target.port, last.target.port)),
    )
