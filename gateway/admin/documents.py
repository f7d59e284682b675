"""The JSON of /api/v1, key by key: what the server makes, the verbs read, and docs/operating.md explains.

Keys that end in `_seconds` are durations: ages where something happened, what is left where something is counted down.
Moments of a clock that only this process knows never leave it. None (null) means unknown, or not the case now.
"""

from __future__ import annotations

from typing import TypedDict


class RateDocument(TypedDict):
    """How fast it goes, over the last `rates_over_seconds`."""

    to_target_bytes_per_second: float
    to_client_bytes_per_second: float
    connections_per_second: float


class ReachDocument(TypedDict):
    """How many of the targets that are known behind a tunnel answer through it."""

    up: int
    down: int
    unknown: int


class ProbeDocument(TypedDict):
    """One probe, or one target, through one tunnel."""

    label: str
    target: str | None
    health: str
    run: int
    last_outcome: str | None
    last_seconds: float | None
    alive_seconds: float | None
    rtt_seconds: float | None
    loss_ratio: float | None


class FailureDocument(TypedDict):
    """Why an attempt of a VPN client failed, or its connection ended."""

    reason: str
    detail: str
    server: str | None


class DriverDocument(TypedDict):
    """Where a VPN client stands. `transmitted` and `received` are bytes of the present connection."""

    state: str
    since_seconds: float
    server: str | None
    addresses: list[str]
    attempts: int
    retry_in_seconds: float | None
    failure: FailureDocument | None
    transmitted: int
    received: int


class CertificateDocument(TypedDict):
    """A configured certificate; what is left of it is negative once it has expired."""

    certificate: str
    subject: str
    expires_in_seconds: float


class TunnelDocument(TypedDict):
    """One tunnel. `driver` is its VPN client; None where somebody else makes its device."""

    name: str
    kind: str
    interface: str
    addresses: list[str]
    health: str
    admin: str
    cause: str | None
    since_seconds: float
    evidence: str
    doubts: list[str]
    alive_seconds: float | None
    rtt_seconds: float | None
    loss_ratio: float | None
    flaps: int
    mss: int | None
    held_for_seconds: float | None
    drilled_for_seconds: float | None
    drained_for_seconds: float | None
    next: str
    sessions: int
    targets: ReachDocument
    rates: RateDocument | None
    driver: DriverDocument | None
    certificates: list[CertificateDocument]


class ForwardDocument(TypedDict):
    """One forward."""

    name: str
    listens: list[str]
    target: str
    policy: str
    failback: str
    active: str | None
    servable: bool
    offered: list[str]
    last_resort: bool
    why: dict[str, str]
    sessions: int
    held: int
    rates: RateDocument | None


class StatusDocument(TypedDict):
    """GET /api/v1/status."""

    version: str
    environment: str
    phase: str
    sessions: int
    rates_over_seconds: float
    tunnels: list[TunnelDocument]
    forwards: list[ForwardDocument]


class CandidateDocument(TypedDict):
    """One tunnel as a forward sees it. `why_not` is empty for a chosen one; `sessions` are the forward's own."""

    tunnel: TunnelDocument
    chosen: bool
    why_not: str
    sessions: int
    probes: list[ProbeDocument]
    probes_left_out: int


class ExplainDocument(TypedDict):
    """GET /api/v1/explain/{forward}: its tunnels in the order in which they are tried, then the others."""

    forward: ForwardDocument
    candidates: list[CandidateDocument]


class FailbackDocument(TypedDict):
    """POST /api/v1/failback/{name}: the forwards whose new sessions have moved."""

    name: str
    moved: list[str]


class DrilledDocument(TypedDict):
    """How one forward fared in a drill."""

    forward: str
    recovered: bool
    to_tunnel: str | None
    seconds: float | None
    probed: bool


class DrillDocument(TypedDict):
    """POST /api/v1/tunnels/{name}/drill. `recovered`: every forward did."""

    tunnel: str
    seconds: float
    sessions_reset: int
    recovered: bool
    restored: bool
    forwards: list[DrilledDocument]


class ConnectionDocument(TypedDict):
    """POST /api/v1/tunnels/{name}/connect and /disconnect: what has begun by that."""

    name: str
    driver: DriverDocument


class LineDocument(TypedDict):
    """One line that a VPN client said."""

    number: int
    at: str
    tunnel: str
    level: str
    component: str
    text: str


class LogsDocument(TypedDict):
    """GET /api/v1/logs: the oldest first. `more`: there are others, after these if that was asked, else before."""

    lines: list[LineDocument]
    more: bool


class ActivityDocument(TypedDict):
    """One thing that was done, or happened."""

    number: int
    at: str
    kind: str
    tunnel: str | None
    to_tunnel: str | None
    by: str
    detail: str


class ActivitiesDocument(TypedDict):
    """GET /api/v1/activity; as the lines of the logs."""

    activities: list[ActivityDocument]
    more: bool


class ErrorDocument(TypedDict):
    """Any answer with a status of 400 or above."""

    error: str
