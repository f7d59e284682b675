"""Pulse: the signs of life of one path (a tunnel, or one target behind it), and the silence between them.

                sign of life                                    `rise` answers, about one interval apart
    run < 0 ────────────────▶ run = 1, 2, …   ─────────────────────────────────▶ risen
    run > 0 ── probe failed ▶ run = −1, −2, … ── `fall` of them, and `down_after` since the first was sent ─▶ silent

Rise and fall are one number, `run`. A probe that failed says nothing if a sign of life came after it was sent: it was
lost, not swallowed by a dead path. So traffic that progresses, or any other target that answers, vetoes it; and since
`down_after` counts from the sending of the first probe of the silence, about twenty probes must be lost in a row
before a lossy path is taken for a dead one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.model import HealthSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """`run` answers in a row (> 0) or failures in a row (< 0). Moments are monotonic; None: never.

    `alive_at` is the latest sign of life, `counted_at` the latest that `run` counted. `silent_since` is when the first
    probe was sent that failed since then: the first evidence of the silence.
    """

    run: int = 0
    alive_at: float | None = None
    counted_at: float | None = None
    silent_since: float | None = None


def alive(pulse: Pulse, at: float, settings: HealthSettings) -> Pulse:
    """A sign of life came at `at`. One that is older than the silence does not end it."""
    latest = at if pulse.alive_at is None else max(at, pulse.alive_at)
    if pulse.silent_since is not None and at <= pulse.silent_since:
        return replace(pulse, alive_at=latest)
    if pulse.run > 0 and pulse.counted_at is not None and at - pulse.counted_at < settings.interval / 2:
        return replace(pulse, alive_at=latest, silent_since=None)  # one of a burst: patience is not for sale
    return Pulse(run=max(pulse.run, 0) + 1, alive_at=latest, counted_at=at)


def unanswered(pulse: Pulse, sent_at: float) -> Pulse:
    """A probe that was sent at `sent_at` has failed. Nothing, if a sign of life came since."""
    if pulse.alive_at is not None and sent_at <= pulse.alive_at:
        return pulse
    since = sent_at if pulse.silent_since is None else min(sent_at, pulse.silent_since)
    return replace(pulse, run=min(pulse.run, 0) - 1, silent_since=since)


def is_silent(pulse: Pulse, settings: HealthSettings, now: float) -> bool:
    """Whether the path is to be taken for dead at `now`."""
    return (
        pulse.run <= -settings.fall
        and pulse.silent_since is not None
        and now - pulse.silent_since >= settings.down_after
    )


def is_risen(pulse: Pulse, settings: HealthSettings) -> bool:
    """Whether a path that was taken for dead is to be trusted again."""
    return pulse.run >= settings.rise


def restarted(pulse: Pulse) -> Pulse:
    """The path was interrupted by a fact: what it said before is history."""
    return Pulse(alive_at=pulse.alive_at)
