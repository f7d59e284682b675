"""Socket options: the numbers that Python does not name, and the few groups in which they are set.

Options that clients need are set on the listener and inherited by every accepted socket (tcp(7)): not one system
call per client. Integer options are used where there is a choice: SO_BINDTOIFINDEX costs a third of SO_BINDTODEVICE
and names the device that was proven, not whatever carries the name a moment later.
"""

from __future__ import annotations

import errno
import socket
import struct
from _socket import socket as Socket  # noqa: N812 - the plain C socket: no Python wrapper on the hot path
from typing import Final

from gateway.model import ForwardSpec, KeepAlive, Path

SO_BINDTOIFINDEX: Final = 62  # include/uapi/asm-generic/socket.h, Linux 5.0
IP_BIND_ADDRESS_NO_PORT: Final = 24  # ip(7): choose the port at connect(), when the whole 4-tuple is known
_SOL_SOCKET: Final = int(socket.SOL_SOCKET)
_TCP: Final = int(socket.IPPROTO_TCP)
_TCP_NODELAY: Final = int(socket.TCP_NODELAY)
_TCP_KEEPIDLE: Final = int(socket.TCP_KEEPIDLE)
_TCP_KEEPINTVL: Final = int(socket.TCP_KEEPINTVL)
_TCP_KEEPCNT: Final = int(socket.TCP_KEEPCNT)
_TCP_USER_TIMEOUT: Final = int(socket.TCP_USER_TIMEOUT)
_SO_KEEPALIVE: Final = int(socket.SO_KEEPALIVE)
_SO_LINGER: Final = int(socket.SO_LINGER)
_LINGER_RESET: Final = struct.pack("ii", 1, 0)  # close() drops what is unsent and sends RST (socket(7))

# struct tcp_info starts with one byte, the state (linux/tcp.h); 7 is TCP_CLOSE (net/tcp_states.h).
_TCP_STATE_CLOSE: Final = b"\x07"
_TCP_INFO: Final = int(socket.TCP_INFO)

# Errors of our own machine: they say nothing about a tunnel or a target.
LOCAL_TROUBLE: Final = frozenset(
    {
        errno.EPERM,
        errno.EACCES,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ENOSPC,  # fs.epoll.max_user_watches
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        errno.EAGAIN,
        errno.EAFNOSUPPORT,
    }
)


def set_keepalive(sock: Socket, keepalive: KeepAlive) -> None:
    """Turn TCP keepalive on (tcp(7)): a vanished peer is noticed, and a NAT in between keeps its mapping."""
    set_option = sock.setsockopt
    set_option(_SOL_SOCKET, _SO_KEEPALIVE, 1)
    set_option(_TCP, _TCP_KEEPIDLE, keepalive.idle)
    set_option(_TCP, _TCP_KEEPINTVL, keepalive.interval)
    set_option(_TCP, _TCP_KEEPCNT, keepalive.count)


def prepare_listener(sock: Socket, forward: ForwardSpec) -> None:
    """Options of a listener, with all that its clients are to inherit."""
    sock.setsockopt(_SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(_TCP, _TCP_NODELAY, 1)
    set_keepalive(sock, forward.keepalive)


def prepare_upstream(sock: Socket, path: Path, forward: ForwardSpec) -> None:
    """Options of an upstream before connect(): bound to the tunnel first, so that no error can leave it unbound."""
    set_option = sock.setsockopt
    set_option(_SOL_SOCKET, SO_BINDTOIFINDEX, path.ifindex)
    set_option(_TCP, _TCP_NODELAY, 1)
    set_keepalive(sock, forward.keepalive)
    set_option(_TCP, _TCP_USER_TIMEOUT, int(forward.tcp_user_timeout * 1000))
    if path.mss is not None:
        set_option(_TCP, socket.TCP_MAXSEG, path.mss)
    if path.source_address is not None:
        set_option(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((str(path.source_address), 0))


def close_with_reset(sock: Socket) -> None:
    """Close `sock` (taking ownership of it) so that its peer sees RST, not an orderly end."""
    sock.setsockopt(_SOL_SOCKET, _SO_LINGER, _LINGER_RESET)
    sock.close()


def is_closed(sock: Socket) -> bool:
    """Whether the kernel has no connection behind `sock` any more (after FIN both ways, TIME_WAIT included)."""
    return sock.getsockopt(_TCP, _TCP_INFO, 1) == _TCP_STATE_CLOSE
