"""From the tables of the file to the frozen values of `gateway.model`. Pure; what comes in is valid on its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.config.tables import AdminTable, ForwardDefaults, ForwardEntry, GatewayTable
from gateway.config.tunnel_tables import HealthTable, InterfaceTunnel, ManagedTunnel
from gateway.model import (
    AdminSpec,
    Endpoint,
    ForwardSpec,
    GatewaySpec,
    HealthSettings,
    KeepAlive,
    PortMap,
    RoutesMode,
    TunnelKind,
    TunnelSpec,
    VpnSpec,
)

_RECOVERY_SHARE: Final = 0.8  # of the failing threshold: enough that a value which rests on it does not flap
_MICRO: Final = 6  # decimal places: what durations and percentages are read to


def gateway(table: GatewayTable) -> GatewaySpec:
    """`[gateway]`: the same keys on both sides."""
    return GatewaySpec(**dict(table))


def admin(table: AdminTable) -> AdminSpec:
    """`[admin]`: the same keys on both sides."""
    return AdminSpec(**dict(table))


def ranks(priorities: Sequence[int | None]) -> list[int]:
    """The rank of each tunnel (0 first): by priority, those without one last, file order among equals."""
    order = sorted(range(len(priorities)), key=lambda i: (priorities[i] is None, priorities[i] or 0))
    rank = [0] * len(priorities)
    for position, index in enumerate(order):
        rank[index] = position
    return rank


def health(table: HealthTable) -> HealthSettings:
    """`[tunnel.health]`: the same keys on both sides. A threshold for failure brings one for recovery with it."""
    keys = dict(table)
    for quality in ("latency", "loss"):
        failure = keys[f"failure_{quality}"]
        if failure is not None and keys[f"recovery_{quality}"] is None:
            keys[f"recovery_{quality}"] = round(failure * _RECOVERY_SHARE, _MICRO)
    return HealthSettings(**keys | {"probes": None if table.probes is None else tuple(table.probes)})


def tunnel(
    entry: InterfaceTunnel | ManagedTunnel, *, rank: int, vpn: VpnSpec | None = None, dns: Sequence[Endpoint] = ()
) -> TunnelSpec:
    """One `[[tunnel]]`; `vpn` and `dns` are what it connects with, and the name servers of its profile.

    Name servers of its own win over those of the profile.
    """
    spec = TunnelSpec(
        name=entry.name,
        kind=TunnelKind(entry.kind),
        interface=entry.interface if isinstance(entry, InterfaceTunnel) else entry.device,
        rank=rank,
        source_address=entry.source_address,
        mss=entry.mss,
        failback_delay=entry.failback_delay,
        weight=entry.weight,
        slow_start=entry.slow_start,
        dns=tuple(entry.dns or dns),
        vpn=vpn,
        routes=RoutesMode(entry.routes),
        health=health(entry.health),
    )
    if isinstance(entry, InterfaceTunnel):
        return spec
    return replace(spec, autoconnect=entry.autoconnect, reconnect_after=entry.reconnect_after)


def by_rank(tunnels: Iterable[TunnelSpec]) -> tuple[str, ...]:
    """Names in the order in which a forward that lists none tries them."""
    return tuple(spec.name for spec in sorted(tunnels, key=lambda spec: spec.rank))


def keepalive(table: ForwardDefaults) -> KeepAlive:
    """The three keepalive keys; the kernel counts in whole seconds."""
    return KeepAlive(
        idle=int(table.keepalive_idle), interval=int(table.keepalive_interval), count=table.keepalive_count
    )


def forward(entry: ForwardEntry, ports: tuple[PortMap, ...], *, every: tuple[str, ...]) -> ForwardSpec:
    """One `[[forward]]`. `every` is what "all tunnels" stands for, in order."""
    return ForwardSpec(
        name=entry.name,
        ports=ports,
        tunnels=every if entry.tunnels is None else tuple(entry.tunnels),
        policy=entry.policy,
        on_tunnel_down=entry.on_tunnel_down.action,
        grace=entry.on_tunnel_down.grace,
        allow=tuple(entry.allow or ()),
        proxy_protocol=entry.proxy_protocol,
        max_connections=entry.max_connections,
        connect_timeout=entry.connect_timeout,
        idle_timeout=entry.idle_timeout,
        half_close_timeout=entry.half_close_timeout,
        keepalive=keepalive(entry),
        tcp_user_timeout=entry.tcp_user_timeout,
        when_down=entry.when_down,
        hold_timeout=entry.hold_timeout,
        hold_max=entry.hold_max,
        hedge_after=entry.hedge_after,
        failback=entry.failback,
        failback_rate=entry.failback_rate,
    )
