"""The frozen values that the rooms of the gateway hand to one another, and the enums they are made of.

Nothing here does anything: no I/O, no clock. Durations are seconds (float), sizes are bytes (int), moments are
`time.monotonic()` seconds unless a name ends in `_at_unix`. What the configuration file says becomes a `Config`;
what `policy` decides becomes a `RoutingTable`; what the data plane counted becomes `Stats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# ---------------------------------------------------------------- names of things


class Endpoint(NamedTuple):
    """A host (IP address in canonical text, or host name) and a port. A tuple: it is hashed on hot paths."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenAddress(NamedTuple):
    """Where a listener is bound. `host=None` (a bare port in the file) is every address, IPv4 and IPv6."""

    host: str | None
    port: int

    def __str__(self) -> str:
        return f"*:{self.port}" if self.host is None else str(Endpoint(self.host, self.port))


class Health(StrEnum):
    """What the evidence says of a tunnel. The transitions are a table in `policy.health`."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


class AdminState(StrEnum):
    """What the operator wants of a tunnel; never mixed with health."""

    ENABLED = "enabled"
    DRAINING = "draining"
    DISABLED = "disabled"


class Cause(StrEnum):
    """Why a tunnel, or a (tunnel, target) pair, changed its health."""

    FIRST_GOOD = "first_good"  # UNKNOWN → UP: one success is enough
    RECOVERED = "recovered"  # DOWN → UP after `rise`
    DEVICE_GONE = "device_gone"
    DEVICE_REPLACED = "device_replaced"  # same name, other index: sockets on the old one are dead
    LINK_DOWN = "link_down"  # IFF_UP is off
    CARRIER_LOST = "carrier_lost"  # IFF_LOWER_UP is off
    ADDRESS_GONE = "address_gone"
    NO_ROUTE = "no_route"  # of a (tunnel, target) only
    TARGET_SILENT = "target_silent"  # of a (tunnel, target) only: probes of it fail, others through the tunnel do not
    PROBES = "probes"
    STALL = "stall"
    DRIVER = "driver"
    QUALITY = "quality"  # of failovers only: latency or loss beyond what the operator allows
    DRILL = "drill"  # of sessions and failovers only: health stays what it is while a tunnel is taken out on purpose

    @property
    def hard(self) -> bool:
        """A hard cause is a fact, a soft one (probes, stall) a verdict that may be wrong."""
        return self not in _SOFT


_SOFT = frozenset({Cause.PROBES, Cause.STALL, Cause.TARGET_SILENT, Cause.QUALITY})


class Doubt(StrEnum):
    """Why an UP tunnel is suspect: a mark that has it looked at more closely, not a state of health.

    LATENCY and LOSS come from thresholds that the operator set; only these make selection prefer another tunnel.
    """

    UNANSWERED = "unanswered"  # a probe, or a dial
    UNACKNOWLEDGED = "unacknowledged"  # what live sessions sent
    STALL = "stall"  # packets go out, none come in
    LATENCY = "latency"
    LOSS = "loss"


class ProbeKind(StrEnum):
    """How a probe asks: the scheme of its URL."""

    TCP = "tcp"  # a handshake, reset before the application hears of it
    TLS = "tls"  # a TLS handshake; tells when the certificate expires
    HTTP = "http"
    HTTPS = "https"
    ICMP = "icmp"
    DNS = "dns"


class ProbeOutcome(StrEnum):
    """What came of one probe."""

    PASSED = "passed"
    ANSWERED = "answered"  # not what was asked for, but somebody is there: refused, another status, a bad certificate
    FAILED = "failed"  # nothing came, or a router in between says that nothing can
    LOCAL = "local"  # our own trouble (permission, descriptors, memory, ports): no evidence of anything


class TunnelKind(StrEnum):
    """Which driver brings a tunnel up."""

    INTERFACE = "interface"
    OPENVPN = "openvpn"
    IPSEC = "ipsec"
    WIREGUARD = "wireguard"


class ForwardPolicy(StrEnum):
    """How a forward chooses among its healthy tunnels."""

    FAILOVER = "failover"
    BALANCE = "balance"


class TunnelDownAction(StrEnum):
    """What becomes of a forward's sessions on a tunnel that fell."""

    ABORT = "abort"
    KEEP = "keep"
    GRACE = "grace"


