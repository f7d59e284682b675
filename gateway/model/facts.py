"""Facts: what the kernel says of devices and routes, and what a tunnel's own traffic says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.names import Endpoint


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
