"""The state: the whole of what the gateway believes, immutable. The controller keeps it; `reconcile` makes the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from gateway.model import (
    AdminState,
    Cause,
    Doubt,
    Endpoint,
    ForwardSpec,
    Health,
    KernelSnapshot,
    LinkFacts,
    ProbePlan,
    RoutingTable,
    TunnelSpec,
)
from gateway.policy.checks import Checks
from gateway.policy.failback import Damping
from gateway.policy.fate import Reprieve
from gateway.policy.health import TunnelHealth
from gateway.policy.layout import Layout, lay_out
from gateway.policy.pulse import Pulse
from gateway.policy.quality import Quality
from gateway.policy.selection import Standing
from gateway.policy.stall import Counters

POOR = frozenset({Doubt.LATENCY, Doubt.LOSS})
"""The doubts that selection heeds: the operator set a threshold, and the tunnel is beyond it."""

HANDED_IN = frozenset({Doubt.UNANSWERED, Doubt.UNACKNOWLEDGED})
"""The doubts that come as evidence, and that a sign of life takes back. All others are worked out in each step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelState:
    """All that is known of one tunnel. `facts` are the last seen; `fact_cause` what they say now, None for good.

    Both are None until the kernel has been seen: then nothing is known of the tunnel. `verdict` is the driver's, and
    `said` its reason in words; `awaited` is the moment until which its first connection is waited for (see `awaits`).
    `is_probed`: there is something to probe, so that life is shown by answers, not by looks. `heard_at` is when last
    traffic, not a probe, showed life.
    `doubts` have the moment since which they hold, `clamp` is the MSS beyond which segments vanish.
    `drain_until` and `drill_until` are the operator's.
    """

    spec: TunnelSpec
    health: TunnelHealth = TunnelHealth()
    damping: Damping = Damping()
    admin: AdminState = AdminState.ENABLED
    facts: LinkFacts | None = None
    fact_cause: Cause | None = None
    verdict: Cause | None = None
    said: str = ""
    awaited: float | None = None
    is_probed: bool = False
    pulse: Pulse = Pulse()
    heard_at: float | None = None
    checks: Checks = Checks()
    quality: Quality = Quality()
    counters: Counters | None = None
    doubts: Mapping[Doubt, float] = field(default_factory=dict)
    clamp: int | None = None
    evidence_at: float | None = None
    drain_until: float | None = None
    drill_until: float | None = None

    @property
    def is_seen(self) -> bool:
        """Whether the kernel has said anything about the device, be it that there is none."""
        return self.facts is not None or self.fact_cause is not None

    def awaits(self, now: float) -> bool:
        """Whether its first connection is still to come: then neither that, nor the missing device, is news."""
        if self.awaited is None or self.health.health is not Health.UNKNOWN or now >= self.awaited:
            return False
        return self.verdict is not None or self.fact_cause is not None

    @property
    def standing(self) -> Standing:
        """The tunnel as selection sees it, as of the last step."""
        return Standing(
            health=self.health.health,
            cause=self.health.cause,
            admin=self.admin,
            held=self.damping.hold_until is not None,
            drilled=self.drill_until is not None,
            poor=not POOR.isdisjoint(self.doubts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the gateway believes. `kernel` is None before the first look; until then there is no table to speak of.

    `opening_from`: since when clients could be let in, if only more were known (see `opening`); `is_open`: they are.

    `lost` has, for each target host that lacks a route somewhere, the tunnels that do not lead to it; `dead`, for each
    target that does not answer somewhere, the tunnels behind which it does not. `active` is the tunnel that each
    forward's new sessions took last, and `left` why they stopped, while nothing else could be taken.
    `sticky` is the tunnel that each forward with manual failback stays on while it can; `eager` are the forwards whose
    operator will not wait for hold-downs, `sheds` has by (forward, tunnel) the moment at which the next sessions are
    moved back from there. `plans` is what is to be probed.
    """

    forwards: tuple[ForwardSpec, ...]
    layout: Layout = field(compare=False, repr=False)
    tunnels: Mapping[str, TunnelState]
    kernel: KernelSnapshot | None = None
    is_open: bool = False
    opening_from: float | None = None
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    through: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    lost: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dead: Mapping[Endpoint, frozenset[str]] = field(default_factory=dict)
    reprieves: tuple[Reprieve, ...] = ()
    table: RoutingTable
    active: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, Cause] = field(default_factory=dict)
    sticky: Mapping[str, str] = field(default_factory=dict)
    eager: frozenset[str] = frozenset()
    sheds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    plans: Mapping[str, ProbePlan] = field(default_factory=dict)


def initial(forwards: tuple[ForwardSpec, ...], tunnels: tuple[TunnelSpec, ...]) -> State:
    """The state before any evidence: every tunnel UNKNOWN, an empty table."""
    literals = {
        ports.target.host: (ports.target.host,)
        for forward in forwards
        for ports in forward.ports
        if is_address(ports.target.host)
    }
    layout = lay_out(forwards)
    return State(
        forwards=forwards,
        layout=layout,
        tunnels={spec.name: TunnelState(spec=spec) for spec in tunnels},
        addresses=literals,
        through=_unasked(layout, tunnels),
        table=RoutingTable(
            generation=0,
            forwards=forwards,
            paths={},
            choices={},
            addresses=literals,
            tunnel_addresses=_unasked(layout, tunnels),
        ),
    )


def _unasked(layout: Layout, tunnels: tuple[TunnelSpec, ...]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The names that are asked through a tunnel: without an address yet, and never with one from elsewhere."""
    return {
        (spec.name, host): ()
        for spec in tunnels
        if spec.dns
        for host in (
            *(target.host for target in layout.targets.get(spec.name, ())),
            *(probe.host for probe in spec.health.probes or ()),
        )
        if not is_address(host)
    }


def is_address(host: str) -> bool:
    """Whether a target host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
