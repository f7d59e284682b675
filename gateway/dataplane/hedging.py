"""Hedging: a dial that stays unanswered for `hedge_after` is raced against the plan's next attempt on another tunnel.

The first to be connected has the session, and the other is closed with RST before a byte of the client is read. A side
that the target refuses or resets has been answered, too: it ends the race. A side that its path fails (unreachable,
timed out, tunnel fallen) leaves the other to go on alone, which may be raced again with what is left to try.

The first dial stays where every dial is: `session.attempt`, `session.down.source`, its lane. The second one is all in
its `Race`, until it takes the first one's place. All of this is off the hot path: it happens when time has passed.
"""

from __future__ import annotations

import errno
import math
import select
from _socket import socket as Socket  # noqa: N812
from typing import TYPE_CHECKING, Final, Protocol

from gateway.dataplane import sockopt
from gateway.dataplane.plan import Attempt, Plan
from gateway.dataplane.session import UNCONNECTED, Pump, Session
from gateway.dataplane.upstream import FAILED_EVENTS, UNDER_WAY, failure_of, failure_said_by, make_upstream
from gateway.model import DialFailure, HedgeResult

if TYPE_CHECKING:  # a dialer has its hedging, and each calls the other
    from gateway.dataplane.dialer import Dialer
    from gateway.dataplane.listener import Listener

_WRITABLE: Final = select.EPOLLOUT
_ANSWERS: Final = frozenset({DialFailure.REFUSED, DialFailure.RESET})


class Race:
    """The second dial of a session.

    source       its upstream, found in the engine's sources; UNCONNECTED: it is over, the session's own dial is alone
    attempt, dialled_at, dial_batch     as of a session, for the second dial
    result       what the race comes to if the session's own dial is connected
    """

    __slots__ = ("attempt", "dial_batch", "dialled_at", "result", "session", "source")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.source: Socket = UNCONNECTED
        self.attempt: Attempt = session.attempt
        self.dialled_at = 0.0
        self.dial_batch = -1
        self.result = HedgeResult.LOST

    @property
    def plan(self) -> Plan:
        """The session's."""
        return self.session.plan

    @property
    def is_on(self) -> bool:
        """Whether the second dial is under way."""
        return self.source is not UNCONNECTED


class Host(Protocol):
    """What hedging needs of the engine."""

    batch: int
    now: float
    sources: list[Pump | Listener | Race | None]

    def adopt_second(self, race: Race, upstream: Socket) -> None:
        """Take a new `upstream` as the race's: registered with epoll, found by its descriptor."""

    def drop_upstream(self, session: Session) -> None:
        """Close the session's upstream and forget it."""

    def current_plan(self, session: Session) -> Plan:
        """What the session's listener offers now."""


