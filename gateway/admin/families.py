"""Which series a scrape shows: the gateway's facts as metric families, in the order of docs/metrics.md.

A series appears when it is first non-zero. The exceptions are those whose zero is the news (a tunnel that never came
up, a target that does not answer, a reload that failed) and the few without labels that say how the gateway is.

Labels come from the configuration and from closed enums, never from clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from gateway.admin.drivers import Tally
from gateway.admin.once import Once
from gateway.admin.samples import Entry, HistogramEntry, PacedHistograms, PacedSamples
from gateway.admin.stats import ProbeStatsView, StatsView
from gateway.model import AdminState, ControlView, Doubt, DriverState, DriverStatus, Expiry, Health


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadFacts:
    """How loading the configuration went last; the start is the first time."""

    successful: bool
    success_at_unix: float  # of the last time that it succeeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything one scrape shows, taken at one moment. `lag` is in seconds; `now` is monotonic, as in the view.

    `drivers` has the status of each VPN client, by tunnel, `tally` what was counted of them; `expiries` are those of
    configured certificates. `unkept`: entries that the book has dropped.
    """

    stats: StatsView
    view: ControlView
    probes: ProbeStatsView
    once: Once
    now: float
    reload: ReloadFacts
    lag: float
    draining: bool
    drivers: Mapping[str, DriverStatus] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    expiries: tuple[Expiry, ...] = ()
    unkept: int = 0


def families(facts: Facts, *, version: str, environment: str) -> Iterator[Metric]:
    """Every family that has a sample now."""
    yield from _of_connections(facts.stats)
    yield from _of_dials(facts.stats)
    yield from _of_forwards(facts.view, facts.stats)
    yield from _of_tunnels(facts.view)
    yield from _of_doubts_and_returns(facts.view, facts.once, facts.now)
    yield from _of_drivers(facts)
    yield from _of_probes(facts.view, facts.probes)
    yield from _of_certificates(facts)
    yield from _of_the_gateway(facts)
    about = {"version": version, "environment": environment}
    yield InfoMetricFamily("gateway_build", "Version and environment of this gateway; always 1.", value=about)


# ---------------------------------------------------------------- families by theme


def _of_connections(stats: StatsView) -> Iterator[Metric]:
    yield from _counter(
        "gateway_connections_total",
        "Accepted clients, by what became of them.",
        ("forward", "result"),
        stats.connections.items(),
    )
    yield from _gauge("gateway_connections_active", "Sessions now.", ("forward", "tunnel"), _active(stats))
    yield from _counter(
        "gateway_connections_closed_total",
        "Ended sessions, by why they ended.",
        ("forward", "reason"),
        stats.closed.items(),
    )
    yield from _gauge("gateway_connections_held", "Clients that wait for a tunnel, now.", ("forward",), _held(stats))
    yield from _counter(
        "gateway_holds_total",
        "Clients that waited for a tunnel, by what became of it.",
        ("forward", "result"),
        stats.holds.items(),
    )
    yield from _counter(
        "gateway_bytes_total",
        "Bytes relayed.",
        ("forward", "tunnel", "direction"),
        chain(_directed(stats.to_target, "to_target"), _directed(stats.to_client, "to_client")),
    )


def _of_dials(stats: StatsView) -> Iterator[Metric]:
    yield from _histogram(
        "gateway_connect_duration_seconds",
        "How long dials that worked took.",
        ("tunnel",),
        (((tunnel,), seen) for tunnel, seen in stats.connect_seconds.items()),
    )
    yield from _counter(
        "gateway_connect_failures_total",
        "Failed dials, by why they failed.",
        ("forward", "tunnel", "reason"),
        stats.dial_failures.items(),
    )
    yield from _counter(
        "gateway_hedges_total",
        "Second dials raced against an unanswered first one, by what came of it.",
        ("forward", "result"),
        stats.hedges.items(),
    )


def _of_forwards(view: ControlView, stats: StatsView) -> Iterator[Metric]:
    yield from _gauge(
        "gateway_forward_active_tunnel",
        "1 for the tunnel that new sessions of the forward take, 0 for one that they once took.",
        ("forward", "tunnel"),
        _active_tunnels(view),
    )
    yield from _counter(
        "gateway_failovers_total",
        "Times that new sessions of the forward moved from one tunnel to another.",
        ("forward", "from_tunnel", "to_tunnel", "cause"),
        view.failovers.items(),
    )
    if view.failover_seconds is not None:
        yield from _histogram(
            "gateway_failover_duration_seconds",
            "From the first evidence against the old tunnel to the first successful connect on the new one.",
            (),
            [((), view.failover_seconds)],
        )
    yield from _counter(
        "gateway_failbacks_total",
        "Times that new sessions of the forward returned to a better tunnel.",
        ("forward", "from_tunnel", "to_tunnel"),
        view.failbacks.items(),
    )
    yield from _counter(
        "gateway_last_resort_dials_total",
        "Dials although no tunnel was UP behind which the target answers.",
        ("forward",),
        (((forward,), count) for forward, count in stats.last_resort.items()),
    )


