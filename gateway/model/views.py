"""Views: what people and Prometheus are shown, replaced as a whole at each change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.names import (
    AdminState,
    Cause,
    Doubt,
    Endpoint,
    Failback,
    ForwardPolicy,
    Health,
    ProbeOutcome,
    TunnelKind,
)


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
