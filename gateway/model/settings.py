"""The configuration, validated: what the file says, as frozen values. Durations are seconds, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.names import (
    Endpoint,
    Failback,
    ForwardPolicy,
    IPAddress,
    IPNetwork,
    ListenAddress,
    ProbeKind,
    ProxyProtocol,
    ReadyWhen,
    SessionLog,
    TunnelDownAction,
    TunnelKind,
    WhenDown,
)
from gateway.model.vpn import RoutesMode, VpnSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAlive:
    """TCP keepalive, both sides of a session. The default gives up after 60 s, well inside a NAT's usual 120 s."""

    idle: int = 30
    interval: int = 10
    count: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One check through a tunnel. `label` is the URL as it was written: its name in logs and metrics.

    `host` is an address or a name; for `dns` it is the server, and `name` the question. `port` is 0 for `icmp`.
    `status` bounds what `http` takes for an answer, both included; `size` is an echo request's payload, bytes.
    """

    label: str
    kind: ProbeKind
    host: str
    port: int = 0
    path: str = "/"
    status: tuple[int, int] = (200, 399)
    name: str = ""
    size: int = 56

    @property
    def endpoint(self) -> Endpoint | None:
        """The target that an answer speaks for; None where the probe does not ask a TCP port."""
        return None if self.kind in _NOT_TCP else Endpoint(self.host, self.port)


_NOT_TCP = frozenset({ProbeKind.ICMP, ProbeKind.DNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """How evidence about one tunnel is weighed. `docs/health.md` has the reasons.

    `probes=None`: the targets of the forwards that use the tunnel; empty: none. `reliability`: so many of several
    configured probes must pass. Latency is in seconds, loss a ratio; None: no such threshold.
    """

    interval: float = 1.0  # start of one probe to the start of the next
    timeout: float = 0.8
    rise: int = 2
    fall: int = 3
    suspect_after: float = 0.3
    fast_interval: float = 0.05
    down_after: float = 1.4
    stall_after: float = 5.0
    reliability: int = 1
    failure_latency: float | None = None
    recovery_latency: float | None = None
    failure_loss: float | None = None
    recovery_loss: float | None = None
    probes: tuple[ProbeSpec, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSpec:
    """One `[[tunnel]]`. `interface` is the device name; `rank` orders tunnels (0 first)."""

    name: str
    kind: TunnelKind
    interface: str
    rank: int = 0
    source_address: IPAddress | None = None
    mss: int | None = None
    failback_delay: float = 30.0
    weight: int = 1  # its share of a balanced forward's sessions
    slow_start: float = 0.0  # seconds in which the share of a tunnel that came back grows to the whole
    dns: tuple[Endpoint, ...] = ()  # name servers asked through the tunnel; none: the system's resolver
    vpn: VpnSpec | None = None  # what its driver connects with; None: somebody else made the device
    routes: RoutesMode = RoutesMode.NONE
    autoconnect: bool = True
    reconnect_after: float = 10.0  # seconds DOWN, though its client says it is connected, until it connects anew
    health: HealthSettings = HealthSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMap:
    """One listen address of a forward and the target it leads to. A range in the file is many of these."""

    listen: ListenAddress
    target: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardSpec:
    """One `[[forward]]`: `tunnels` are names in the order in which they are to be tried."""

    name: str
    ports: tuple[PortMap, ...]
    tunnels: tuple[str, ...]
    policy: ForwardPolicy = ForwardPolicy.FAILOVER
    on_tunnel_down: TunnelDownAction = TunnelDownAction.ABORT
    grace: float = 0.0
    allow: tuple[IPNetwork, ...] = ()
    proxy_protocol: ProxyProtocol = ProxyProtocol.NONE
    max_connections: int = 4096
    connect_timeout: float = 5.0
    idle_timeout: float = 3600.0
    half_close_timeout: float = 300.0
    keepalive: KeepAlive = KeepAlive()
    tcp_user_timeout: float = 60.0
    when_down: WhenDown = WhenDown.RESET
    hold_timeout: float = 0.0  # how long a client may wait for a tunnel; 0: not at all
    hold_max: int = 1024  # clients that may wait at once
    hedge_after: float = 0.0  # a dial unanswered for so long is raced on the next tunnel; 0: never
    failback: Failback = Failback.AUTO
    failback_rate: float = 0.0  # sessions a second that are moved back by a reset, idle ones first; 0: none


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySpec:
    """`[gateway]`. `max_connections=None`: what the descriptor limit allows."""

    environment: str = "default"
    drain_timeout: float = 25.0
    drain_delay: float = 0.0
    max_connections: int | None = None
    session_log: SessionLog = SessionLog.ALL
    splice: bool = True
    reuse_upstreams: bool = True
    busy_poll: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSpec:
    """`[admin]`. `socket=None`: the default place of the control socket.

    `book`: the directory of the book; None: its default place; empty: nowhere, it is kept in memory on purpose.
    """

    listen: ListenAddress | None = ListenAddress("127.0.0.1", 9099)
    socket: str | None = None
    ready: ReadyWhen = ReadyWhen.ANY
    book: str | None = None
    book_days: int = 30  # how long lines of VPN clients and activities are kept
    book_lines: int = 10_000  # lines, and as many activities, that are kept of each tunnel


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration file, valid. `warnings` are for the operator: legal, but worth a look."""

    path: str
    gateway: GatewaySpec
    admin: AdminSpec
    tunnels: tuple[TunnelSpec, ...]
    forwards: tuple[ForwardSpec, ...]
    warnings: tuple[str, ...] = ()
