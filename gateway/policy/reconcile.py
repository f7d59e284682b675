"""Reconcile: evidence in, the next state and what is to be done about it out. Pure.

    state, decision = step(state, evidence, now)

The controller is the only caller that keeps the state. Everything it does to the world is in the `Decision`: a new
routing table (when it differs), sessions to abort, transitions and failovers to log and count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from gateway.model import (
    AdminState,
    Cause,
    Choice,
    Endpoint,
    Failover,
    ForwardSpec,
    Health,
    KernelSnapshot,
    LinkFacts,
    Path,
    RoutingTable,
    Transition,
    TunnelSpec,
)
from gateway.policy import failback, health
from gateway.policy.failback import Damping
from gateway.policy.fate import Reprieve, fate
from gateway.policy.health import TunnelHealth
from gateway.policy.kernel import judge
from gateway.policy.selection import Standing, choose

# ---------------------------------------------------------------- evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSeen:
    """The kernel's picture of all devices and routes that matter, read whole."""

    snapshot: KernelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesSeen:
    """Addresses of all host-name targets that are known."""

    addresses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is concluded about a tunnel from elsewhere than the kernel; `cause=None` takes it back."""

    tunnel: str
    cause: Cause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Nothing new, but a moment named by `next_due` has come."""


Evidence = KernelSeen | NamesSeen | Verdict | TimePassed

