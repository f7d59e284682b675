"""Who is at the other end of a Unix socket, as the kernel says (SO_PEERCRED, unix(7)): nothing a peer could forge."""

from __future__ import annotations

import os
import socket
import struct
from asyncio import BaseTransport
from dataclasses import dataclass
from typing import Final

_UCRED: Final = struct.Struct("iII")  # pid, uid, gid
_ROOT: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The process that connected, as it was then."""

    uid: int
    pid: int

    @property
    def may_operate(self) -> bool:
        """Only root and the gateway's own user may, whatever the mode of the socket's file has become."""
        return self.uid in {_ROOT, os.geteuid()}

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}"


def peer_of(transport: BaseTransport | None) -> Peer | None:
    """The peer of a connection over a Unix socket; None when the connection has ended meanwhile."""
    connected = None if transport is None else transport.get_extra_info("socket")
    if connected is None:
        return None
    pid, uid, _ = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(uid=uid, pid=pid)
