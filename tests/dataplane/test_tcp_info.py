"""TCP_INFO: read from real connections, and what is concluded from its numbers."""

from __future__ import annotations

import socket
import struct
from _socket import socket as Socket  # noqa: N812

import pytest

from gateway.dataplane.native import disconnect
from gateway.dataplane.tcp_info import TcpInfo, parse, read

QUIET = TcpInfo(
    state=1,
    retransmits=0,
    probes=0,
    backoff=0,
    rto=204_000,
    snd_mss=1448,
    unacked=0,
    sacked=0,
    last_data_sent=3000,
    last_data_recv=2900,
    last_ack_recv=2800,
    rtt=4000,
    bytes_acked=1,
    busy_time=50_000,
    delivered=0,
    bytes_sent=0,
    bytes_retrans=0,
    snd_wnd=65536,
)


def test_what_the_kernel_says_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as target:
        sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1200)
        sock.connect(target.getsockname())
        with target.accept()[0] as server:
            sock.send(b"x" * 5000)
            assert len(server.recv(5000, socket.MSG_WAITALL)) == 5000
            server.send(b"y")
            assert sock.recv(1) == b"y"
            info = read(sock)
            assert (info.bytes_sent, info.bytes_retrans, info.bytes_acked) == (5000, 0, 5001)
            assert (info.unacked, info.outstanding, info.retransmits, info.probes) == (0, 0, 0, 0)
            assert 1000 <= info.snd_mss <= 1200
            assert info.delivered > 1
            assert info.snd_wnd > 0
            assert 0 < info.rtt < 1e6
            assert 0.0 <= info.heard_ago < 1.0
            assert info.waited == 0.0
            assert not info.is_closed
            disconnect(sock.fileno())
            assert read(sock).is_closed
        sock.close()


def test_the_fields_are_where_the_kernels_header_has_them() -> None:
    answer = bytearray(232)
    places = {0: 1, 2: 2, 3: 3, 4: 4}
    words = {8: 5, 16: 6, 24: 7, 28: 8, 44: 9, 52: 10, 56: 11, 68: 12, 192: 15, 228: 18}
    doubles = {120: 13, 168: 14, 200: 16, 208: 17}
    for offset, value in places.items():
        answer[offset] = value
    for offset, value in words.items():
        struct.pack_into("=I", answer, offset, value)
    for offset, value in doubles.items():
        struct.pack_into("=Q", answer, offset, value)
    assert parse(bytes(answer)) == tuple(range(1, 19))


@pytest.mark.parametrize("size", [0, 1, 104, 192, 228, 231])
def test_a_shorter_answer_has_zeros_and_an_open_window(size: int) -> None:
    info = parse(b"\1" * size)
    assert info.snd_wnd > 0
    assert info.state == (1 if size else 0)
    assert info.outstanding == 0
    assert parse(b"\0" * 200 + b"\0" * 32).snd_wnd == 0


# ---------------------------------------------------------------- how long something has been waiting


def test_nothing_sent_waits_for_nothing() -> None:
    assert QUIET.waited == 0.0
    assert QUIET.heard_ago == 2.8


@pytest.mark.parametrize("closed", [{"snd_wnd": 0}, {"probes": 1}, {"probes": 7, "retransmits": 3, "backoff": 3}])
def test_a_closed_window_owes_no_acknowledgement(closed: dict[str, int]) -> None:
    assert QUIET._replace(unacked=3, busy_time=10_000_000, **closed).waited == 0.0


def test_who_sends_all_the_time_waits_since_the_last_acknowledgement() -> None:
    info = QUIET._replace(unacked=9, busy_time=60_000_000, rto=1_632_000, backoff=3, retransmits=3)
    assert info._replace(last_data_sent=1400, last_ack_recv=2800).waited == 2.8


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"last_data_sent": 80}, 0.09),  # no time-out yet: since it sent last
        ({"last_data_sent": 80, "backoff": 1, "rto": 400_000, "unacked": 2}, 0.315),  # one of 0.2 s before
        ({"last_data_sent": 80, "backoff": 1, "rto": 400_000, "unacked": 1}, 0.515),  # and a tail loss probe
        ({"last_data_sent": 80, "backoff": 3, "rto": 1_600_000, "unacked": 2}, 1.665),  # of 0.2, 0.4 and 0.8 s
    ],
)
def test_who_was_silent_before_waits_as_long_as_its_time_outs_add_up_to(
    changes: dict[str, int], seconds: float
) -> None:
    silent = QUIET._replace(unacked=2, last_data_recv=600_000, last_ack_recv=600_000, busy_time=30_000_000)
    info = silent._replace(**changes)
    lone = 0.2 if info.unacked == 1 and info.backoff else 0.0
    assert info.waited == pytest.approx((seconds - lone) + lone * 9 / 8)
    assert info._replace(busy_time=50_000).waited == 0.05
    assert info._replace(busy_time=0).waited == info.waited


def test_what_is_outstanding_is_sent_and_not_acknowledged() -> None:
    assert QUIET._replace(bytes_sent=5000, bytes_retrans=1000, bytes_acked=1501).outstanding == 2500
    assert QUIET._replace(bytes_sent=100, bytes_acked=0).outstanding == 100
