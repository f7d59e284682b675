"""Holds: clients that wait for a tunnel, where their forward has a `hold_timeout`.

A client waits while the plan of its listener has no attempts, and when the tunnels that it was being dialled through
have fallen. Nothing is read from it: its bytes stay in the kernel. It is dialled when a table has attempts for it, the
oldest first and a bounded number in a turn; it may wait again for what is left of its `hold_timeout`, which counts from
its accept. Where the table offers a tunnel that cannot be dialled yet, it is tried again after a moment.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Handle
from collections.abc import Callable
from itertools import islice
from operator import attrgetter
from typing import Final, Protocol

import structlog

from gateway.dataplane.ledger import ForwardEntry
from gateway.dataplane.plan import Attempt, Plan
from gateway.dataplane.session import Phase, Session
from gateway.model import CloseReason, HoldResult

log = structlog.get_logger()

_DIALS_A_TURN: Final = 128
_RETRY_SECONDS: Final = 0.5  # far longer than it takes for a tunnel that fell to be out of the table
_BY_AGE: Final = attrgetter("accepted_at")


class Host(Protocol):
    """What the holds need of the engine."""

    now: float

    @property
    def tick(self) -> int:
        """How often the engine has looked for who is quiet: once a second."""

    def begin_batch(self) -> None:
        """What follows happens now, and apart from what came before."""

    def plan_of_held(self, session: Session) -> Plan | None:
        """What the session's listener offers now; None: it does not serve the session's forward any more."""

    def end_held(self, session: Session, result: HoldResult) -> None:
        """The wait is over without a tunnel: reset the client and forget the session."""

    def finish(self, session: Session, reason: CloseReason) -> None:
        """End a session, whatever its state."""

    def check_later(self) -> None:
        """See to it that dials and waits are looked after when time has passed."""


class Holds:
    """The clients that wait: all of them are in `held`. Owns the handle of the turn in which the next are dialled.

    Those for whom the present table has attempts are `_ready` to be dialled, or were dialled in vain and come `_again`.
    """

    def __init__(self, *, host: Host, dial: Callable[[Session, Attempt], None], loop: AbstractEventLoop) -> None:
        self._host = host
        self._dial = dial
        self._loop = loop
        self.held: dict[Session, None] = {}
        self._ready: dict[Session, None] = {}
        self._again: dict[Session, None] = {}
        self._next_turn: Handle | None = None

    @staticmethod
    def has_room(forward: ForwardEntry) -> bool:
        """Whether one more client of `forward` may wait; counted when not."""
        if forward.held < forward.spec.hold_max:
            return True
        forward.holds[HoldResult.LIMITED] += 1
        return False

    def begin(self, session: Session) -> None:
        """Let `session`, which has no upstream and no lane, wait; there must be room."""
        session.phase = Phase.HELD
        session.plan.forward.held += 1
        self.held[session] = None
        plan = self._host.plan_of_held(session)
        if plan is not None and plan.attempts():
            self._again[session] = None
        self._host.check_later()

    def end(self, session: Session, result: HoldResult) -> None:
        """The wait of `session` came to `result`; the session is the caller's."""
        self._leave(session)
        session.plan.forward.holds[result] += 1

    def release(self) -> None:
        """There is a new table: dial those for whom it has attempts, oldest first; end those whose forward is gone."""
        self._ready.clear()
        self._again.clear()
        for session in sorted(self.held, key=_BY_AGE):
            plan = self._host.plan_of_held(session)
            if plan is None:
                self._host.end_held(session, HoldResult.ENDED)
            elif plan.attempts():
                self._ready[session] = None
        self._turn()

    def check(self) -> None:
        """End the waits whose time is over, and dial again for those for whom that was in vain a while ago."""
        now = self._host.now
        for session in list(self.held):
            if now >= session.accepted_at + session.plan.forward.spec.hold_timeout:
                self._host.end_held(session, HoldResult.TIMED_OUT)
        for session in [it for it in self._again if now >= it.dialled_at + _RETRY_SECONDS]:
            del self._again[session]
            self._ready[session] = None
        self._turn()

    def close(self) -> None:
        """No more turns."""
        self._ready.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()

    # ------------------------------------------------------------ parts

    def _turn(self) -> None:
        """Dial some of those who are ready, and come back for the rest."""
        if self._next_turn is not None:
            self._next_turn.cancel()
            self._next_turn = None
        if not self._ready:
            return
        self._host.begin_batch()
        for session in list(islice(self._ready, _DIALS_A_TURN)):
            try:
                self._serve(session)
            except Exception:  # the boundary of one connection: a bug ends it, and no other
                log.exception("session.failed", forward=session.plan.forward.spec.name)
                self._host.finish(session, CloseReason.ERROR)
        if self._ready:
            self._next_turn = self._loop.call_soon(self._turn)
        self._host.check_later()

    def _serve(self, session: Session) -> None:
        """End the wait by a dial. One that fails at once, its tunnel having fallen, has ended nothing."""
        del self._ready[session]
        plan = self._host.plan_of_held(session)
        attempts = () if plan is None else plan.attempts()
        if plan is None or not attempts:
            return  # not any more
        self._leave(session)
        forward = plan.forward
        session.plan = plan
        session.phase = Phase.DIALLING
        session.tried = ()
        session.begun_at = session.dialled_at = self._host.now
        session.last_active = self._host.tick  # nobody was idle who waited
        if plan.last_resort:
            forward.last_resort += 1
        self._dial(session, attempts[0])
        if session.phase is not Phase.HELD:
            forward.holds[HoldResult.SERVED] += 1

    def _leave(self, session: Session) -> None:
        del self.held[session]
        self._ready.pop(session, None)
        self._again.pop(session, None)
        session.plan.forward.held -= 1
