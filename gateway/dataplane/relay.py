"""The relay: moving bytes from one socket to another, cheaply.

A pump copies while its flow is small (one recv into a shared buffer, one send) and splices once it is bulk (the bytes
stay in the kernel, in a borrowed pipe). This is the hot path: no event objects, no logging, no allocation a chunk.

Edge-triggered epoll asks for care; each rule below was a bug once:
- Whoever is woken reads on until the source is dry (EAGAIN), ended, or its sink is blocked. A short read stands for
  "dry" only if the source's peer has not sent FIN: otherwise the end of file would never be read.
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

from gateway.dataplane.pipes import PipePool
from gateway.dataplane.session import Phase, Pump, Session
from gateway.model import CloseReason

CLIENT_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
"""A client is registered without EPOLLOUT: it is writable from the start, and saying so would cost a wake-up."""
SOCKET_EVENTS: Final = CLIENT_EVENTS | select.EPOLLOUT

_BUFFER_BYTES: Final = 64 * 1024
_BULK_AFTER: Final = 4  # full reads
_SPLICE_BYTES: Final = 1 << 20  # what is asked for; a pipe holds less
_ROUNDS: Final = range(16)  # fairness: a pump that could go on for ever lets the others have their turn
_SALVAGE_ROUNDS: Final = range(64)
_DONTWAIT: Final = int(socket.MSG_DONTWAIT)
_SHUT_WR: Final = int(socket.SHUT_WR)
_ENDED: Final = Phase.ENDED
_SPLICE_FLAGS: Final = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE
_CANNOT_SPLICE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP})
_RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN})


class Relay:
    """Pumps for all sessions of one engine. Borrows pipes, owns no socket: `finish` ends a session."""

    def __init__(
        self,
        *,
        epoll: select.epoll,
        pipes: PipePool,
        finish: Callable[[Session, CloseReason], None],
        splice: bool,
    ) -> None:
        """`finish(session, reason)` takes the session down, whatever its state. `splice=False`: always copy."""
        self._arm = epoll.modify
        self._pipes = pipes
        self._finish = finish
        self._buffer = bytearray(_BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._bulk_after = _BULK_AFTER if splice else 1 << 62
        self.tick = 0
        self.unfinished: dict[Pump, None] = {}
        """Pumps that used up their turn and go on in the next one."""

    def pump(self, pump: Pump) -> None:
        """Move what can be moved now.

        Afterwards the source is dry, ended or failed, or the sink is blocked, or the turn was used up: then the pump
        is in `unfinished`.
        """
        pump.session.last_active = self.tick
        try:
            if pump.pipe is not None:
                self._splice(pump)
            elif pump.carry is not None and not self._send_carry(pump):
                return
            elif pump.full_reads < self._bulk_after:
                self._copy(pump)
            else:
                self._splice(pump)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(pump, error)

    def source_failed(self, pump: Pump) -> None:
        """The kernel reported an error on `pump.source`: the session ends for the reason that the error is.

        What the target had sent before the error is delivered first, as far as the client takes it. A client that
        resets threw its own bytes away; its error is not even asked for while keepalive cannot be what failed.
        """
        session = pump.session
        if pump is session.up and self.tick - session.last_active < session.plan.forward.spec.keepalive.idle:
            self._finish(session, CloseReason.CLIENT_RESET)
            return
        source, sink = pump.source, pump.twin.source
        try:
            for _ in _SALVAGE_ROUNDS:
                size = source.recv_into(self._buffer, 0, _DONTWAIT)
                if size == 0 or pump.carry is not None or pump.pipe is not None:
                    break
                sent = sink.send(self._view[:size], _DONTWAIT)
                pump.moved += sent
                if sent < size:
                    break
        except OSError as error:
            self._fail(pump, error)
        else:
            self._finish(pump.session, self._reset_by(pump))

    # ------------------------------------------------------------ copying

    def _copy(self, pump: Pump) -> None:
        buffer, view = self._buffer, self._view
        source, sink = pump.source, pump.twin.source
        for _ in _ROUNDS:
            size = source.recv_into(buffer, 0, _DONTWAIT)
            if size == 0:
                self._pass_end(pump)
                return
            try:
                sent = sink.send(view[:size], _DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._fail(pump.twin, error)
                return
            pump.moved += sent
            if sent < size:
                pump.carry = bytes(view[sent:size])
                self._arm(sink.fileno(), SOCKET_EVENTS)
                return
            if size == _BUFFER_BYTES:
                pump.full_reads += 1
                if pump.full_reads >= self._bulk_after:
                    break
            elif not pump.hung_up:
                return
        self.unfinished[pump] = None

    def _send_carry(self, pump: Pump) -> bool:
        """Send what is carried; whether all of it went."""
        carry = pump.carry
        assert carry is not None  # noqa: S101 - for the type checker; the caller looked
        sink = pump.twin.source
        try:
            sent = sink.send(carry, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(pump.twin, error)
            return False
        pump.moved += sent
        if sent < len(carry):
            pump.carry = carry[sent:]
            self._arm(sink.fileno(), SOCKET_EVENTS)
            return False
        pump.carry = None
        return True

    # ------------------------------------------------------------ splicing

    def _splice(self, pump: Pump) -> None:  # noqa: C901, PLR0912 - one loop around two system calls, and their four ends
        pipe = pump.pipe
        source, sink = pump.source, pump.twin.source
        if pipe is None:
            pipe = self._pipes.borrow()
            if pipe is None:
                pump.full_reads = 0
                self._copy(pump)
                return
            pump.pipe = pipe
            source.setblocking(False)  # noqa: FBT003 - splice(2) knows no MSG_DONTWAIT
            sink.setblocking(False)  # noqa: FBT003
        source_fd, sink_fd = source.fileno(), sink.fileno()
        read_fd, write_fd = pipe.read_fd, pipe.write_fd
        held, moved, filling = pipe.held, 0, False
        ended = False
        try:
            for _ in _ROUNDS:
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
                self._splice_is_impossible(pump)
            else:
                self._fail(pump if filling else pump.twin, error)
            return
        pipe.held = held
        pump.moved += moved
        if held == 0:
            pump.pipe = None
            self._pipes.give_back(pipe)
            if moved < _BUFFER_BYTES:
                pump.full_reads -= 1  # the flow has become small: soon copying is cheaper again
            else:
                pump.full_reads = _BULK_AFTER
        if ended:
            self._pass_end(pump)

    def _splice_is_impossible(self, pump: Pump) -> None:
        """The kernel, or a filter on it, has no splice for these sockets: copy from now on, everybody."""
        self._bulk_after = 1 << 62
        pipe = pump.pipe
        assert pipe is not None  # noqa: S101 - for the type checker; it was just used
        if pipe.held:
            pump.carry = os.read(pipe.read_fd, pipe.held)
            pipe.held = 0
        pump.pipe = None
        self._pipes.give_back(pipe)
        self.unfinished[pump] = None

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
        """A system call on `failed.source` said `error`: the session is over."""
        if error.errno in _RESET:
            reason = self._reset_by(failed)
        elif error.errno == errno.ETIMEDOUT:
            reason = CloseReason.USER_TIMEOUT
        else:
            reason = CloseReason.ERROR
        self._finish(failed.session, reason)

    @staticmethod
    def _reset_by(failed: Pump) -> CloseReason:
        return CloseReason.CLIENT_RESET if failed is failed.session.up else CloseReason.TARGET_RESET
