"""The relay: moving bytes from one socket to another, cheaply.

A pump copies while its flow is small (one recv into a shared buffer, one send) and splices once it is bulk (the bytes
stay in the kernel, in a borrowed pipe). This is the hot path: no event objects, no logging, no allocation a chunk.

Edge-triggered epoll asks for care; each rule below was a bug once:
- Whoever is woken reads on until the source is dry (EAGAIN), ended, or its sink is blocked. A short read stands for
  "dry" only while no FIN has come, which would never be read, and no urgent data, at which a read stops short.
- Whoever finds the sink blocked arms it (EPOLL_CTL_MOD with EPOLLOUT polls it again, so no wake-up is lost).
- An error on one socket is not an end of file: RST stays RST on the other side.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from typing import Final

from gateway.dataplane.native import unread
from gateway.dataplane.pipes import Pipe, PipePool
from gateway.dataplane.rests import ROW, Rests
from gateway.dataplane.session import Phase, Pump, Session
from gateway.model import CloseReason

CLIENT_EVENTS: Final = select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLET
"""A client is registered without EPOLLOUT: it is writable from the start, and saying so would cost a wake-up."""
SOCKET_EVENTS: Final = CLIENT_EVENTS | select.EPOLLOUT

_BUFFER_BYTES: Final = 64 * 1024
_SMALL_BYTES: Final = 1024  # reads smaller than this find their slice of the buffer ready-made
_BULK_AFTER: Final = 4  # full reads
_NEVER: Final = 1 << 62  # full reads
_SPLICE_BYTES: Final = 1 << 20  # what is asked for; a pipe holds less
_ROUNDS: Final = range(16)  # fairness: a pump that could go on for ever lets the others have their turn
_SPLICE_ROUNDS: Final = range(4)  # the same for a splice, which moves up to half a MiB in each
_SALVAGE_ROUNDS: Final = range(64)
_DONTWAIT: Final = int(socket.MSG_DONTWAIT)
_SHUT_WR: Final = int(socket.SHUT_WR)
_ENDED: Final = Phase.ENDED
_SPLICE_FLAGS: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_CANNOT_SPLICE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
_RESET: Final = frozenset({0, errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN})  # 0: said already


class Relay:
    """Pumps for all sessions of one engine. Borrows pipes, owns no socket: `finish` ends a session."""

    def __init__(
        self,
        *,
        epoll: select.epoll,
        pipes: PipePool,
        finish: Callable[[Session, CloseReason], None],
        rests: Rests,
        splice: bool,
    ) -> None:
        """`finish(session, reason)` takes the session down, whatever its state. `splice=False`: always copy."""
        self._arm = epoll.modify
        self._pipes = pipes
        self._finish = finish
        self._rests = rests
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._small = [self._view[:size] for size in range(_SMALL_BYTES)]
        self._bulk_after = _BULK_AFTER if splice else _NEVER
        self.tick = 0
        self.unfinished: dict[Pump, None] = {}
        """Pumps that used up their turn and go on in the next one."""

    def pump(self, pump: Pump) -> None:  # noqa: C901, PLR0911, PLR0912 - the hot path: flat on purpose
        """Move what can be moved now.

        Afterwards the source is dry, ended or failed, or the sink is blocked, or the turn was used up: then the pump
        is in `unfinished`.
        """
        pump.session.last_active = self.tick
        twin = pump.twin
        if twin.small_reads < 0:
            self._rests.end(twin)  # what comes next there may be waited for
        if pump.held is not None or pump.full_reads >= self._bulk_after:
            self._pump_bulk(pump)
            return
        source, sink = pump.source, twin.source
        try:
            for _ in _ROUNDS:
                size = source.recv_into(self._buffer, 0, _DONTWAIT)
                if not size:
                    self._pass_end(pump)
                    return
                try:
                    sent = sink.send(self._small[size] if size < _SMALL_BYTES else self._view[:size], _DONTWAIT)
                except BlockingIOError:
                    sent = 0
                except OSError as error:
                    self._fail(twin, error)
                    return
                pump.moved += sent
                if sent < size:
                    pump.held = bytes(self._view[sent:size])
                    self._arm(sink.fileno(), SOCKET_EVENTS)
                    return
                if size < _BUFFER_BYTES:
                    if not pump.read_on:
                        pump.small_reads += 1
                        if pump.small_reads >= ROW:
                            self._rests.consider(pump)
                        return
                else:
                    pump.full_reads += 1
                    if pump.full_reads >= self._bulk_after:
                        break
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(pump, error)
            return
        self.unfinished[pump] = None

    def source_failed(self, pump: Pump) -> None:
        """The kernel reported an error on `pump.source`: the session ends for the reason that the error is.

        What came before the error is delivered first, as far as the sink takes it. By far the most frequent case, a
        client that resets with nothing left to deliver, is not asked for its error while that can only be RST: as long
        as keepalive has not had the time to fail.
        """
        session = pump.session
        if (
            pump is session.up
            and self.tick - session.last_active < session.plan.forward.spec.keepalive.idle
            and not unread(pump.source.fileno())
        ):
            self._finish(session, CloseReason.CLIENT_RESET)
            return
        error = self._salvage(pump) or OSError(pump.source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "")
        self._finish(session, self._reason(pump, error))

    # ------------------------------------------------------------ more than a little

    def _pump_bulk(self, pump: Pump) -> None:
        """Go on with what is held from the last time, then with the flow: by splice where it is bulk."""
        held = pump.held
        if isinstance(held, Pipe):
            self._splice(pump, held)
            return
        if held is not None and not self._send_held(pump, held):
            return
        pipe = self._pipes.borrow() if pump.full_reads >= self._bulk_after else None
        if pipe is None:  # not bulk, or no pipe to be had
            pump.full_reads = 0
            self.pump(pump)
            return
        pump.source.setblocking(False)  # noqa: FBT003 - splice(2) knows no MSG_DONTWAIT
        pump.twin.source.setblocking(False)  # noqa: FBT003
        pump.held = pipe
        self._splice(pump, pipe)

    def _send_held(self, pump: Pump, held: bytes) -> bool:
        """Send the bytes that are held; whether all of them went."""
        sink = pump.twin.source
        try:
            sent = sink.send(held, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(pump.twin, error)
            return False
        pump.moved += sent
        if sent < len(held):
            pump.held = held[sent:]
            self._arm(sink.fileno(), SOCKET_EVENTS)
            return False
        pump.held = None
        return True

    def _splice(self, pump: Pump, pipe: Pipe) -> None:  # noqa: C901, PLR0912 - one loop, two calls, and their four ends
        source, sink = pump.source, pump.twin.source
        source_fd, sink_fd = source.fileno(), sink.fileno()
        read_fd, write_fd = pipe.read_fd, pipe.write_fd
        held, moved, filling = pipe.held, 0, False
        ended = False
        try:
            for _ in _SPLICE_ROUNDS:
                filling = False
                while held:
                    sent = os.splice(read_fd, sink_fd, held, flags=_SPLICE_FLAGS)
                    held -= sent
                    moved += sent
                filling = True
                held = os.splice(source_fd, write_fd, _SPLICE_BYTES, flags=_SPLICE_FLAGS)
                if held == 0:
                    ended = True
                    break
            else:
                self.unfinished[pump] = None
        except BlockingIOError:
            if not filling:
                self._arm(sink_fd, SOCKET_EVENTS)
        except OSError as error:
            pipe.held = held
            pump.moved += moved
            if error.errno in _CANNOT_SPLICE:
                self._splice_is_impossible(pump, pipe)
            else:
                self._fail(pump if filling else pump.twin, error)
            return
        pipe.held = held
        pump.moved += moved
        if held == 0:
            self.let_go(pump)
            if moved < _BUFFER_BYTES:
                pump.full_reads -= 1  # the flow has become small: soon copying is cheaper again
            else:
                pump.full_reads = _BULK_AFTER
        if ended:
            self._pass_end(pump)

    def _splice_is_impossible(self, pump: Pump, pipe: Pipe) -> None:
        """The kernel, or a filter on it, has no splice for these sockets: copy from now on, everybody."""
        self._bulk_after = _NEVER
        left = os.read(pipe.read_fd, pipe.held) if pipe.held else None
        pipe.held = 0
        self.let_go(pump)
        pump.held = left
        self.unfinished[pump] = None

    def let_go(self, pump: Pump) -> None:
        """Hold nothing any more: a pipe goes back to the pool, which closes it if there is something in it."""
        if isinstance(pump.held, Pipe):
            self._pipes.give_back(pump.held)
        pump.held = None

    # ------------------------------------------------------------ endings

    def _pass_end(self, pump: Pump) -> None:
        """End of file on the source, and everything before it delivered: pass FIN on, or end the session."""
        pump.ended = True
        if pump.twin.ended:
            self._finish(pump.session, CloseReason.EOF)
            return
        try:
            pump.twin.source.shutdown(_SHUT_WR)
        except OSError as error:
            self._fail(pump.twin, error)

    def _fail(self, failed: Pump, error: OSError) -> None:
        """A system call on `failed.source` said `error`: the session is over.

        A target that answers and hangs up on a client that is still sending has last words: they are delivered.
        """
        session = failed.session
        if failed is session.down:
            self._salvage(failed)
        self._finish(session, self._reason(failed, error))

    def _salvage(self, pump: Pump) -> OSError | None:
        """Deliver what came from a source before it failed, as far as the sink takes it; its error, if it says one."""
        if pump.held is not None:
            return None
        source, sink = pump.source, pump.twin.source
        for _ in _SALVAGE_ROUNDS:
            try:
                size = source.recv_into(self._buffer, 0, _DONTWAIT)
            except OSError as error:
                return error
            try:
                sent = sink.send(self._view[:size], _DONTWAIT) if size else 0
            except OSError:  # the sink is blocked, or gone as well: there is nobody to deliver to
                return None
            pump.moved += sent
            if sent < size or not size:
                return None
        return None

    @staticmethod
    def _reason(failed: Pump, error: OSError) -> CloseReason:
        if error.errno in _RESET:
            return CloseReason.CLIENT_RESET if failed is failed.session.up else CloseReason.TARGET_RESET
        return CloseReason.USER_TIMEOUT if error.errno == errno.ETIMEDOUT else CloseReason.ERROR