class WhenDown(StrEnum):
    """What a forward's clients meet while none of its tunnels is healthy, and none is held for them."""

    RESET = "reset"  # accepted, and reset
    REFUSE = "refuse"  # nobody listens: ECONNREFUSED


class Failback(StrEnum):
    """How new sessions return to a better tunnel that is UP again."""

    AUTO = "auto"  # after its hold-down
    MANUAL = "manual"  # when the operator says so


class ProxyProtocol(StrEnum):
    """Version of the PROXY protocol header written to the target, if any."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"


class SessionLog(StrEnum):
    """Which finished sessions get a log line."""

    ALL = "all"
    FAILURES = "failures"  # those that did not end by an orderly end of file
    OFF = "off"


class ReadyWhen(StrEnum):
    """How many forwards must be servable for /readyz to say 200."""

    ANY = "any"
    ALL = "all"


# ---------------------------------------------------------------- fates of connections


class ConnectResult(StrEnum):
    """What became of an accepted client (`gateway_connections_total{result}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    OK = "ok"
    DENIED = "denied"
    LIMITED = "limited"
    NO_TUNNEL = "no_tunnel"
    DIAL_FAILED = "dial_failed"


class DialFailure(StrEnum):
    """Why one dial of an upstream failed (`gateway_connect_failures_total{reason}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    REFUSED = "refused"  # the target's own answer: proof that the tunnel lives
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    NOT_PROVEN = "not_proven"  # the device is gone, down, or not the one the name stands for: not dialled
    TUNNEL_DOWN = "tunnel_down"  # the tunnel fell while the dial was under way
    LOCAL = "local"  # our own trouble (descriptors, memory, ports): never counts against a tunnel
    RESET = "reset"


class HoldResult(StrEnum):
    """What became of a client that waited for a tunnel (`gateway_holds_total{result}`)."""

    SERVED = "served"  # a tunnel came in time, and was dialled
    TIMED_OUT = "timed_out"
    LEFT = "left"  # the client gave up
    LIMITED = "limited"  # as many as may were waiting already
    ENDED = "ended"  # the gateway stopped, or the forward is gone


class HedgeResult(StrEnum):
    """What a second dial, raced against an unanswered first one, came to (`gateway_hedges_total{result}`)."""

    WON = "won"
    LOST = "lost"
    FAILED = "failed"  # neither did


class CloseReason(StrEnum):
    """Why an established session ended (`gateway_connections_closed_total{reason}`)."""

    __hash__ = str.__hash__  # counted on the hot path, and Enum's own is a Python function

    EOF = "eof"
    CLIENT_RESET = "client_reset"
    TARGET_RESET = "target_reset"
    IDLE = "idle"
    HALF_CLOSE_TIMEOUT = "half_close_timeout"
    USER_TIMEOUT = "user_timeout"
    TUNNEL_DOWN = "tunnel_down"
    DRAIN = "drain"
    ERROR = "error"


# ---------------------------------------------------------------- configuration, validated


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
    """`[admin]`. `socket=None`: the default place of the control socket."""

    listen: ListenAddress | None = ListenAddress("127.0.0.1", 9099)
    socket: str | None = None
    ready: ReadyWhen = ReadyWhen.ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration file, valid. `warnings` are for the operator: legal, but worth a look."""

    path: str
    gateway: GatewaySpec
    admin: AdminSpec
    tunnels: tuple[TunnelSpec, ...]
    forwards: tuple[ForwardSpec, ...]
    warnings: tuple[str, ...] = ()


# ---------------------------------------------------------------- kernel facts


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What the kernel says of one device, read whole (netlink messages are only hints to read again)."""

    index: int
    up: bool  # IFF_UP
    carrier: bool  # IFF_LOWER_UP; a device that has no carrier notion (operstate UNKNOWN, as tun) counts as up
    mtu: int
    addresses: tuple[str, ...] = ()  # canonical text, kernel order, link-local excluded


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSnapshot:
    """Links by interface name (absent: no such device) and the (interface, address) pairs that have no route."""

    links: Mapping[str, LinkFacts] = field(default_factory=dict)
    unrouted: frozenset[tuple[str, str]] = frozenset()


# ---------------------------------------------------------------- what traffic and probes are about


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the traffic of one tunnel says of it, from the ledger and a bounded sample of TCP_INFO (tcp(7)).

    Moments are monotonic. By target: `heard` when last data or an acknowledgement came, of the sampled sessions;
    `dialled` when last a dial worked. `unanswered`: of the dials under way, the earliest start by target.
    `unacknowledged_since`: since when the sampled sessions that wait for an acknowledgement (zero windows left out,
    older than max(1 s, 4 RTT)) have heard nothing, by target. `large_lost`: the smallest segment size that sampled
    sessions sent again and again, unacknowledged, while the tunnel lives; None: none did.
    `rtt`: median smoothed round trip of the sample, seconds; None: nothing was sampled.
    """

    heard: Mapping[Endpoint, float] = field(default_factory=dict)
    dialled: Mapping[Endpoint, float] = field(default_factory=dict)
    unanswered: Mapping[Endpoint, float] = field(default_factory=dict)
    unacknowledged_since: Mapping[Endpoint, float] = field(default_factory=dict)
    large_lost: int | None = None
    rtt: float | None = None


# ---------------------------------------------------------------- decisions: what the data plane is told


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


# ---------------------------------------------------------------- what the admin side sees


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeView:
    """One probe, or one target, through one tunnel. Moments are monotonic, `rtt` is in seconds, `loss` a ratio.

    `label` names it; `target` is what it speaks for. `run`: answers in a row (> 0) or failures in a row (< 0).
    """

    label: str
    target: Endpoint | None
    health: Health
    run: int
    last_at: float | None
    last_outcome: ProbeOutcome | None
    alive_at: float | None
    rtt: float | None
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelView:
    """One tunnel as the controller sees it. `hold_until`: not chosen before this moment while another is UP.

    `flaps`: falls that still count against it. `alive_at`: the last sign of life. `evidence`: what its health rests on.
    `mss`: what segments are clamped to because larger ones vanish. `drill_until`, `drain_until`: the operator's doing.
    `next`: what would have to happen next, in words.
    """

    name: str
    kind: TunnelKind
    health: Health
    admin: AdminState
    cause: Cause | None
    since: float
    hold_until: float | None = None
    interface: str = ""
    addresses: tuple[str, ...] = ()
    evidence: str = ""
    doubts: tuple[Doubt, ...] = ()
    alive_at: float | None = None
    rtt: float | None = None
    loss: float | None = None
    flaps: int = 0
    mss: int | None = None
    drill_until: float | None = None
    drain_until: float | None = None
    next: str = ""
    probes: tuple[ProbeView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardView:
    """One forward as the controller sees it. `active` is the tunnel that new sessions take, None for none.

    `why` says, per tunnel that is not chosen (or for the forward as a whole under ""), why not. `offered` is the whole
    order of tunnels to try now.
    """

    name: str
    active: str | None
    servable: bool
    why: Mapping[str, str]
    listens: tuple[str, ...] = ()
    target: str = ""
    policy: ForwardPolicy = ForwardPolicy.FAILOVER
    failback: Failback = Failback.AUTO
    offered: tuple[str, ...] = ()
    last_resort: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """A histogram of seconds: `counts[i]` fell into (bounds[i-1], bounds[i]], the last beyond all bounds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlView:
    """The controller's immutable picture, replaced as a whole at each change."""

    tunnels: tuple[TunnelView, ...] = ()
    forwards: tuple[ForwardView, ...] = ()
    transitions: Mapping[tuple[str, Cause], int] = field(default_factory=dict)
    failovers: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)  # forward, from, to, cause
    failover_seconds: Durations | None = None  # first evidence to first successful connect; None before the first
    failbacks: Mapping[tuple[str, str, str], int] = field(default_factory=dict)  # forward, from, to


# ---------------------------------------------------------------- what an operator is told


@dataclass(frozen=True, slots=True, kw_only=True)
class DrilledForward:
    """How one forward fared in a drill: `to_tunnel` took over `seconds` after the start; None: nobody connected.

    `probed`: no client came, so the gateway dialled the target itself, which took `seconds`.
    """

    forward: str
    to_tunnel: str | None
    seconds: float | None
    probed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """What a drill of `tunnel` showed. `sessions_reset` were on it; `restored`: it takes new sessions again."""

    tunnel: str
    seconds: float
    sessions_reset: int
    restored: bool
    forwards: tuple[DrilledForward, ...]
