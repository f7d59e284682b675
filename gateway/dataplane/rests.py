"""Rests: a source that trickles is left alone for a moment, and what has come meanwhile is moved in one go.

Behind a VPN client in user space, bulk comes packet by packet, and each would wake the gateway up for 1,400 bytes: most
of what a download costs. So a flow that has come in a row of many such reads, quickly and with nothing in the other
direction, is not watched for a millisecond or two, and then pumped; and so on, while that is worth it. Questions and
answers take turns, and never make a row: an answer would be late. (Network cards do the same with their interrupts,
for the same reason.)

               a row: many reads, each a packet or a few
               of them, quickly, one way                         something has come
    watched ──────────────────────────────────────▶ resting ────────────────────────▶ pumped, and resting on
       ▲                                               │ little in many rests, or much in one;
       └───────────────────────────────────────────────┘ the other direction speaks; the sink is blocked

While its source rests, its end and its errors still wake the engine.
"""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop, Handle
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from gateway.dataplane.session import Pump, Session

_RESTING: Final = select.EPOLLRDHUP | select.EPOLLET
"""Without EPOLLPRI: the kernel says that there may be urgent data with all data, and wakes whoever asked for either."""

_RESTING_SINK: Final = _RESTING | select.EPOLLOUT
_WATCHED: Final = _RESTING_SINK | select.EPOLLIN | select.EPOLLPRI

ROW: Final = 64
"""After so many reads, none of which filled the buffer, a flow is looked at."""

RESTING: Final = -(1 << 62)
"""What `small_reads` is meanwhile: far from ROW, whatever is added."""

_QUICKLY: Final = 0.15  # seconds for a row: about as often as sources that rest are pumped
_LEAST, _MOST = ROW * 512, ROW * 16 * 1024  # bytes of a row: packets full of bulk, and not too many in one read
_REST_SECONDS: Final = 0.002  # the clock of the loop has whole milliseconds: it is one at least
_MANY: Final = 16  # rests
_WORTH_IT: Final = _MANY * 1024  # bytes in so many
_MUCH: Final = 256 * 1024  # bytes in one
_PUMPS_A_TURN: Final = 64


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
        self._timer: Handle | None = None
        self._due: list[Pump] = []  # what has not been pumped yet of those whose rest is over
        self.resting: dict[Pump, _Rest] = {}

    def consider(self, pump: Pump) -> None:
        """`pump` has made ROW small reads since it was last considered: its source may rest."""
        now, heard = monotonic(), pump.twin.moved
        began, moved, heard_then = pump.row
        pump.row = now, pump.moved, heard
        pump.small_reads = 0
        if not (
            self._enabled and now - began < _QUICKLY and heard == heard_then and _LEAST <= pump.moved - moved <= _MOST
        ):
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
        self._timer = None
        for pump, rest in list(self.resting.items()):
            if pump.held is not None or pump.ended or not rest.goes_on(pump.moved):
                self.end(pump)
            else:
                self._due.append(pump)
        self._pump_due()

    def _pump_due(self) -> None:
        """Some of them, so that the loop has its turn; then the others; then they rest."""
        due, self._due = self._due[:_PUMPS_A_TURN], self._due[_PUMPS_A_TURN:]
        if self._due:
            self._timer = self._loop.call_soon(self._pump_due)
        elif self.resting:
            self._timer = self._loop.call_later(_REST_SECONDS, self._wake)
        if due:
            self._pump(pump for pump in due if pump in self.resting)


class _Rest:
    """What the pump had moved when the present rest began; how many rests there were, and what came in all of them."""

    __slots__ = ("came", "moved", "number")

    def __init__(self, moved: int) -> None:
        self.moved = moved
        self.number = self.came = 0

    def goes_on(self, moved: int) -> bool:
        """Whether another rest is worth it, the pump having `moved` so much by the end of this one."""
        came, self.moved = moved - self.moved, moved
        self.came += came
        self.number += 1
        if self.number == _MANY:
            worth_it = self.came >= _WORTH_IT
            self.number = self.came = 0
            return worth_it
        return came <= _MUCH
