"""Which sessions of a tunnel are worth asking the kernel about: a bounded number of them, chosen anew once a second.

- Those that moved bytes within the last second: whoever lives shows there first.
- Those that went quiet within the last few seconds: whoever is stuck has just gone quiet, and so have many others.
- Those of the last sample that wait for an acknowledgement: nobody who is stuck is forgotten.

The choice is spread over the lanes, so that a busy forward does not hide one whose target is dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice, zip_longest
from typing import Final

from gateway.dataplane import tcp_info
from gateway.dataplane.ledger import TunnelEntry
from gateway.dataplane.session import Phase, Session
from gateway.dataplane.tcp_info import TcpInfo

_MOST_OF_EACH: Final = (16, 32, 32)  # active, quiet, waiting
_QUIET_SECONDS: Final = 8
_WAITS_SECONDS: Final = 1.0
_RELAYING: Final = Phase.RELAYING


def choose(tunnel: TunnelEntry, before: Iterable[Session], tick: int) -> list[Session]:
    """The sample of `tunnel` that follows on `before`. `tick`: the engine's of the second that is over."""
    most_active, most_quiet, most_waiting = _MOST_OF_EACH
    lately = tick - _QUIET_SECONDS
    active: list[list[Session]] = []
    quiet: list[list[Session]] = []
    for lane in tunnel.lanes:
        sessions = [it for it in lane.sessions if it.last_active >= lately and it.phase is _RELAYING]
        if sessions:
            active.append([it for it in sessions if it.last_active >= tick])
            quiet.append([it for it in sessions if it.last_active < tick])
    waiting = (session for session, info in readings(tunnel, before) if info.waited > _WAITS_SECONDS)
    chosen = dict.fromkeys(islice(waiting, most_waiting))
    chosen.update(dict.fromkeys(_spread(active, most_active, tick)))
    chosen.update(dict.fromkeys(_spread(quiet, most_quiet, tick)))
    return list(chosen)


def readings(tunnel: TunnelEntry, sample: Iterable[Session]) -> list[tuple[Session, TcpInfo]]:
    """What the kernel says of the upstreams of `sample`, less those that are over, or another's by now."""
    return [
        (session, info)
        for session in sample
        if session.phase is _RELAYING
        and session.attempt.lane.tunnel is tunnel
        and not (info := tcp_info.read(session.down.source)).is_closed
    ]


def _spread(groups: list[list[Session]], most: int, turn: int) -> Iterable[Session]:
    """At most `most` out of `groups`, as even as can be; where there are more groups than that, others each `turn`."""
    if len(groups) > most:
        first = turn * most % len(groups)
        groups = [*groups[first:], *groups[:first]][:most]
    everybody = chain.from_iterable(zip_longest(*groups))
    return islice((session for session in everybody if session is not None), most)
