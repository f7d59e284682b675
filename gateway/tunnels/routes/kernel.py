"""Talks with the kernel about rules and routes: what there is of ours, and what is to be changed. Blocks: for a thread.

The socket is plain, as pyroute2's brings an event loop with it. An entry that is there already, or is gone already, is
well: others may change things, too, and the kernel takes the routes of a device away with the device.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pyroute2.netlink import NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR

from gateway.errors import LinkError
from gateway.tunnels.netlink import refused
from gateway.tunnels.routes import wire
from gateway.tunnels.routes.plan import Action, Entry, Family, OifRule, Operation, Route, SourceRule, Unreachable, steps

_SOL_NETLINK: Final = 270
_NETLINK_GET_STRICT_CHK: Final = 12
_ERROR: Final = struct.Struct("=i")
_ANSWER_SIZE: Final = 1 << 16
_ANSWER_TIMEOUT: Final = struct.pack("@ll", 5, 0)
"""SO_RCVTIMEO: a kernel that does not answer for so long is an error, not a thread that hangs for ever."""

_BATCH: Final = 64
"""Operations sent together: their answers must fit into a receive buffer of default size (212,992 bytes)."""

_ATTEMPTS: Final = 10
"""Dumps tried while the kernel says that the list changed under it."""

_THERE: Final = frozenset({errno.EEXIST})
_GONE: Final = frozenset({errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL})
_NO_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EPFNOSUPPORT})
"""A kernel without IPv6 has no IPv6 that could leak."""


class _Answer(NamedTuple):
    kind: int
    flags: int
    sequence: int
    body: bytes


class RouteSocket:
    """Reads and changes rules and routes of ours. Belongs to one thread; owns one descriptor."""

    def __init__(self) -> None:
        """Raises OSError where netlink cannot be had."""
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_TIMEOUT)
            self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)  # filters dumps; Linux 4.20
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Give the descriptor back. May be called again."""
        self._socket.close()

    def read(self, table: int) -> frozenset[Entry]:
        """All of ours in one table, and that leads to it. Raises OSError."""
        return frozenset(each for each in self._read(table) if each.table == table)

    def clean(self, is_ours: Callable[[int], bool]) -> int:
        """Remove all that carries our mark, of the tables that are ours; how much there was. Raises OSError, LinkError.

        In the order in which nothing can leak.
        """
        return self.carry_out(steps(frozenset(each for each in self._read(None) if is_ours(each.table)), frozenset()))

    def carry_out(self, operations: Sequence[Operation]) -> int:
        """Do these, in order, and all that can be done; how many changed something.

        Raises OSError; LinkError, which names the first that was refused.
        """
        refusal: LinkError | None = None
        changes = 0
        for start in range(0, len(operations), _BATCH):
            batch = operations[start : start + _BATCH]
            for operation, number in zip(batch, self._results(batch), strict=True):
                changes += not number
                if refusal is None and number and not _harmless(operation, number):
                    refusal = refused(_said(operation), number)
        if refusal is not None:
            raise refusal
        return changes

    # ------------------------------------------------------------ the conversation

    def _read(self, table: int | None) -> Iterator[Entry]:
        for family in Family:
            for question in (wire.rules(family), wire.routes(family, table)):
                for answer in self._dump(question):
                    entry = wire.read(answer.kind, answer.body)
                    if entry is not None:
                        yield entry

    def _dump(self, question: wire.Message) -> list[_Answer]:
        for _ in range(_ATTEMPTS):
            self._send([question])
            answers = list(self._answers_to_dump())
            if not any(answer.flags & NLM_F_DUMP_INTR for answer in answers):
                break
        return answers

    def _answers_to_dump(self) -> Iterator[_Answer]:
        while True:
            for answer in self._receive():
                if answer.sequence != self._sequence:
                    continue  # left over from a question given up
                if answer.kind in (NLMSG_ERROR, NLMSG_DONE):  # the end of a dump carries its error, if any
                    number = _number(answer)
                    if number and number not in _NO_FAMILY | {errno.ENOENT}:  # ENOENT: there is no such table yet
                        raise OSError(number, os.strerror(number))
                    return
                yield answer

    def _results(self, batch: Sequence[Operation]) -> list[int]:
        """An errno for each, 0 for none."""
        first = self._sequence + 1
        self._send([wire.order(operation) for operation in batch])
        results = [0] * len(batch)
        waiting = len(batch)
        while waiting:
            for answer in self._receive():
                if answer.kind == NLMSG_ERROR and answer.sequence >= first:
                    results[answer.sequence - first] = _number(answer)
                    waiting -= 1
        return results

    def _send(self, messages: Sequence[wire.Message]) -> None:
        packed = []
        for message in messages:
            self._sequence += 1
            packed.append(self._framed(message))
        self._socket.send(b"".join(packed))

    def _framed(self, message: wire.Message) -> bytes:
        length = wire.HEADER.size + len(message.body)
        return wire.HEADER.pack(length, message.kind, message.flags, self._sequence, 0) + message.body

    def _receive(self) -> Iterator[_Answer]:
        """The messages of one datagram."""
        data = self._socket.recv(_ANSWER_SIZE)
        offset = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = wire.HEADER.unpack_from(data, offset)
            yield _Answer(kind, flags, sequence, data[offset + wire.HEADER.size : offset + length])
            offset += (length + 3) & ~3


def _number(answer: _Answer) -> int:
    code: int = _ERROR.unpack_from(answer.body)[0]
    return -code


def _harmless(operation: Operation, number: int) -> bool:
    if operation.entry.family is Family.V6 and number in _NO_FAMILY:
        return True
    return number in (_THERE if operation.action is Action.ADD else _GONE)


def _said(operation: Operation) -> str:
    """What was to be done, in an operator's words."""
    verb = "add" if operation.action is Action.ADD else "remove"
    match entry := operation.entry:
        case OifRule():
            return f"{verb} the rule for device {entry.interface}"
        case SourceRule():
            return f"{verb} the rule for address {entry.source}"
        case Unreachable():
            return f"{verb} the last route of table {entry.table}"
        case Route():
            return f"{verb} the route to {entry.destination} from {entry.source}"
