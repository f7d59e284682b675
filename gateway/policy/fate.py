"""Fate: what becomes of the sessions on a tunnel that fell, forward by forward.

abort     reset them now, so that applications reconnect through the next tunnel instead of waiting for a time-out
keep      leave them alone: TCP may survive a short outage
grace T   abort after T, unless the tunnel is back by then

A soft cause may be wrong, so it aborts only where the application has somewhere better to go. A socket whose device or
address is gone cannot recover: coming back within the grace does not save it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import Cause, ForwardSpec, Health, TunnelDownAction

_SOCKETS_ARE_DEAD: Final = frozenset({Cause.DEVICE_GONE, Cause.DEVICE_REPLACED, Cause.ADDRESS_GONE})


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


def fate(tunnel: str, cause: Cause, forwards: Iterable[ForwardSpec], healths: Mapping[str, Health], now: float) -> Fate:
    """The fate of the sessions on `tunnel`, which fell because of `cause`; `healths` are those after the fall."""
    at_once: set[str] = set()
    graces: dict[float, set[str]] = {}
    for forward in forwards:
        if tunnel not in forward.tunnels:
            continue
        if not cause.hard and not any(healths[name] is Health.UP for name in forward.tunnels):
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
            Reprieve(
                tunnel=tunnel,
                forwards=frozenset(names),
                until=now + grace,
                revocable=cause not in _SOCKETS_ARE_DEAD,
            )
            for grace, names in graces.items()
        ),
    )
