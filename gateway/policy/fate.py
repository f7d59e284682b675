"""Fate: what becomes of the sessions on a tunnel that failed them, forward by forward.

abort     reset them now, so that applications reconnect through the next tunnel instead of waiting for a time-out
keep      leave them alone: TCP may survive a short outage
grace T   abort after T, unless the tunnel is back by then

A soft cause may be wrong, so it aborts only where the application has somewhere better to go. A socket whose device or
address is gone cannot recover: coming back within the grace does not save it. It is then aborted when the tunnel can
be used again, at the latest: afterwards nobody could tell it from the sessions that have just begun.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from gateway.model import Cause, ForwardSpec, Health, TunnelDownAction
from gateway.policy.selection import Standing, is_soft_down


@dataclass(frozen=True, slots=True, kw_only=True)
class Reprieve:
    """Sessions of `forwards` on `tunnel` are aborted at `until`; `revocable`: not if the tunnel is UP by then."""

    tunnel: str
    forwards: frozenset[str]
    until: float
    revocable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """`now` are the forwards whose sessions end at once, `later` the others that end."""

    now: frozenset[str]
    later: tuple[Reprieve, ...]


def fate(
    tunnel: str,
    cause: Cause,
    forwards: Iterable[ForwardSpec],
    *,
    served: AbstractSet[str],
    revocable: bool,
    now: float,
) -> Fate:
    """The fate of the sessions on `tunnel`, which failed them because of `cause`.

    `served` are the forwards whose new sessions have a tunnel that is UP; `revocable`: their sockets may yet live.
    """
    at_once: set[str] = set()
    graces: dict[float, set[str]] = {}
    for forward in forwards:
        if tunnel not in forward.tunnels:
            continue
        if not cause.hard and forward.name not in served:
            continue
        match forward.on_tunnel_down:
            case TunnelDownAction.ABORT:
                at_once.add(forward.name)
            case TunnelDownAction.GRACE:
                graces.setdefault(forward.grace, set()).add(forward.name)
            case TunnelDownAction.KEEP:
                pass
    return Fate(
        now=frozenset(at_once),
        later=tuple(
            Reprieve(tunnel=tunnel, forwards=frozenset(names), until=now + grace, revocable=revocable)
            for grace, names in graces.items()
        ),
    )


def without(reprieve: Reprieve, forwards: AbstractSet[str]) -> Reprieve:
    """`reprieve` less the forwards that have an earlier one."""
    return replace(reprieve, forwards=reprieve.forwards - forwards)


def review(reprieve: Reprieve, tunnel: Standing, served: AbstractSet[str], now: float) -> Fate:
    """What a reprieve has come to at `now`, its tunnel being what it is: aborted, going on, or over."""
    nobody: frozenset[str] = frozenset()
    back = tunnel.health is Health.UP and not tunnel.drilled
    soft = is_soft_down(tunnel)
    if not reprieve.revocable and (back or (soft and not tunnel.drilled)):
        return Fate(now=reprieve.forwards, later=())
    if back:
        return Fate(now=nobody, later=())
    if now < reprieve.until:
        return Fate(now=nobody, later=(reprieve,))
    return Fate(now=reprieve.forwards & served if soft else reprieve.forwards, later=())
