"""From the controller's view and the data plane's counters to the documents of /api/v1. Pure: `now` is an argument."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from gateway.admin.documents import (
    CandidateDocument,
    CertificateDocument,
    DrillDocument,
    DrilledDocument,
    DriverDocument,
    ExplainDocument,
    FailureDocument,
    ForwardDocument,
    ProbeDocument,
    RateDocument,
    StatusDocument,
    TunnelDocument,
)
from gateway.admin.rates import Rate, Rates
from gateway.admin.samples import paced
from gateway.admin.stats import StatsView
from gateway.model import (
    ControlView,
    DrilledForward,
    DrillReport,
    DriverStatus,
    Endpoint,
    Expiry,
    Failure,
    ForwardPolicy,
    ForwardView,
    Health,
    ProbeView,
    TunnelView,
)

_OTHER_PROBES: Final = 8
"""Probes of other targets that `explain` shows: enough to see how the tunnel fares, and not all of ten thousand."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Everything that documents are made of, taken at one moment. `now` is monotonic, the clock of the view.

    `drivers` has the status of each VPN client, by tunnel; `now_unix` is for `expiries`.
    """

    view: ControlView
    stats: StatsView
    rates: Rates
    now: float
    drivers: Mapping[str, DriverStatus] = field(default_factory=dict)
    expiries: tuple[Expiry, ...] = ()
    now_unix: float = 0.0

    @cached_property
    def _tunnel_sessions(self) -> Mapping[str, int]:
        sums: Counter[str] = Counter()
        for (_, tunnel), count in self.stats.active.items():
            sums[tunnel] += count
        return sums

    @cached_property
    def _forward_sessions(self) -> Mapping[str, int]:
        sums: Counter[str] = Counter()
        for (forward, _), count in self.stats.active.items():
            sums[forward] += count
        return sums

    # ---------------------------------------------------------------- one thing each

    def tunnel(self, tunnel: TunnelView) -> TunnelDocument:
        """One tunnel."""
        reach = Counter(probe.health for probe in tunnel.probes if probe.target is not None)
        status = self.drivers.get(tunnel.name)
        return {
            "name": tunnel.name,
            "kind": tunnel.kind,
            "interface": tunnel.interface,
            "addresses": list(tunnel.addresses),
            "health": tunnel.health,
            "admin": tunnel.admin,
            "cause": tunnel.cause,
            "since_seconds": seconds(self.now - tunnel.since),
            "evidence": tunnel.evidence,
            "doubts": [doubt.value for doubt in tunnel.doubts],
            "alive_seconds": age(tunnel.alive_at, self.now),
            "rtt_seconds": tunnel.rtt,
            "loss_ratio": tunnel.loss,
            "flaps": tunnel.flaps,
            "mss": tunnel.mss,
            "held_for_seconds": left(tunnel.hold_until, self.now),
            "drilled_for_seconds": left(tunnel.drill_until, self.now),
            "drained_for_seconds": left(tunnel.drain_until, self.now),
            "next": tunnel.next,
            "sessions": self._tunnel_sessions.get(tunnel.name, 0),
            "targets": {"up": reach[Health.UP], "down": reach[Health.DOWN], "unknown": reach[Health.UNKNOWN]},
            "rates": _rate(self.rates.of_tunnel(tunnel.name)),
            "driver": None if status is None else driver(status, self.now),
            "certificates": [self._certificate(each) for each in self.expiries if each.tunnel == tunnel.name],
        }

    def _certificate(self, expiry: Expiry) -> CertificateDocument:
        return {
            "certificate": expiry.certificate,
            "subject": expiry.subject,
            "expires_in_seconds": seconds(expiry.expires_at_unix - self.now_unix),
        }

    def forward(self, forward: ForwardView) -> ForwardDocument:
        """One forward."""
        return {
            "name": forward.name,
            "listens": list(forward.listens),
            "target": forward.target,
            "policy": forward.policy,
            "failback": forward.failback,
            "active": forward.active,
            "servable": forward.servable,
            "offered": list(forward.offered),
            "last_resort": forward.last_resort,
            "why": dict(forward.why),
            "sessions": self._forward_sessions.get(forward.name, 0),
            "held": self.stats.held.get(forward.name, 0),
            "rates": _rate(self.rates.of_forward(forward.name)),
        }

    def probe(self, probe: ProbeView) -> ProbeDocument:
        """One probe, or one target, through one tunnel."""
        return {
            "label": probe.label,
            "target": None if probe.target is None else str(probe.target),
            "health": probe.health,
            "run": probe.run,
            "last_outcome": probe.last_outcome,
            "last_seconds": age(probe.last_at, self.now),
            "alive_seconds": age(probe.alive_at, self.now),
            "rtt_seconds": probe.rtt,
            "loss_ratio": probe.loss,
        }

    # ---------------------------------------------------------------- whole answers

    def status(self, *, version: str, environment: str, phase: str) -> bytes:
        """A `StatusDocument` as JSON. Pauses while it is made: for worker threads only, as it may be very long."""
        head: StatusDocument = {
            "version": version,
            "environment": environment,
            "phase": phase,
            "sessions": self.stats.sessions,
            "rates_over_seconds": seconds(self.rates.seconds),
            "tunnels": [self.tunnel(tunnel) for tunnel in self.view.tunnels],
            "forwards": [],
        }
        start = json.dumps(head).removesuffix("[]}")  # forwards one by one: all at once would hold the lock for long
        forwards = ", ".join(paced(json.dumps(self.forward(forward)) for forward in self.view.forwards))
        return f"{start}[{forwards}]}}".encode()

    def explain(self, forward: ForwardView) -> ExplainDocument:
        """Why the forward takes the tunnel that it takes, and no other."""
        tunnels = {tunnel.name: tunnel for tunnel in self.view.tunnels}
        names = dict.fromkeys((*forward.offered, *forward.why))
        return {
            "forward": self.forward(forward),
            "candidates": [self._candidate(forward, tunnels[name]) for name in names if name in tunnels],
        }

    def _candidate(self, forward: ForwardView, tunnel: TunnelView) -> CandidateDocument:
        chosen = _is_chosen(forward, tunnel.name)
        own = [probe for probe in tunnel.probes if probe.target is None or speaks_for(probe.target, forward.target)]
        others = [probe for probe in tunnel.probes if probe.target and not speaks_for(probe.target, forward.target)]
        return {
            "tunnel": self.tunnel(tunnel),
            "chosen": chosen,
            "why_not": "" if chosen else forward.why.get(tunnel.name, ""),
            "sessions": self.stats.active.get((forward.name, tunnel.name), 0),
            "probes": [self.probe(probe) for probe in (*own, *others[:_OTHER_PROBES])],
            "probes_left_out": len(others[_OTHER_PROBES:]),
        }


def driver(status: DriverStatus, now: float) -> DriverDocument:
    """Where a VPN client stands."""
    return {
        "state": status.state,
        "since_seconds": seconds(now - status.since),
        "server": None if status.server is None else str(status.server),
        "addresses": [str(address) for address in status.addresses],
        "attempts": status.attempts,
        "retry_in_seconds": left(status.retry_at, now),
        "failure": None if status.failure is None else _failure(status.failure),
        "transmitted": status.transmitted,
        "received": status.received,
    }


def _failure(failure: Failure) -> FailureDocument:
    server = None if failure.server is None else str(failure.server)
    return {"reason": failure.reason, "detail": failure.detail, "server": server}


def drill(report: DrillReport) -> DrillDocument:
    """The report of a drill."""
    forwards = list(_drilled(report.forwards))
    return {
        "tunnel": report.tunnel,
        "seconds": report.seconds,
        "sessions_reset": report.sessions_reset,
        "recovered": all(forward["recovered"] for forward in forwards),
        "restored": report.restored,
        "forwards": forwards,
    }


def _drilled(forwards: tuple[DrilledForward, ...]) -> Iterator[DrilledDocument]:
    for forward in forwards:
        yield {
            "forward": forward.forward,
            "recovered": forward.to_tunnel is not None and forward.seconds is not None,
            "to_tunnel": forward.to_tunnel,
            "seconds": forward.seconds,
            "probed": forward.probed,
        }


# ---------------------------------------------------------------- moments and rates


def seconds(duration: float) -> float:
    """A duration as it is shown: to the tenth."""
    return round(duration, 1)


def age(moment: float | None, now: float) -> float | None:
    """How long ago `moment` was; to the millisecond, for evidence is young."""
    return None if moment is None else round(max(0.0, now - moment), 3)


def left(until: float | None, now: float) -> float | None:
    """What is left until a moment; None where there is none, or it is over."""
    return None if until is None or until <= now else seconds(until - now)


def _rate(rate: Rate | None) -> RateDocument | None:
    if rate is None:
        return None
    return {
        "to_target_bytes_per_second": round(rate.to_target, 1),
        "to_client_bytes_per_second": round(rate.to_client, 1),
        "connections_per_second": round(rate.connections, 2),
    }


# ---------------------------------------------------------------- what belongs to a forward


def _is_chosen(forward: ForwardView, tunnel: str) -> bool:
    """Whether new sessions take the tunnel: a balanced forward's all that it offers, otherwise the active one."""
    if forward.policy is ForwardPolicy.BALANCE:
        return tunnel in forward.offered and tunnel not in forward.why
    return tunnel == forward.active


def speaks_for(probed: Endpoint, target: str) -> bool:
    """Whether `probed` is the target as a forward shows it: host:port, or host:first-last for a range."""
    host, _, ports = target.rpartition(":")
    first, _, last = ports.partition("-")
    if not first.isdecimal() or host != str(probed).rpartition(":")[0]:
        return False
    return int(first) <= probed.port <= int(last or first)
