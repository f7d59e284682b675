"""What the kernel says of one TCP connection: the part of TCP_INFO (tcp(7), linux/tcp.h) that tells how its path fares.

The layout is that of Linux 5.4, which only ever grew at its end. A shorter answer (an older kernel, a sandbox) is
filled up with zeros: each question below says what it makes of them.
"""

from __future__ import annotations

import socket
import struct
from _socket import socket as Socket  # noqa: N812
from typing import Final, NamedTuple

_TCP: Final = int(socket.IPPROTO_TCP)
_TCP_INFO: Final = int(socket.TCP_INFO)
_LAYOUT: Final = struct.Struct("=B x BBB 3x I 4x I 4x II 12x I 4x II 8x I 48x Q 40x Q 16x I 4x QQ 12x I")
_SIZE: Final = _LAYOUT.size
_WINDOW_AT: Final = _SIZE - 4
_CLOSE: Final = 7  # net/tcp_states.h
_OPEN_WINDOW: Final = b"\xff" * 4
_LATE: Final = 9 / 8  # the kernel's timers come late by up to an eighth (its timer wheel has coarse levels)


class TcpInfo(NamedTuple):
    """Fields of struct tcp_info, in its order and by its names less the prefix.

    `rto`, `rtt` and `busy_time` are in microseconds, `last_*` in milliseconds ago; `unacked`, `sacked` and `delivered`
    count segments. `retransmits` and `backoff` are the time-outs since something was last acknowledged, `probes` the
    window probes.
    """

    state: int
    retransmits: int
    probes: int
    backoff: int
    rto: int
    snd_mss: int
    unacked: int
    sacked: int
    last_data_sent: int
    last_data_recv: int
    last_ack_recv: int
    rtt: int
    bytes_acked: int
    busy_time: int
    delivered: int
    bytes_sent: int
    bytes_retrans: int
    snd_wnd: int

    @property
    def is_closed(self) -> bool:
        """Whether there is no connection any more: it has nothing to say."""
        return self.state == _CLOSE

    @property
    def heard_ago(self) -> float:
        """Seconds since data or an acknowledgement came; the handshake was one."""
        return min(self.last_data_recv, self.last_ack_recv) / 1000

    @property
    def waited(self) -> float:
        """Seconds for which something sent has been waiting for any sign of the peer; 0.0 when nothing is.

        A peer whose window is closed owes no acknowledgement. After a silence of its own the connection waits only
        since it sent, which the kernel does not tell. It cannot be longer than all the time in which something was
        waiting, nor than its time-outs add up to: each takes twice as long as the one before and sends again, and a
        lone segment is sent once more before the first (the tail loss probe).
        """
        if not self.unacked or not self.snd_wnd or self.probes:
            return 0.0
        first = self.rto * 0.5**self.backoff
        timed_out = self.rto - first + (first if self.unacked == 1 and self.backoff else 0.0)
        sent_ago = (self.last_data_sent / 1000 + timed_out / 1e6) * _LATE
        busy = self.busy_time / 1e6 or sent_ago  # 0 where it is not told
        return min(self.heard_ago, busy, sent_ago)

    @property
    def outstanding(self) -> int:
        """Bytes that were sent and are not acknowledged; 0 where it is not told. `bytes_acked` counts the SYN, too."""
        return max(0, self.bytes_sent - self.bytes_retrans - max(0, self.bytes_acked - 1))


def read(sock: Socket) -> TcpInfo:
    """Ask the kernel about `sock`, a TCP socket. Raises OSError where TCP_INFO is not to be had."""
    return parse(sock.getsockopt(_TCP, _TCP_INFO, _SIZE))


def parse(answer: bytes) -> TcpInfo:
    """The fields in what getsockopt(2) answered."""
    if len(answer) < _SIZE:  # a window that was not told is not a closed one
        answer = answer[:_WINDOW_AT].ljust(_WINDOW_AT, b"\0") + _OPEN_WINDOW
    return TcpInfo._make(_LAYOUT.unpack(answer))
