"""One connect(2) towards a target: the socket that it takes, and what its errors say."""

from __future__ import annotations

import errno
import select
import socket
from _socket import socket as Socket  # noqa: N812
from typing import Final

from gateway.dataplane import sockopt
from gateway.dataplane.plan import Attempt
from gateway.model import DialFailure

UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})
"""What a connect() that did not fail returns: on this very machine it may be connected already."""
FAILED_EVENTS: Final = select.EPOLLERR | select.EPOLLHUP
"""What epoll says of one that failed later; what it says of one that did not is EPOLLOUT."""

_NONBLOCKING_STREAM: Final = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
_SOL_SOCKET: Final = int(socket.SOL_SOCKET)
_SO_ERROR: Final = int(socket.SO_ERROR)


def make_upstream(attempt: Attempt) -> Socket:
    """A socket bound to the path of `attempt`, with its options; the caller's. Raises OSError."""
    upstream = Socket(attempt.family, _NONBLOCKING_STREAM, 0)
    try:
        sockopt.prepare_upstream(upstream, attempt.path, attempt.lane.forward.spec)
    except OSError:
        upstream.close()
        raise
    return upstream


def failure_said_by(upstream: Socket) -> DialFailure:
    """Why the dial of `upstream` failed, when epoll says that it did."""
    return failure_of(upstream.getsockopt(_SOL_SOCKET, _SO_ERROR))


def failure_of(code: int) -> DialFailure:
    """What an errno of connect(2) says about the attempt."""
    if code == errno.ECONNREFUSED:
        return DialFailure.REFUSED
    if code == errno.ETIMEDOUT:
        return DialFailure.TIMED_OUT
    if code == errno.ECONNRESET:
        return DialFailure.RESET
    if code in sockopt.LOCAL_TROUBLE:
        return DialFailure.LOCAL
    return DialFailure.UNREACHABLE
