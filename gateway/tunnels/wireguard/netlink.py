"""A conversation with a family of generic netlink: one message, and what the kernel answers. Blocks: for a thread.

The socket is plain, since pyroute2's sockets bring an event loop with them.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Final, Self

from pyroute2.netlink import (
    CTRL_CMD_GETFAMILY,
    GENL_ID_CTRL,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    ctrlmsg,
)

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_NETLINK_GENERIC: Final = 16
_ERROR: Final = struct.Struct("=i")
_ANSWER_SIZE: Final = 1 << 16
_ANSWER_TIMEOUT: Final = struct.pack("@ll", 5, 0)
"""SO_RCVTIMEO: a kernel that does not answer for so long is an error, not a thread that hangs for ever."""


class Family:
    """One family, by its name. Used by one thread; a context manager, which gives the socket back."""

    def __init__(self, name: str) -> None:
        """Raises OSError: ENOENT where the kernel has no such family."""
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_GENERIC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_TIMEOUT)
            self._socket.bind((0, 0))
            self._number = self._find(name)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def order(self, message: bytes) -> None:
        """Send a message, which begins with its genlmsghdr, and return when it is carried out. Raises OSError."""
        self._send(self._number, NLM_F_REQUEST | NLM_F_ACK, message)
        for _ in self._answers():
            pass

    def dump(self, message: bytes) -> list[bytes]:
        """All answers to a question, whole messages, each with its nlmsghdr. Raises OSError."""
        self._send(self._number, NLM_F_REQUEST | NLM_F_DUMP, message)
        return list(self._answers())

    def _find(self, name: str) -> int:
        question = ctrlmsg()
        question["cmd"] = CTRL_CMD_GETFAMILY
        question["version"] = 1
        question["attrs"] = [("CTRL_ATTR_FAMILY_NAME", name)]
        question.encode()
        self._send(GENL_ID_CTRL, NLM_F_REQUEST | NLM_F_ACK, bytes(question.data[_HEADER.size :]))
        (answer,) = self._answers()
        found = ctrlmsg(answer)
        found.decode()
        number = found.get_attr("CTRL_ATTR_FAMILY_ID")
        if not isinstance(number, int):
            raise OSError(errno.ENOENT, f"the kernel does not say which number {name} has")
        return number

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)

    def _answers(self) -> Iterator[bytes]:
        """The answers to the last message, until the kernel says that it is done. Raises OSError."""
        while True:
            for kind, sequence, message in _taken_apart(self._socket.recv(_ANSWER_SIZE)):
                if sequence != self._sequence:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    _raise_error(message)
                    return
                yield message


def _taken_apart(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type and sequence number of each message of a datagram, and the whole of it."""
    offset = 0
    while offset < len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, sequence, data[offset : offset + length]
        offset += (length + 3) & ~3


def _raise_error(message: bytes) -> None:
    (code,) = _ERROR.unpack_from(message, _HEADER.size)
    if code:
        raise OSError(-code, errno.errorcode.get(-code, str(-code)))