class Hedging:
    """The races of one dialer. `under_way` are those whose second dial is, oldest first."""

    def __init__(self, *, dialer: Dialer, host: Host) -> None:
        self._dialer = dialer
        self._host = host
        self.under_way: dict[Race, None] = {}

    # ------------------------------------------------------------ beginning

    def start(self, now: float) -> float:
        """Race the dials that have been unanswered for long enough; the moment at which the next of them will be."""
        soonest = math.inf
        for session in list(self._dialer.dialling):
            after = session.plan.spec.hedge_after
            if not after or session not in self._dialer.dialling or (session.race is not None and session.race.is_on):
                continue
            due = session.dialled_at + after
            if due <= now:
                self._start(session)
            elif due < soonest:
                soonest = due
        return soonest

    def _start(self, session: Session) -> None:
        """Dial the next attempts on other tunnels until one is under way. What fails at once is not tried again."""
        for attempt in self._host.current_plan(session).attempts():
            if attempt.lane is session.attempt.lane or attempt in session.tried:
                continue
            race = session.race
            if race is None:
                race = session.race = Race(session)
            failure = self._dial(race, attempt)
            if failure is not None:
                self.failed(race, failure)
            if session.race is None or race.is_on:  # the target has answered; or it may
                return

    def _dial(self, race: Race, attempt: Attempt) -> DialFailure | None:
        """Start the second dial. Never on a spare: those are for who is in a hurry."""
        race.attempt = attempt
        race.dialled_at = self._host.now
        race.dial_batch = self._host.batch
        attempt.lane.races.add(race)
        if not self._dialer.is_proven(attempt):
            return DialFailure.NOT_PROVEN
        try:
            upstream = make_upstream(attempt)
            code = upstream.connect_ex(attempt.address)
            self._host.adopt_second(race, upstream)
        except OSError as error:
            code = error.errno or errno.EIO
        self.under_way[race] = None
        return None if code in UNDER_WAY else failure_of(code)

    # ------------------------------------------------------------ the second dial

    def on_second(self, race: Race, events: int) -> bool:
        """An event on the upstream of the second dial: whether it is connected, and the session's own now."""
        if events & FAILED_EVENTS:
            self.failed(race, failure_said_by(race.source))
            return False
        if not events & _WRITABLE:
            return False
        self._dialer.on_outrun(race.session)  # no failure, and yet no answer for as long as this
        self._take_over(race)
        return True

    def failed(self, race: Race, reason: DialFailure) -> None:
        """The second dial failed. If that is the target's answer the race is over; else the first goes on alone."""
        session = race.session
        if reason in _ANSWERS:
            self._take_over(race)
            self._dialer.failed(session, reason)
            return
        self._dialer.count_failure(race.attempt, session, reason)
        session.tried = (*session.tried, race.attempt)
        self._drop(race)

    def expire(self, now: float) -> None:
        """Fail the second dials whose share of the time is used up."""
        for race in list(self.under_way):
            if race in self.under_way and now >= self._dialer.deadline(race.session, race.dialled_at):
                self.failed(race, DialFailure.TIMED_OUT)

    def withdraw(self) -> None:
        """Fail the second dials that the present table no longer offers."""
        for race in list(self.under_way):
            if race in self.under_way and not self._dialer.is_offered(race.session, race.attempt):
                self.failed(race, DialFailure.TUNNEL_DOWN)

    # ------------------------------------------------------------ the first

    def goes_on(self, session: Session, reason: DialFailure) -> bool:
        """The first dial failed for `reason`, which is counted already: whether the second goes on in its place."""
        race = session.race
        if race is None or not race.is_on or reason in _ANSWERS:
            return False
        session.tried = (*session.tried, session.attempt)
        self._take_over(race)
        return True

    def settle(self, session: Session, result: HedgeResult | None = None) -> None:
        """The race of `session` is over, and came to `result` (None: its dial is connected). Whoever is left goes."""
        race = session.race
        if race is not None:
            session.race = None
            session.plan.forward.hedges[result or race.result] += 1
            self._drop(race)

    # ------------------------------------------------------------ parts

    def _take_over(self, race: Race) -> None:
        """The second dial takes the place of the first, which is closed: session, lane and events are its own now."""
        session, host = race.session, self._host
        host.drop_upstream(session)
        session.attempt.lane.sessions.discard(session)
        self._forget(race)
        race.attempt.lane.sessions.add(session)
        session.attempt = race.attempt
        session.dialled_at = race.dialled_at
        session.dial_batch = race.dial_batch
        session.down.source = race.source
        if race.is_on:  # it may have failed before it had a socket
            host.sources[race.source.fileno()] = session.down
            race.source = UNCONNECTED
        race.result = HedgeResult.WON

    def _drop(self, race: Race) -> None:
        """Close the second dial's upstream, if it has one: with RST, since it may be connected already."""
        self._forget(race)
        upstream = race.source
        if upstream is not UNCONNECTED:
            self._host.sources[upstream.fileno()] = None
            race.source = UNCONNECTED
            sockopt.close_with_reset(upstream)

    def _forget(self, race: Race) -> None:
        self.under_way.pop(race, None)
        race.attempt.lane.races.discard(race)