def _of_tunnels(view: ControlView) -> Iterator[Metric]:
    yield from _gauge(
        "gateway_tunnel_up",
        "1 while the tunnel's health is UP, otherwise 0.",
        ("tunnel", "kind"),
        [((tunnel.name, tunnel.kind), tunnel.health is Health.UP) for tunnel in view.tunnels],
    )
    yield from _gauge(
        "gateway_tunnel_state",
        "1 for the tunnel's health as it is, 0 for each that it could be.",
        ("tunnel", "state"),
        [((tunnel.name, state), tunnel.health is state) for tunnel in view.tunnels for state in Health],
    )
    yield from _counter(
        "gateway_tunnel_transitions_total",
        "Changes of the tunnel's health, by cause.",
        ("tunnel", "cause"),
        view.transitions.items(),
    )
    yield from _gauge(
        "gateway_tunnel_admin_state",
        "1 for what the operator wants of the tunnel, 0 for each that it could be.",
        ("tunnel", "state"),
        [((tunnel.name, state), tunnel.admin is state) for tunnel in view.tunnels for state in AdminState],
    )
    yield from _gauge(
        "gateway_tunnel_rtt_seconds",
        "Round trip through the tunnel, smoothed.",
        ("tunnel",),
        [((tunnel.name,), tunnel.rtt) for tunnel in view.tunnels if tunnel.rtt is not None],
    )
    yield from _gauge(
        "gateway_tunnel_loss_ratio",
        "Part of the latest probes that was not answered.",
        ("tunnel",),
        [((tunnel.name,), tunnel.loss) for tunnel in view.tunnels if tunnel.loss is not None],
    )
    yield from _gauge(
        "gateway_tunnel_mss_clamp",
        "Bytes that segments are clamped to, because larger ones vanish in the tunnel.",
        ("tunnel",),
        [((tunnel.name,), tunnel.mss) for tunnel in view.tunnels if tunnel.mss is not None],
    )


def _of_doubts_and_returns(view: ControlView, once: Once, now: float) -> Iterator[Metric]:
    yield from _gauge(
        "gateway_tunnel_suspect",
        "1 while there is this doubt about an UP tunnel, 0 after it.",
        ("tunnel", "doubt"),
        [
            ((tunnel.name, doubt), doubt in tunnel.doubts)
            for tunnel in view.tunnels
            for doubt in Doubt
            if (tunnel.name, doubt) in once.doubted
        ],
    )
    yield from _gauge(
        "gateway_tunnel_hold_down_seconds",
        "What is left of the tunnel's hold-down, in which another that is UP is preferred; 0 when it is over.",
        ("tunnel",),
        [
            ((tunnel.name,), 0.0 if tunnel.hold_until is None else max(0.0, tunnel.hold_until - now))
            for tunnel in view.tunnels
            if tunnel.name in once.held
        ],
    )
    yield from _gauge(
        "gateway_tunnel_flaps",
        "Falls of the tunnel that still count against it: each doubles its hold-down.",
        ("tunnel",),
        [((tunnel.name,), tunnel.flaps) for tunnel in view.tunnels if tunnel.name in once.flapped],
    )


def _of_drivers(facts: Facts) -> Iterator[Metric]:
    managed = [tunnel.name for tunnel in facts.view.tunnels if tunnel.name in facts.drivers]
    yield from _gauge(
        "gateway_tunnel_driver_state",
        "1 for where the tunnel's VPN client stands, 0 for each state that it could have.",
        ("tunnel", "state"),
        [((name, state), facts.drivers[name].state is state) for name in managed for state in DriverState],
    )
    tally = facts.tally
    yield from _counter(
        "gateway_tunnel_attempts_total",
        "Attempts of the tunnel's VPN client to connect.",
        ("tunnel",),
        (((tunnel,), count) for tunnel, count in tally.attempts.items()),
    )
    yield from _counter(
        "gateway_tunnel_failures_total",
        "Attempts that failed and connections that ended, by why.",
        ("tunnel", "reason"),
        tally.failures.items(),
    )
    yield from _counter(
        "gateway_tunnel_bytes_total",
        "Bytes through the tunnel, as its VPN client counts them.",
        ("tunnel", "direction"),
        (
            ((tunnel, direction), count)
            for direction, counts in (("transmitted", tally.transmitted), ("received", tally.received))
            for tunnel, count in counts.items()
        ),
    )


def _of_probes(view: ControlView, probes: ProbeStatsView) -> Iterator[Metric]:
    yield from _histogram(
        "gateway_probe_duration_seconds",
        "How long answers to probes took.",
        ("tunnel", "probe"),
        probes.durations.items(),
    )
    yield from _counter(
        "gateway_probe_failures_total", "Probes that failed.", ("tunnel", "probe"), probes.failures.items()
    )
    yield from _gauge(
        "gateway_target_reachable",
        "1 if the target answers through the tunnel, 0 if it does not.",
        ("tunnel", "target"),
        _reachable(view),
    )


def _of_certificates(facts: Facts) -> Iterator[Metric]:
    yield from _gauge(
        "gateway_certificate_expiry_timestamp_seconds",
        "When a configured certificate, or the one that a probe was last shown, expires, as Unix time.",
        ("tunnel", "certificate"),
        [*_first_expiries(facts.expiries).items(), *facts.probes.expiries.items()],
    )


