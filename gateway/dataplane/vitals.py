"""Vitals: what the traffic of one tunnel says of it. Asked seldom, answered from a bounded sample of its sessions.

Two things that look alike must not be mixed up, and are told apart here as far as one end can:

- A *dead path* acknowledges nothing. Each session waits since it last heard something, or since it sent, if that was
  later; a target waits as long as nobody heard anything from it. A peer that does not read acknowledges all the same.
- A *path-MTU black hole* swallows full-sized segments only. Such a session has had small ones acknowledged, or just
  the handshake, and sends the same large one again and again. Chance loses segments too: so it takes several in vain,
  and fewer sessions on which large ones have passed. Whether the tunnel lives otherwise is for `policy` to weigh.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from statistics import median
from typing import Final

from gateway.dataplane import sample
from gateway.dataplane.hedging import Race
from gateway.dataplane.ledger import TunnelEntry
from gateway.dataplane.session import Session
from gateway.dataplane.tcp_info import TcpInfo
from gateway.model import Endpoint, Vitals

Reading = tuple[Endpoint, TcpInfo]
"""The target of one session, and what the kernel says of its upstream."""

Dial = Session | Race
"""What is being dialled: a session, or the second dial that is raced against its first."""

_PATIENCE_SECONDS: Final = 1.0
_PATIENCE_ROUND_TRIPS: Final = 4
_DIALLED_SECONDS: Final = 10.0  # older ones tell nobody anything, and there may be ten thousand
_MOST_DIALS: Final = 2048
_LARGE: Final = 1000  # bytes: every path carries smaller segments (IPv6's least MTU is 1,280)
_RETRANSMITS: Final = 3  # 1.4 s at the least time-out
_LOST_IN_VAIN: Final = 6  # large segments, each sending counted


def vitals(tunnel: TunnelEntry, sessions: Iterable[Session], dialling: Iterable[Dial], now: float) -> Vitals:
    """The vitals of `tunnel` at `now`. `sessions`: its sample; `dialling`: of all tunnels, roughly the oldest first."""
    readings = [(it.plan.ports.target, info) for it, info in sample.readings(tunnel, sessions)]
    heard = heard_at(readings, now)
    return Vitals(
        heard=heard,
        dialled=_dialled(tunnel, now - _DIALLED_SECONDS),
        unanswered=_unanswered(tunnel, dialling),
        unacknowledged_since=unacknowledged_since(readings, heard, now),
        large_lost=large_lost([info for _, info in readings]),
        rtt=median(info.rtt for _, info in readings) / 1e6 if readings else None,
    )


def heard_at(readings: Iterable[Reading], now: float) -> dict[Endpoint, float]:
    """When each target was last heard of."""
    heard: dict[Endpoint, float] = {}
    for target, info in readings:
        at = now - info.heard_ago
        heard[target] = max(at, heard.get(target, at))
    return heard


def unacknowledged_since(
    readings: Iterable[Reading], heard: dict[Endpoint, float], now: float
) -> dict[Endpoint, float]:
    """Since when each target, of those that should have acknowledged something by now, has not been heard of."""
    since: dict[Endpoint, float] = {}
    for target, info in readings:
        patience = max(_PATIENCE_SECONDS, _PATIENCE_ROUND_TRIPS * info.rtt / 1e6)
        at = max(now - info.waited, heard[target])  # another session may have heard of it meanwhile
        if now - at > patience:
            since[target] = min(at, since.get(target, at))
    return since


def large_lost(infos: Sequence[TcpInfo]) -> int | None:
    """The smallest size of the segments that a path-MTU black hole seems to swallow; None: there seems to be none."""
    lost = [info for info in infos if _is_large_lost(info)]
    passed = sum(_large_passed(info) and not info.retransmits for info in infos)
    in_vain = sum(info.retransmits + info.outstanding // info.snd_mss for info in lost)
    if in_vain < _LOST_IN_VAIN or len(lost) <= passed:
        return None
    return min(info.snd_mss for info in lost)


def _is_large_lost(info: TcpInfo) -> bool:
    """Whether full-sized segments are sent again and again of which none has ever arrived."""
    return (
        info.retransmits >= _RETRANSMITS
        and info.snd_mss >= _LARGE
        and info.outstanding >= info.snd_mss
        and info.waited > 0
        and not _large_passed(info)
    )


def _large_passed(info: TcpInfo) -> bool:
    """Whether full-sized segments must have arrived: the average is large, or many of those in flight are there.

    One in flight may be the small end of what was sent, and arrives through any hole.
    """
    acknowledged = max(0, info.bytes_acked - 1)
    return 2 * acknowledged >= info.snd_mss * max(1, info.delivered) or info.sacked > 1


def _dialled(tunnel: TunnelEntry, after: float) -> dict[Endpoint, float]:
    """When a dial last worked, by target; of a forward of several targets nobody knows which it was."""
    dialled: dict[Endpoint, float] = {}
    lately = [(lane.connected_at, lane.forward.spec.ports) for lane in tunnel.lanes if lane.connected_at > after]
    for at, ports in lately:
        if len(ports) == 1 and at > dialled.get(ports[0].target, after):
            dialled[ports[0].target] = at
    return dialled


def _unanswered(tunnel: TunnelEntry, dialling: Iterable[Dial]) -> dict[Endpoint, float]:
    """The earliest dial under way, by target."""
    unanswered: dict[Endpoint, float] = {}
    for dial in islice(dialling, _MOST_DIALS):
        if dial.attempt.lane.tunnel is tunnel:
            target = dial.plan.ports.target
            unanswered[target] = min(dial.dialled_at, unanswered.get(target, dial.dialled_at))
    return unanswered
