"""Quality: round trip and loss of probes, and the operator's thresholds on them, with hysteresis.

A tunnel beyond `failure_latency` or `failure_loss` is poor until it is back within `recovery_…`. Poor is a mark: new
sessions prefer another tunnel that is UP, nobody is reset, and without thresholds it never happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model import Doubt, HealthSettings

_WINDOW: Final = 20
"""Probes that loss is counted over."""
_LEAST: Final = 5
"""Probes before which loss is not judged: one of two is no half."""
_GAIN: Final = 1 / 8
"""How much of a new round trip is believed (RFC 6298 smooths with the same)."""
_ALL: Final = (1 << _WINDOW) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """`rtt` is smoothed, seconds; None before the first answer. `lost` has one bit a probe, the latest lowest."""

    rtt: float | None = None
    lost: int = 0
    probes: int = 0

    @property
    def loss(self) -> float | None:
        """The share of the last probes that were lost, 0 to 1; None before there were enough."""
        return None if self.probes < _LEAST else self.lost.bit_count() / self.probes


def answered(quality: Quality, rtt: float | None) -> Quality:
    """A probe was answered after `rtt` seconds (None: not measured)."""
    smooth = quality.rtt
    if rtt is not None:
        smooth = rtt if smooth is None else smooth + _GAIN * (rtt - smooth)
    return Quality(rtt=smooth, lost=quality.lost << 1 & _ALL, probes=min(quality.probes + 1, _WINDOW))


def lost(quality: Quality) -> Quality:
    """A probe got no answer."""
    return Quality(rtt=quality.rtt, lost=(quality.lost << 1 | 1) & _ALL, probes=min(quality.probes + 1, _WINDOW))


def judge(quality: Quality, settings: HealthSettings, before: frozenset[Doubt]) -> frozenset[Doubt]:
    """LATENCY and LOSS as they are now; `before` are the doubts so far, which only recovery takes back."""
    latency = _beyond(quality.rtt, settings.failure_latency, settings.recovery_latency, already=Doubt.LATENCY in before)
    loss = _beyond(quality.loss, settings.failure_loss, settings.recovery_loss, already=Doubt.LOSS in before)
    return frozenset(doubt for doubt, holds in ((Doubt.LATENCY, latency), (Doubt.LOSS, loss)) if holds)


def _beyond(value: float | None, failure: float | None, recovery: float | None, *, already: bool) -> bool:
    if failure is None or value is None:
        return already and failure is not None
    return value > (failure if recovery is None or not already else recovery)
