"""The tables of the file as pydantic models: `[gateway]`, `[admin]`, `[[forward]]` and `[defaults.forward]`.

They mirror the file, key by key; `build.py` turns them into the frozen values of `gateway.model`, whose defaults
they take over, so that each default is written once. Every description is shown by editors (`gateway schema`).
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from gateway.config.fields import (
    KEEPALIVE_LONGEST,
    NAME_PATTERN,
    USER_TIMEOUT_LONGEST,
    AdminListenField,
    BookField,
    Duration,
    ListenField,
    NetworkField,
    OnTunnelDown,
    OnTunnelDownField,
    TargetField,
    duration,
)
from gateway.model import (
    AdminSpec,
    Failback,
    ForwardPolicy,
    ForwardSpec,
    GatewaySpec,
    ProxyProtocol,
    ReadyWhen,
    SessionLog,
    WhenDown,
)

_GATEWAY: Final = GatewaySpec()
_ADMIN: Final = AdminSpec()
_FORWARD: Final = ForwardSpec(name="", ports=(), tunnels=())

BOOK_DAYS_MOST: Final = 3650
BOOK_LINES_MOST: Final = 10_000_000  # of each tunnel; about 2 GB

NAME_FIELD: Final = Field(
    pattern=NAME_PATTERN, description="Its name in logs, metrics and commands. Unique; letters, digits, _ . and -."
)


class Table(BaseModel):
    """A table of the file: unknown keys are refused, and no value is bent into another type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def misplaced(cls, _key: str) -> str | None:
        """Where a key that this table does not have belongs; None where that cannot be told."""
        return None


class GatewayTable(Table):
    """What holds for the whole process."""

    environment: str = Field(
        default=_GATEWAY.environment,
        min_length=1,
        max_length=128,
        description="A label on logs and metrics, so that production and staging are told apart.",
    )
    drain_timeout: Annotated[float, Duration(least=0)] = duration(
        _GATEWAY.drain_timeout, "How long sessions may go on after SIGTERM. Keep it below the platform's own patience."
    )
    drain_delay: Annotated[float, Duration(least=0)] = duration(
        _GATEWAY.drain_delay,
        "How long listeners stay open after SIGTERM, while load balancers look away. Counts inside drain_timeout.",
    )
    max_connections: int | None = Field(
        default=_GATEWAY.max_connections,
        ge=1,
        description="Sessions in all. Left out: as many as the limit on open files allows.",
    )
    session_log: Annotated[SessionLog, Field(strict=False)] = Field(
        default=_GATEWAY.session_log, description="Which finished sessions get a log line."
    )
    splice: bool = Field(
        default=_GATEWAY.splice, description="Move bulk data inside the kernel. False copies: slower, works everywhere."
    )
    reuse_upstreams: bool = Field(
        default=_GATEWAY.reuse_upstreams,
        description="Use upstream sockets again for later sessions (never their connections): cheaper connects.",
    )
    busy_poll: Annotated[float, Duration(least=0, most=0.001)] = duration(
        _GATEWAY.busy_poll, "Spin this long after activity: round trips get shorter, an idle processor busier."
    )


class AdminTable(Table):
    """Where the gateway is watched."""

    listen: AdminListenField = Field(
        default=_ADMIN.listen,
        description="Address of /healthz, /readyz and /metrics; false for none.",
        json_schema_extra={"default": str(_ADMIN.listen)},
    )
    socket: str | None = Field(
        default=_ADMIN.socket,
        min_length=1,
        description="Path of the control socket, by which the verbs reach the gateway. Left out: the default place.",
    )
    ready: Annotated[ReadyWhen, Field(strict=False)] = Field(
        default=_ADMIN.ready, description="How many forwards must be servable for /readyz to say 200."
    )
    book: BookField | None = Field(
        default=_ADMIN.book,
        description="Directory in which lines of VPN clients and activities are kept; false: in memory only. "
        "Left out: the default place.",
    )
    book_days: int = Field(
        default=_ADMIN.book_days, ge=1, le=BOOK_DAYS_MOST, description="Days for which the book keeps them."
    )
    book_lines: int = Field(
        default=_ADMIN.book_lines,
        ge=100,
        le=BOOK_LINES_MOST,
        description="Lines that the book keeps of each tunnel, and as many activities.",
    )


