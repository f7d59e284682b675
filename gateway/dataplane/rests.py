"""Rests: a source that trickles is left alone for a moment, and what has come meanwhile is moved in one go.

Behind a VPN client in user space, packets come one by one, and each would wake the gateway up for 1,400 bytes: most of
what a download costs. So a flow that has come in many small reads, quickly and with nothing in the other direction, is
not watched for a millisecond or two, and then pumped; and so on, while that is worth it. What is asked and answered
never rests: an answer would be late. (Network cards do the same with their interrupts, for the same reason.)

            many small reads, quickly, one way               something has come
    watched ──────────────────────────────────▶ resting ────────────────────────▶ pumped, and resting on
       ▲                                           │ nothing for a while, or very much; the other direction
       └───────────────────────────────────────────┘ speaks; the sink is blocked

While its source rests, its end and its errors still wake the engine.
"""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from gateway.dataplane.session import Pump, Session

_RESTING: Final = select.EPOLLRDHUP | select.EPOLLET
"""Without EPOLLPRI: the kernel says that there may be urgent data with all data, and wakes whoever asked for either."""

_RESTING_SINK: Final = _RESTING | select.EPOLLOUT
_WATCHED: Final = _RESTING_SINK | select.EPOLLIN | select.EPOLLPRI


SMALL_READS: Final = 64
"""After so many in a row, all in one direction, a flow is looked at."""

RESTING: Final = -(1 << 62)
"""What `small_reads` is meanwhile: far from SMALL_READS, whatever is added."""

_QUICKLY: Final = 0.15  # seconds for so many: about as often as sources that rest are pumped
_REST_SECONDS: Final = 0.002  # the clock of the loop has whole milliseconds: it is one at least
_PATIENCE: Final = 10  # rests in a row in which nothing came: who sends may have been kept waiting himself
_TOO_MUCH: Final = 256 * 1024  # bytes in a rest: that does not trickle


class Rests:
    """The sources that rest. Owns a timer while there are some; no socket."""

    def __init__(
        self,
        *,
        epoll: select.epoll,
        pump: Callable[[Iterable[Pump]], None],
        loop: AbstractEventLoop,
        enabled: bool,
    ) -> None:
        """`pump` moves what can be moved of these, in a turn of the engine. `enabled=False`: nobody ever rests."""
        self._arm = epoll.modify
        self._pump = pump
        self._loop = loop
        self._enabled = enabled
        self._timer: TimerHandle | None = None
        self.resting: dict[Pump, _Rest] = {}

    def consider(self, pump: Pump) -> None:
        """`pump` has made SMALL_READS in a row: let its source rest if they came quickly."""
        now = monotonic()
        quick = now - pump.counted_from < _QUICKLY
        pump.counted_from = now
        pump.small_reads = 0
        if not (quick and self._enabled):
            return
        pump.small_reads = RESTING
        self.resting[pump] = _Rest(pump.moved)
        self._arm(pump.source.fileno(), _RESTING if pump.twin.held is None else _RESTING_SINK)
        if self._timer is None:
            self._timer = self._loop.call_later(_REST_SECONDS, self._wake)

    def end(self, pump: Pump) -> None:
        """Watch its source again, which tells what has come meanwhile."""
        del self.resting[pump]
        pump.small_reads = 0
        self._arm(pump.source.fileno(), _WATCHED)

    def over(self, session: Session) -> None:
        """`session` ends. To be told of each while somebody is `resting`.

        Pumps are used again, and so are upstream sockets, as they are registered.
        """
        for pump in (session.up, session.down):
            if pump in self.resting:
                self.end(pump)

    def close(self) -> None:
        """Wake nobody any more."""
        self.resting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        due: list[Pump] = []
        for pump, rest in list(self.resting.items()):
            came, rest.moved = pump.moved - rest.moved, pump.moved
            rest.in_vain = 0 if came else rest.in_vain + 1
            if pump.held is not None or pump.ended or rest.in_vain > _PATIENCE or came > _TOO_MUCH:
                self.end(pump)
            else:
                due.append(pump)
        self._timer = self._loop.call_later(_REST_SECONDS, self._wake) if self.resting else None
        if due:
            self._pump(due)


class _Rest:
    """What the pump had moved when the present rest began, and how many before it brought nothing."""

    __slots__ = ("in_vain", "moved")

    def __init__(self, moved: int) -> None:
        self.moved = moved
        self.in_vain = 0
