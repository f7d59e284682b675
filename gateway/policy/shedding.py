"""Shedding: moving old sessions back to a better tunnel after a failback, little by little, if the operator wants it.

They are reset, the longest idle first, `failback_rate` a second, so that applications reconnect by and by instead of
all at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from gateway.model import Failover, ForwardSpec, Return


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """At most `sessions` sessions of `forward` on `tunnel` are to be reset now."""

    forward: str
    tunnel: str
    sessions: int


Sheds = Mapping[tuple[str, str], float]
"""By (forward, tunnel that is left): when the next batch is due."""


def begun(sheds: Sheds, returns: Iterable[Return], rates: Mapping[str, float], now: float) -> Sheds:
    """`sheds` with those that `returns` start."""
    new = {(it.forward, it.from_tunnel): now for it in returns if rates.get(it.forward, 0.0) > 0}
    return {**sheds, **new} if new else sheds


def kept(sheds: Sheds, failovers: Iterable[Failover], taken: Mapping[str, str]) -> Sheds:
    """`sheds` without those of forwards that have just failed over, or have nowhere better to go any more.

    `taken` is by forward the tunnel that new sessions take, if it is UP.
    """
    if not sheds:
        return sheds
    gone = {it.forward for it in failovers}
    return {key: at for key, at in sheds.items() if key[0] not in gone and taken.get(key[0], key[1]) != key[1]}


def due(sheds: Sheds, rates: Mapping[str, float], now: float) -> tuple[tuple[Batch, ...], Sheds]:
    """The batches that are due at `now`, and when the next ones are."""
    batches = tuple(
        Batch(forward=forward, tunnel=tunnel, sessions=max(1, ceil(rates[forward])))
        for (forward, tunnel), at in sheds.items()
        if at <= now
    )
    if not batches:
        return (), sheds
    later = {key: now + max(1.0, 1.0 / rates[key[0]]) if at <= now else at for key, at in sheds.items()}
    return batches, later


def rates_of(forwards: Iterable[ForwardSpec]) -> Mapping[str, float]:
    """By forward, the sessions a second that are moved back; forwards that move none are absent."""
    return {forward.name: forward.failback_rate for forward in forwards if forward.failback_rate > 0}