class ForwardDefaults(Table):
    """What an entry may leave out: the keys that `[defaults.forward]` shares with `[[forward]]`."""

    tunnels: list[str] | None = Field(
        default=None, min_length=1, description="Tunnels to try, in this order. Left out: all of them, by priority."
    )
    policy: Annotated[ForwardPolicy, Field(strict=False)] = Field(
        default=_FORWARD.policy,
        description="failover: the first healthy tunnel takes all sessions; balance: all healthy ones share them.",
    )
    on_tunnel_down: OnTunnelDownField = Field(
        default=OnTunnelDown(_FORWARD.on_tunnel_down, _FORWARD.grace),
        description="What becomes of sessions on a tunnel that fell: reset at once, kept, or kept for a while.",
        json_schema_extra={"default": _FORWARD.on_tunnel_down},
    )
    allow: list[NetworkField] | None = Field(
        default=None, min_length=1, description="Networks that clients may come from. Left out: everywhere."
    )
    proxy_protocol: Annotated[ProxyProtocol, Field(strict=False)] = Field(
        default=_FORWARD.proxy_protocol, description="Tell the target the client's address by a PROXY protocol header."
    )
    max_connections: int = Field(
        default=_FORWARD.max_connections, ge=1, description="Sessions of this forward at once; more are reset."
    )
    connect_timeout: Annotated[float, Duration(least=0.01)] = duration(
        _FORWARD.connect_timeout, "Time to reach the target, all tunnels tried together."
    )
    idle_timeout: Annotated[float, Duration(least=1)] = duration(
        _FORWARD.idle_timeout, "A session that carries nothing for so long is closed."
    )
    half_close_timeout: Annotated[float, Duration(least=1)] = duration(
        _FORWARD.half_close_timeout, "How long one direction may go on after the other has ended."
    )
    keepalive_idle: Annotated[float, Duration(least=1, most=KEEPALIVE_LONGEST, whole=True)] = duration(
        _FORWARD.keepalive.idle, "Silence before the first TCP keepalive. Below 120 s, at which many NATs forget."
    )
    keepalive_interval: Annotated[float, Duration(least=1, most=KEEPALIVE_LONGEST, whole=True)] = duration(
        _FORWARD.keepalive.interval, "Time between unanswered keepalives."
    )
    keepalive_count: int = Field(
        default=_FORWARD.keepalive.count, ge=1, le=127, description="Unanswered keepalives before the session ends."
    )
    tcp_user_timeout: Annotated[float, Duration(least=1, most=USER_TIMEOUT_LONGEST)] = duration(
        _FORWARD.tcp_user_timeout,
        "How long data may stay unacknowledged by the target. At least keepalive_idle + interval x count.",
    )
    when_down: Annotated[WhenDown, Field(strict=False)] = Field(
        default=_FORWARD.when_down,
        description="What clients meet while no tunnel is healthy: accepted and reset, or refused (nobody listens).",
    )
    hold_timeout: Annotated[float, Duration(least=0)] = duration(
        _FORWARD.hold_timeout, "How long a client may wait for a healthy tunnel before it is reset; 0s: not at all."
    )
    hold_max: int = Field(
        default=_FORWARD.hold_max, ge=1, description="Clients of this forward that may wait at once; more are reset."
    )
    hedge_after: Annotated[float, Duration(least=0)] = duration(
        _FORWARD.hedge_after, "A dial unanswered for so long is raced on the next tunnel; 0s: never."
    )
    failback: Annotated[Failback, Field(strict=False)] = Field(
        default=_FORWARD.failback,
        description="auto: new sessions return to a better tunnel after its hold-down; manual: when the operator says.",
    )
    failback_rate: float = Field(
        default=_FORWARD.failback_rate,
        ge=0,
        allow_inf_nan=False,
        description="Old sessions a second moved back by a reset, the longest idle first; 0: they stay.",
        json_schema_extra={"default": 0},
    )


class ForwardEntry(ForwardDefaults):
    """A rule: connections to `listen` are relayed to `target` through one of `tunnels`."""

    name: str = NAME_FIELD
    listen: ListenField = Field(
        description="Port, address and port, or range of ports. A bare port is IPv4 and IPv6, [::] IPv6 only."
    )
    target: TargetField = Field(
        description="Host and port to reach through the tunnel. A listen range needs a target range of equal length."
    )


class PartialForward(ForwardDefaults):
    """What is left of an entry without the keys that are wrong: enough to check the others."""

    name: str | None = None
    listen: ListenField | None = None
    target: TargetField | None = None
