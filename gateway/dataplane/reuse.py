"""Upstream sockets used again: the one trick in the data plane, kept to itself.

connect(2) with AF_UNSPEC dissolves a TCP socket's association (and sends RST if it was open) but keeps the socket, its
options, its binding to the tunnel's device and its epoll registration. That saves six to ten microseconds of system
calls on each new connection. `[gateway] reuse_upstreams = false` switches it off.

Two traps, each behind a regression test:
- The disconnect leaves an EPOLLERR behind (tcp_disconnect() sets sk_err). Used again in the same batch of events, the
  socket would have the new session killed by it: so the engine ignores all events of a session in the batch in which
  its upstream was connected.
- The source port that the kernel chose goes with the association, and so does TCP_MAXSEG, which is set again; all else
  stays: spares belong to one lane, and die with its path and its options (`retire`).
"""

from __future__ import annotations

from _socket import socket as Socket  # noqa: N812

from gateway.dataplane.native import disconnect


class Spares:
    """Disconnected sockets of one lane and address family, ready to connect, until its path or options change."""

    __slots__ = ("open", "sockets")

    def __init__(self) -> None:
        self.open = True
        self.sockets: list[Socket] = []


class UpstreamReuse:
    """Disconnects upstream sockets and keeps a bounded number of them as spares, which it owns.

    `kept` counts them; whoever takes one out of its `Spares` counts it down, and owns it.
    """

    __slots__ = ("_capacity", "kept")

    def __init__(self, *, capacity: int) -> None:
        """`capacity`: spares in all lanes together; 0 switches reuse off."""
        self._capacity = capacity
        self.kept = 0

    def keep(self, sock: Socket, spares: Spares) -> bool:
        """Dissolve the association of `sock` and keep it in `spares`; False: not kept, the caller closes it."""
        if not spares.open or self.kept >= self._capacity or not disconnect(sock.fileno()):
            return False
        self.kept += 1
        spares.sockets.append(sock)
        return True

    def retire(self, spares: Spares) -> None:
        """Close all of `spares`, and take no more: the path is no longer what they are bound to."""
        spares.open = False
        self.kept -= len(spares.sockets)
        while spares.sockets:
            spares.sockets.pop().close()