# ---------------------------------------------------------------- state


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelState:
    """All that is known of one tunnel. `facts` are the last seen; `fact_cause` what they say now, None for good."""

    spec: TunnelSpec
    health: TunnelHealth = TunnelHealth()
    damping: Damping = Damping()
    admin: AdminState = AdminState.ENABLED
    facts: LinkFacts | None = None
    fact_cause: Cause | None = None
    verdict: Cause | None = None

    def standing(self, now: float) -> Standing:
        """The tunnel as selection sees it."""
        return Standing(
            health=self.health.health,
            cause=self.health.cause,
            admin=self.admin,
            held=failback.is_held(self.damping, now),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The whole of what the gateway believes. `active` is the last tunnel that each forward's new sessions took."""

    forwards: tuple[ForwardSpec, ...]
    tunnels: Mapping[str, TunnelState]
    kernel: KernelSnapshot = KernelSnapshot()
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reprieves: tuple[Reprieve, ...] = ()
    table: RoutingTable
    active: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Reset the sessions of `forwards` on `tunnel`."""

    tunnel: str
    forwards: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done, in this order: apply `table` (if any), then the aborts."""

    table: RoutingTable | None = None
    aborts: tuple[Abort, ...] = ()
    transitions: tuple[Transition, ...] = ()
    failovers: tuple[Failover, ...] = ()


def initial(forwards: tuple[ForwardSpec, ...], tunnels: tuple[TunnelSpec, ...]) -> State:
    """The state before any evidence: every tunnel UNKNOWN, an empty table."""
    literals = {
        ports.target.host: (ports.target.host,)
        for forward in forwards
        for ports in forward.ports
        if is_address(ports.target.host)
    }
    table = RoutingTable(generation=0, forwards=forwards, paths={}, choices={}, addresses=literals)
    return State(
        forwards=forwards,
        tunnels={spec.name: TunnelState(spec=spec) for spec in tunnels},
        addresses=literals,
        table=table,
    )


def is_address(host: str) -> bool:
    """Whether a target host is an IP address, not a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------- the step


def step(state: State, evidence: Evidence, now: float) -> tuple[State, Decision]:
    """Weigh one piece of evidence. Never raises on evidence; tunnels that are not configured are ignored."""
    before = state
    state = _weigh(state, evidence, now)
    transitions = _transitions(before, state, now)
    aborts, reprieves = _fates(state, transitions, now)
    table = _table(state, now)
    failovers, active = _failovers(state, table)
    changed = not _same(before.table, table)
    if changed:
        table = replace(table, generation=before.table.generation + 1)
    state = replace(state, reprieves=reprieves, active=active, table=table if changed else before.table)
    return state, Decision(
        table=table if changed else None, aborts=aborts, transitions=transitions, failovers=failovers
    )


def next_due(state: State, now: float) -> float | None:
    """The next moment at which time alone changes something: then step with `TimePassed`."""
    moments = [reprieve.until for reprieve in state.reprieves]
    for tunnel in state.tunnels.values():
        moments += [
            moment
            for moment in (health.due(tunnel.health, tunnel.spec.health), tunnel.damping.hold_until)
            if moment is not None and moment > now
        ]
    return min(moments, default=None)


def _weigh(state: State, evidence: Evidence, now: float) -> State:
    match evidence:
        case KernelSeen(snapshot=snapshot):
            tunnels = {
                name: _see(tunnel, snapshot.links.get(tunnel.spec.interface), now)
                for name, tunnel in state.tunnels.items()
            }
            return replace(state, kernel=snapshot, tunnels=tunnels)
        case NamesSeen(addresses=addresses):
            return replace(state, addresses={**state.addresses, **addresses})
        case Verdict(tunnel=name, cause=cause):
            if name not in state.tunnels:
                return state
            tunnel = replace(state.tunnels[name], verdict=cause)
            return replace(state, tunnels={**state.tunnels, name: _settle(tunnel, cause, now)})
        case TimePassed():
            return replace(state, tunnels={name: _settle(it, None, now) for name, it in state.tunnels.items()})


def _see(tunnel: TunnelState, facts: LinkFacts | None, now: float) -> TunnelState:
    """The kernel says `facts` of the tunnel's device."""
    source = tunnel.spec.source_address
    momentary = judge(tunnel.facts, facts, source=source)
    tunnel = replace(tunnel, facts=facts, fact_cause=judge(facts, facts, source=source))
    return _settle(tunnel, momentary, now)


def _settle(tunnel: TunnelState, news: Cause | None, now: float) -> TunnelState:
    """Bring health up to date: with `news` against the tunnel (which may be momentary), then with what lasts."""
    old = tunnel.health
    state = old if news is None else health.fail(old, news, now)
    lasting = tunnel.fact_cause or tunnel.verdict
    if lasting is not None:
        state = health.fail(state, lasting, now)
    elif tunnel.facts is not None:
        state = health.look(state, tunnel.spec.health, now)
    damping = tunnel.damping
    if old.health is Health.UP and state.health is not Health.UP:
        damping = failback.fallen(damping, now)
    elif old.health is not Health.UP and state.health is Health.UP:
        damping = failback.recovered(damping, tunnel.spec.failback_delay, now)
    return replace(tunnel, health=state, damping=damping)


def _transitions(before: State, after: State, now: float) -> tuple[Transition, ...]:
    return tuple(
        Transition(tunnel=name, old=old.health.health, new=new.health.health, cause=new.health.cause, at=now)
        for name, new in after.tunnels.items()
        if (old := before.tunnels[name]).health.health is not new.health.health and new.health.cause is not None
    )


def _fates(
    state: State, transitions: tuple[Transition, ...], now: float
) -> tuple[tuple[Abort, ...], tuple[Reprieve, ...]]:
    """Aborts that are due, from falls and from reprieves that have run out, and the reprieves that go on."""
    healths = {name: tunnel.health.health for name, tunnel in state.tunnels.items()}
    aborts: list[Abort] = []
    reprieves: list[Reprieve] = []
    for reprieve in state.reprieves:
        if reprieve.revocable and healths[reprieve.tunnel] is Health.UP:
            continue
        if now >= reprieve.until:
            aborts.append(Abort(tunnel=reprieve.tunnel, forwards=reprieve.forwards))
        else:
            reprieves.append(reprieve)
    for transition in transitions:
        if transition.old is Health.UP and transition.new is Health.DOWN:
            verdict = fate(transition.tunnel, transition.cause, state.forwards, healths, now)
            if verdict.now:
                aborts.append(Abort(tunnel=transition.tunnel, forwards=verdict.now))
            reprieves += verdict.later
    return tuple(aborts), tuple(reprieves)


# ---------------------------------------------------------------- the table


def _table(state: State, now: float) -> RoutingTable:
    standings = {name: tunnel.standing(now) for name, tunnel in state.tunnels.items()}
    paths = {name: path for name, tunnel in state.tunnels.items() if (path := _path(tunnel)) is not None}
    return RoutingTable(
        generation=state.table.generation,
        forwards=state.forwards,
        paths=paths,
        choices=_choices(state, standings),
        addresses=state.addresses,
    )


def _choices(state: State, standings: Mapping[str, Standing]) -> dict[tuple[str, Endpoint], Choice]:
    """A choice for each (forward, target). Most forwards share order and losses, so most answers are remembered."""
    answers: dict[object, Choice] = {}
    choices: dict[tuple[str, Endpoint], Choice] = {}
    for forward in state.forwards:
        for ports in forward.ports:
            lost = lost_tunnels(state, forward, ports.target.host)
            question = (forward.tunnels, forward.policy, lost)
            if question not in answers:
                answers[question] = choose(forward.tunnels, forward.policy, standings, lost)
            choices[forward.name, ports.target] = answers[question]
    return choices


def lost_tunnels(state: State, forward: ForwardSpec, host: str) -> frozenset[str]:
    """The tunnels of `forward` by which no address of `host` has a route."""
    unrouted = state.kernel.unrouted
    addresses = state.addresses.get(host)
    if not unrouted or not addresses:
        return frozenset()
    return frozenset(
        name
        for name in forward.tunnels
        if all((state.tunnels[name].spec.interface, address) in unrouted for address in addresses)
    )


def _path(tunnel: TunnelState) -> Path | None:
    """The tunnel as a socket sees it, while its device is fit to be used."""
    if tunnel.facts is None or tunnel.fact_cause is not None:
        return None
    spec = tunnel.spec
    return Path(
        tunnel=spec.name,
        interface=spec.interface,
        ifindex=tunnel.facts.index,
        source_address=spec.source_address,
        mss=spec.mss,
    )


def _same(old: RoutingTable, new: RoutingTable) -> bool:
    return (
        old.forwards is new.forwards
        and old.paths == new.paths
        and old.choices == new.choices
        and old.addresses == new.addresses
    )


def _failovers(state: State, table: RoutingTable) -> tuple[tuple[Failover, ...], Mapping[str, str]]:
    """Forwards whose new sessions leave a tunnel that failed them, and the tunnel that each takes now."""
    failovers: list[Failover] = []
    active = dict(state.active)
    for forward in state.forwards:
        tunnels = table.choices[forward.name, forward.ports[0].target].tunnels
        if not tunnels:
            continue
        old, new = active.get(forward.name), tunnels[0]
        active[forward.name] = new
        if old is None or old == new or old in tunnels:
            continue  # the first choice, no change, or a failback: the old one would still do
        left = state.tunnels[old].health
        cause = left.cause if left.health is Health.DOWN and left.cause is not None else Cause.NO_ROUTE
        failovers.append(Failover(forward=forward.name, from_tunnel=old, to_tunnel=new, cause=cause))
    return tuple(failovers), active
