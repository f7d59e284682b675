"""Health of one tunnel: a pure machine of three states.

                 good                          `rise` answers, or rise − 1 intervals of good looks
      UNKNOWN ─────────▶ UP ◀──────────────────────────────────────────── DOWN
         │               │                                                  ▲ │
         │      failed   └──────────────────────── failed ──────────────────┘ │ failed (another cause)
         └──────────────────────────────────────── failed ──────────────────▶ └─▶ DOWN

Falling is immediate: a hard cause is a fact, and a soft one (probes, stall) was weighed before it came here. Only
recovery asks for patience: `rise` answers where the tunnel is probed, `rise` good looks at its device, one `interval`
apart, where it is not; the first UP from UNKNOWN needs one. The transitions are the table below; `health` is assigned
nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from gateway.model import Cause, Health, HealthSettings
from gateway.policy.pulse import Pulse, is_risen


class Signal(Enum):
    """What the evidence amounts to."""

    GOOD = auto()  # nothing speaks against the tunnel
    RISEN = auto()  # nothing has for long enough
    FAILED = auto()


TRANSITIONS: Final[Mapping[tuple[Health, Signal], Health]] = MappingProxyType(
    {
        (Health.UNKNOWN, Signal.GOOD): Health.UP,
        (Health.UNKNOWN, Signal.RISEN): Health.UP,
        (Health.UNKNOWN, Signal.FAILED): Health.DOWN,
        (Health.UP, Signal.GOOD): Health.UP,
        (Health.UP, Signal.RISEN): Health.UP,
        (Health.UP, Signal.FAILED): Health.DOWN,
        (Health.DOWN, Signal.GOOD): Health.DOWN,
        (Health.DOWN, Signal.RISEN): Health.UP,
        (Health.DOWN, Signal.FAILED): Health.DOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelHealth:
    """Health, why, and since when. `good_since`: when a DOWN tunnel began to look good, None while it does not."""

    health: Health = Health.UNKNOWN
    cause: Cause | None = None
    since: float = 0.0
    good_since: float | None = None


def fail(state: TunnelHealth, cause: Cause, now: float) -> TunnelHealth:
    """`cause` speaks against the tunnel. If it is DOWN already it stays so, from now on for this cause."""
    return _move(state, Signal.FAILED, cause, now)


def stumble(state: TunnelHealth, cause: Cause, now: float) -> TunnelHealth:
    """`cause` was a change and is over: what used the tunnel before has failed, but it looks good from `now` on."""
    return replace(fail(state, cause, now), good_since=now)


def look(state: TunnelHealth, settings: HealthSettings, now: float) -> TunnelHealth:
    """Nothing speaks against the tunnel at `now`. To be asked again at `due`."""
    if state.health is not Health.DOWN:
        return _move(state, Signal.GOOD, Cause.FIRST_GOOD, now)
    good_since = now if state.good_since is None else state.good_since
    waiting = replace(state, good_since=good_since)
    if now < good_since + patience(settings):
        return _move(waiting, Signal.GOOD, Cause.RECOVERED, now)
    return _move(waiting, Signal.RISEN, Cause.RECOVERED, now)


def listen(state: TunnelHealth, pulse: Pulse, settings: HealthSettings, now: float) -> TunnelHealth:
    """Nothing speaks against a tunnel that is probed: `pulse` says what speaks for it."""
    if state.health is Health.UNKNOWN and pulse.run <= 0:
        return state
    risen = state.health is Health.DOWN and is_risen(pulse, settings)
    return _move(state, Signal.RISEN if risen else Signal.GOOD, Cause.RECOVERED if risen else Cause.FIRST_GOOD, now)


def due(state: TunnelHealth, settings: HealthSettings) -> float | None:
    """The moment at which `look` would raise a DOWN tunnel that goes on looking good; None when it does not."""
    if state.health is Health.DOWN and state.good_since is not None:
        return state.good_since + patience(settings)
    return None


def patience(settings: HealthSettings) -> float:
    """How long a DOWN tunnel must look good: `rise` looks, one interval apart, are rise − 1 intervals."""
    return (settings.rise - 1) * settings.interval


def _move(state: TunnelHealth, signal: Signal, cause: Cause, now: float) -> TunnelHealth:
    new = TRANSITIONS[state.health, signal]
    if new is not state.health:
        return TunnelHealth(health=new, cause=cause, since=now)
    if signal is Signal.FAILED:
        return replace(state, cause=cause, good_since=None)
    return state
