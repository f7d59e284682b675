"""Check: what one probe, or one target of a forward, through one tunnel is found to be.

"The tunnel is fine, this target is dead behind it" is a thing of its own: a target is DOWN only if the tunnel has shown
life after the target had become suspect. While the tunnel itself is silent, nothing can be said of what is behind it,
and afterwards its silence is not held against them.
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
    """Traffic to the target progressed at `at`, or a dial to it worked.

    That speaks for the port, and not against an answer that was not the one asked for.
    """
    if check.last_outcome is ProbeOutcome.ANSWERED and not passes(check, ProbeOutcome.ANSWERED):
        return check
    return replace(check, pulse=pulse.alive(check.pulse, at, settings))


def is_alone(check: Check, tunnel: Pulse, settings: HealthSettings) -> bool:
    """Whether its failures are its own: it is DOWN, or has failed `fall` times since when the tunnel showed life."""
    if check.health is Health.DOWN:
        return True
    silence = check.pulse.silent_since
    if silence is None or tunnel.alive_at is None:
        return False
    return check.pulse.run <= -settings.fall and tunnel.alive_at > silence


def settle(check: Check, tunnel: Pulse, settings: HealthSettings, now: float) -> Check:
    """Bring its health up to date; `tunnel` is the pulse of all that passes through the tunnel."""
    silence = check.pulse.silent_since
    if silence is None:
        good = check.pulse.run > 0 and (check.health is Health.UNKNOWN or pulse.is_risen(check.pulse, settings))
        return _become(check, Health.UP, now) if good else check
    if tunnel.awake_since is not None and silence < tunnel.awake_since:
        return replace(check, pulse=pulse.restarted(check.pulse))  # it was the tunnel's
    if pulse.is_silent(check.pulse, settings, now) and _lives(tunnel, silence, settings, now):
        return _become(check, Health.DOWN, now)
    return check


def _lives(tunnel: Pulse, silence: float, settings: HealthSettings, now: float) -> bool:
    """Whether the tunnel has answered since the target became suspect, and has not been interrupted since."""
    if tunnel.run == 0 or tunnel.alive_at is None or pulse.is_silent(tunnel, settings, now):
        return False
    return tunnel.alive_at > silence + settings.suspect_after


def _become(check: Check, health: Health, now: float) -> Check:
    return check if check.health is health else replace(check, health=health, since=now)
