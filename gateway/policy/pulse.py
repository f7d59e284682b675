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
from typing import Final

from gateway.model import HealthSettings

_APART: Final = 0.9
"""Intervals: answers closer together count once. Not a whole one, for round trips are not all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """`run` answers in a row (> 0) or failures in a row (< 0). Moments are monotonic; None: never.

    `alive_at` is the latest sign of life, `counted_at` the latest that `run` counted, `awake_since` the one that ended
    the last interruption, or silence that was long enough for a verdict. `silent_since` is when the first probe was
    sent that failed since the latest sign of life: the first evidence of the silence.
    """

    run: int = 0
    alive_at: float | None = None
    counted_at: float | None = None
    awake_since: float | None = None
    silent_since: float | None = None


def alive(pulse: Pulse, at: float, settings: HealthSettings) -> Pulse:
    """A sign of life came at `at`. It is no news after a later one, and does not end a silence that began later."""
    if pulse.alive_at is not None and at <= pulse.alive_at:
        return pulse
    if pulse.silent_since is not None and at <= pulse.silent_since:
        return replace(pulse, alive_at=at)
    if pulse.run > 0 and pulse.counted_at is not None and at - pulse.counted_at < _APART * settings.interval:
        return replace(pulse, alive_at=at)  # one of a burst: patience is not for sale
    wakes = pulse.run == 0 or is_silent(pulse, settings, at)
    return Pulse(
        run=max(pulse.run, 0) + 1,
        alive_at=at,
        counted_at=at,
        awake_since=at if wakes else pulse.awake_since,
    )


def unanswered(pulse: Pulse, sent_at: float) -> Pulse:
    """A probe that was sent at `sent_at` has failed. Nothing, if a sign of life came since."""
    if pulse.alive_at is not None and sent_at <= pulse.alive_at:
        return pulse
    since = sent_at if pulse.silent_since is None else min(sent_at, pulse.silent_since)
    return replace(pulse, run=min(pulse.run, 0) - 1, silent_since=since)


def silent_at(pulse: Pulse, settings: HealthSettings) -> float | None:
    """When the path is to be taken for dead unless it shows life before; None while too few probes have failed."""
    if pulse.silent_since is None or pulse.run > -settings.fall:
        return None
    return pulse.silent_since + settings.down_after


def is_silent(pulse: Pulse, settings: HealthSettings, now: float) -> bool:
    """Whether the path is to be taken for dead at `now`."""
    moment = silent_at(pulse, settings)
    return moment is not None and moment <= now


def is_risen(pulse: Pulse, settings: HealthSettings) -> bool:
    """Whether a path that was taken for dead is to be trusted again."""
    return pulse.run >= settings.rise


def restarted(pulse: Pulse) -> Pulse:
    """The path was interrupted: what it said before is history."""
    return Pulse(alive_at=pulse.alive_at)