def _of_the_gateway(facts: Facts) -> Iterator[Metric]:
    if facts.stats.accept_pauses:
        yield CounterMetricFamily(
            "gateway_accept_pauses_total",
            "Times that accepting paused: at the limit of sessions, or for want of descriptors or memory.",
            value=facts.stats.accept_pauses,
        )
    if facts.unkept:
        yield CounterMetricFamily(
            "gateway_book_dropped_total",
            "Lines of VPN clients and activities that are in no book: more came than could be written.",
            value=facts.unkept,
        )
    for name, says, value in (
        ("gateway_draining", "1 once the gateway drains, otherwise 0.", facts.draining),
        (
            "gateway_config_last_reload_successful",
            "1 if the configuration was usable when it was last loaded, otherwise 0.",
            facts.reload.successful,
        ),
        (
            "gateway_config_last_reload_success_timestamp_seconds",
            "When a configuration was last loaded successfully, as Unix time.",
            facts.reload.success_at_unix,
        ),
        ("gateway_event_loop_lag_seconds", "By how much the event loop was late at worst, lately.", facts.lag),
    ):
        yield GaugeMetricFamily(name, says, value=float(value))


# ---------------------------------------------------------------- from facts to entries


def _active(stats: StatsView) -> list[Entry]:
    """Sessions now, with the zeros of wherever there once was one: bytes tell of those."""
    ever = dict.fromkeys(
        key for counts in (stats.active, stats.to_target, stats.to_client) for key, count in counts.items() if count
    )
    return [(key, stats.active.get(key, 0)) for key in ever]


def _active_tunnels(view: ControlView) -> list[Entry]:
    """The tunnel that each forward uses, with the zeros of those that it used: its moves tell of those."""
    names = {tunnel.name for tunnel in view.tunnels}
    used: dict[str, dict[str, None]] = {}
    for name, from_tunnel, to_tunnel, *_ in chain(view.failovers, view.failbacks):
        used.setdefault(name, {}).update(dict.fromkeys((from_tunnel, to_tunnel)))
    entries: list[Entry] = []
    for forward in view.forwards:
        if forward.active is not None:
            entries.append(((forward.name, forward.active), 1))
        entries.extend(
            ((forward.name, tunnel), 0)
            for tunnel in used.get(forward.name, ())
            if tunnel != forward.active and tunnel in names
        )
    return entries


def _directed(relayed: Mapping[tuple[str, str], int], direction: str) -> Iterator[Entry]:
    return (((forward, tunnel, direction), count) for (forward, tunnel), count in relayed.items())


def _first_expiries(expiries: Iterable[Expiry]) -> dict[tuple[str, ...], float]:
    """By tunnel and certificate; of several, as a bundle has, the one that ends first."""
    found: dict[tuple[str, ...], float] = {}
    for each in expiries:
        key = (each.tunnel, each.certificate)
        found[key] = min(each.expires_at_unix, found.get(key, each.expires_at_unix))
    return found


def _held(stats: StatsView) -> list[Entry]:
    """Clients that wait, with the zeros of forwards whose clients once did: how that ended tells of those."""
    ever = dict.fromkeys(
        chain(
            (forward for forward, count in stats.held.items() if count),
            (forward for (forward, _), count in stats.holds.items() if count),
        )
    )
    return [((forward,), stats.held.get(forward, 0)) for forward in ever]


def _reachable(view: ControlView) -> list[Entry]:
    """By tunnel and target; where several probes ask the same target, one that is answered is enough."""
    found: dict[tuple[str, ...], bool] = {}
    for tunnel in view.tunnels:
        for probe in tunnel.probes:
            if probe.target is not None and probe.health is not Health.UNKNOWN:
                key = (tunnel.name, str(probe.target))
                found[key] = found.get(key, False) or probe.health is Health.UP
    return list(found.items())


# ---------------------------------------------------------------- from entries to families


def _counter(name: str, says: str, labels: tuple[str, ...], entries: Iterable[Entry]) -> Iterator[Metric]:
    """The family of those entries that are not zero; nothing when all are."""
    found = [entry for entry in entries if entry[1]]
    if found:
        family = CounterMetricFamily(name, says)
        PacedSamples(name, labels, found).become_those_of(family)
        yield family


def _histogram(name: str, says: str, labels: tuple[str, ...], entries: Iterable[HistogramEntry]) -> Iterator[Metric]:
    """The family of those histograms that have observed anything; nothing when none has."""
    found = [entry for entry in entries if any(entry[1].counts)]
    if found:
        family = HistogramMetricFamily(name, says)
        PacedHistograms(name, labels, found).become_those_of(family)
        yield family


def _gauge(name: str, says: str, labels: tuple[str, ...], entries: list[Entry]) -> Iterator[Metric]:
    """The family of all entries, zeros included; nothing when there are none."""
    if entries:
        family = GaugeMetricFamily(name, says)
        PacedSamples(name, labels, entries).become_those_of(family)
        yield family
