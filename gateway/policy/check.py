"""Check: what one probe, or one target of a forward, through one tunnel is found to be.

"The tunnel is fine, this target is dead behind it" is a thing of its own: a target is DOWN only if the tunnel has shown
life since the target fell silent. While the tunnel itself is silent, nothing can be said of what is behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from gateway.model import Endpoint, Health, HealthSettings, ProbeKind, ProbeOutcome, ProbeSpec
from gateway.policy import pulse, quality
from gateway.policy.evidence import Probed
from gateway.policy.pulse import Pulse
from gateway.policy.quality import Quality

_LARGE: Final = 1000
"""Bytes of payload from which on an echo request is there to measure the path MTU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`spec=None`: nobody configured it; it is a forward's target. Moments are monotonic."""

    label: str
    target: Endpoint | None
    spec: ProbeSpec | None = None
    health: Health = Health.UNKNOWN
    since: float = 0.0
    pulse: Pulse = field(default_factory=Pulse)
    quality: Quality = field(default_factory=Quality)
    last_at: float | None = None
    last_outcome: ProbeOutcome | None = None

    @property
    def is_large(self) -> bool:
        """Whether it asks only if large packets pass."""
        return self.spec is not None and is_large(self.spec)


def is_large(spec: ProbeSpec) -> bool:
    """Whether a probe is there to measure the path MTU: its failing says nothing of life."""
    return spec.kind is ProbeKind.ICMP and spec.size >= _LARGE


def speaks_of_life(outcome: ProbeOutcome) -> bool:
    """Whether somebody answered, be it to refuse: a sign of life of the tunnel."""
    return outcome in {ProbeOutcome.PASSED, ProbeOutcome.ANSWERED}


def passes(check: Check, outcome: ProbeOutcome) -> bool:
    """Whether the check itself is content: with a refused TCP port, but not with another status than it asked for."""
    if outcome is ProbeOutcome.ANSWERED:
        return check.spec is None or check.spec.kind is ProbeKind.TCP
    return outcome is ProbeOutcome.PASSED


def probed(check: Check, probe: Probed, settings: HealthSettings) -> Check:
    """`check` after `probe`. Its health is for `settle`."""
    seen = replace(check, last_at=probe.at, last_outcome=probe.outcome)
    if probe.outcome is ProbeOutcome.LOCAL:
        return seen
    if passes(check, probe.outcome):
        return replace(
            seen,
            pulse=pulse.alive(check.pulse, probe.at, settings),
            quality=quality.answered(check.quality, probe.rtt),
        )
    return replace(seen, pulse=pulse.unanswered(check.pulse, probe.sent_at), quality=quality.lost(check.quality))


def heard(check: Check, at: float, settings: HealthSettings) -> Check:
    """Traffic to the target progressed at `at`, or a dial to it worked."""
    return replace(check, pulse=pulse.alive(check.pulse, at, settings))


def settle(check: Check, settings: HealthSettings, now: float, *, tunnel_alive_at: float | None) -> Check:
    """Bring its health up to date; `tunnel_alive_at` is the latest sign of life of the tunnel, by whatever it came."""
    new = check.health
    silence = check.pulse.silent_since
    if silence is not None:
        lives = tunnel_alive_at is not None and tunnel_alive_at > silence
        if pulse.is_silent(check.pulse, settings, now) and lives:
            new = Health.DOWN
    elif check.pulse.run > 0 and (check.health is Health.UNKNOWN or pulse.is_risen(check.pulse, settings)):
        new = Health.UP
    return check if new is check.health else replace(check, health=new, since=now)
