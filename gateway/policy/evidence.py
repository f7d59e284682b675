"""Evidence: any fact that speaks for or against a tunnel, in the shapes in which the controller takes it.

Moments are monotonic seconds, and are those of the fact, not of its arrival here: a sign of life is worth what it was
worth when it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import AdminState, Cause, Doubt, Endpoint, KernelSnapshot, ProbeOutcome

# ---------------------------------------------------------------- from the kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSeen:
    """The kernel's picture of all devices and routes that matter, read whole."""

    snapshot: KernelSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the devices of the tunnels (by tunnel) have sent and received so far: packets, as of `at`."""

    at: float
    packets: Mapping[str, tuple[int, int]]  # transmitted, received


# ---------------------------------------------------------------- from name servers


@dataclass(frozen=True, slots=True, kw_only=True)
class NamesSeen:
    """Addresses of all host-name targets that are known; `through`: those that a tunnel's own name servers gave."""

    addresses: Mapping[str, tuple[str, ...]]
    through: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # tunnel, host


# ---------------------------------------------------------------- from probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One probe has ended. `target`: what it asked, where that is a TCP port. `rtt` in seconds, of an answer."""

    tunnel: str
    label: str
    target: Endpoint | None
    outcome: ProbeOutcome
    sent_at: float
    at: float
    rtt: float | None = None


# ---------------------------------------------------------------- from what real traffic does


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A sign of life from traffic at `at`: data or an acknowledgement came, a dial worked or was refused."""

    tunnel: str
    target: Endpoint | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """Something looks wrong since `since`, before anything is decided; the next sign of life takes it back."""

    tunnel: str
    doubt: Doubt
    since: float
    target: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeLost:
    """Full-sized segments vanish in the tunnel while small ones pass: a path-MTU black hole, seen at `at`."""

    tunnel: str
    at: float
    mss: int  # of the segments that vanished


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """The first successful connect of `forward` through `tunnel` since that was asked for."""

    forward: str
    tunnel: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingToShed:
    """No session of `forward` is left on `tunnel` to be moved back."""

    forward: str
    tunnel: str


# ---------------------------------------------------------------- from VPN clients and operators


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is concluded about a tunnel from elsewhere than the above, as by its driver; `cause=None` takes it back.

    `detail` says it in words. `first`: its VPN client makes its first attempt, so that a tunnel of which nothing is
    known yet stays so: there is nothing to hold against it.
    """

    tunnel: str
    cause: Cause | None
    detail: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """`by` wants the tunnel to be so. `until`: when DRAINING gives up waiting and becomes DISABLED."""

    tunnel: str
    admin: AdminState
    until: float | None = None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """No session is left on a tunnel that was draining: it is DISABLED now, unless somebody has wanted else since."""

    tunnel: str
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """`by` takes the tunnel out on purpose until `until`; None ends the drill."""

    tunnel: str
    until: float | None
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnNow:
    """`by` ends the wait: `tunnels` leave their hold-down, `forwards` take their best tunnel again."""

    tunnels: frozenset[str] = frozenset()
    forwards: frozenset[str] = frozenset()
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """Nothing new, but a moment named by `next_due` has come."""


Evidence = (
    KernelSeen
    | Counted
    | NamesSeen
    | Probed
    | Heard
    | Doubted
    | LargeLost
    | Connected
    | NothingToShed
    | Verdict
    | Intent
    | Drained
    | Drilled
    | ReturnNow
    | TimePassed
)
