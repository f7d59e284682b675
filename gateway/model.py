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
    PROBES = "probes"
    STALL = "stall"
    DRIVER = "driver"

    @property
    def hard(self) -> bool:
        """A hard cause is a fact, a soft one (probes, stall) a verdict that may be wrong."""
        return self not in _SOFT


_SOFT = frozenset({Cause.PROBES, Cause.STALL})


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
class HealthSettings:
    """How evidence about one tunnel is weighed."""

    interval: float = 1.0
    timeout: float = 0.8
    rise: int = 2
    fall: int = 3
    probes: tuple[str, ...] = ()


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


# ---------------------------------------------------------------- decisions: what the data plane is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A tunnel as a socket sees it: bind to `ifindex`, which must still be what `interface` names."""

    tunnel: str
    interface: str
    ifindex: int
    source_address: IPAddress | None = None
    mss: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The tunnels to try for one (forward, target), right now and in order. Empty: refuse the client.

    `last_resort`: none is UP, the one named is soft-DOWN and dialled all the same (counted).
    """

    tunnels: tuple[str, ...]
    last_resort: bool = False


NO_CHOICE = Choice(tunnels=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """The whole instruction to the data plane. Immutable; a new one replaces the old one as a difference.

    `choices` has a key for each (forward name, target) of `forwards`; `addresses` gives the IP addresses of each
    target host, best first (an IP host stands for itself; an unresolved name is absent).
    """

    generation: int
    forwards: tuple[ForwardSpec, ...]
    paths: Mapping[str, Path]
    choices: Mapping[tuple[str, Endpoint], Choice]
    addresses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of a tunnel's health. `at` is monotonic."""

    tunnel: str
    old: Health
    new: Health
    cause: Cause
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """New sessions of `forward` go to `to_tunnel`, because `from_tunnel` failed them for `cause`."""

    forward: str
    from_tunnel: str
    to_tunnel: str
    cause: Cause


# ---------------------------------------------------------------- what the admin side sees


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelView:
    """One tunnel as the controller sees it. `hold_until`: not chosen before this moment while another is UP."""

    name: str
    kind: TunnelKind
    health: Health
    admin: AdminState
    cause: Cause | None
    since: float
    hold_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardView:
    """One forward as the controller sees it. `active` is the tunnel that new sessions take, None for none.

    `why` says, per tunnel that is not chosen (or for the forward as a whole under ""), why not.
    """

    name: str
    active: str | None
    servable: bool
    why: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlView:
    """The controller's immutable picture, replaced as a whole at each change."""

    tunnels: tuple[TunnelView, ...] = ()
    forwards: tuple[ForwardView, ...] = ()
    transitions: Mapping[tuple[str, Cause], int] = field(default_factory=dict)
    failovers: Mapping[tuple[str, str, str, str], int] = field(default_factory=dict)  # forward, from, to, cause
