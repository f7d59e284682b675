"""Socket options, asked of the kernel after they were set."""

from __future__ import annotations

import errno
import socket
from _socket import socket as Socket  # noqa: N812
from ipaddress import ip_address

import pytest

from gateway.dataplane.sockopt import (
    LOCAL_TROUBLE,
    SO_BINDTOIFINDEX,
    close_with_reset,
    is_closed,
    prepare_listener,
    prepare_upstream,
)
from gateway.model import ForwardSpec, KeepAlive, Path
from tests.dataplane.rig import LO

FORWARD = ForwardSpec(
    name="f", ports=(), tunnels=(), keepalive=KeepAlive(idle=21, interval=6, count=4), tcp_user_timeout=45.5
)
PATH = Path(tunnel="t", interface="lo", ifindex=LO, mss=1234)
TCP = socket.IPPROTO_TCP


def test_an_upstream_is_bound_watched_and_prompt() -> None:
    with socket.socket() as sock:
        prepare_upstream(sock, PATH, FORWARD)
        assert sock.getsockopt(socket.SOL_SOCKET, SO_BINDTOIFINDEX) == LO
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        asked = {option: sock.getsockopt(TCP, option) for option in EXPECTED}
        assert asked == EXPECTED


EXPECTED = {
    socket.TCP_NODELAY: 1,
    socket.TCP_KEEPIDLE: 21,
    socket.TCP_KEEPINTVL: 6,
    socket.TCP_KEEPCNT: 4,
    socket.TCP_USER_TIMEOUT: 45_500,
    socket.TCP_MAXSEG: 1234,
}


@pytest.mark.parametrize(
    ("family", "source"), [(socket.AF_INET, "127.0.0.5"), (socket.AF_INET6, "::1")], ids=["v4", "v6"]
)
def test_a_source_address_takes_no_port_yet(family: socket.AddressFamily, source: str) -> None:
    path = Path(tunnel="t", interface="lo", ifindex=LO, source_address=ip_address(source))
    with socket.socket(family) as sock:
        prepare_upstream(sock, path, FORWARD)
        assert sock.getsockname()[:2] == (source, 0)


def test_a_device_that_is_gone_leads_nowhere() -> None:
    """The kernel lets a socket be bound to an index that nobody has; connecting is what fails, at once."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        prepare_upstream(sock, Path(tunnel="t", interface="x", ifindex=1 << 24), FORWARD)
        assert sock.connect_ex(server.getsockname()) in (errno.ENODEV, errno.ENETUNREACH)


def test_a_listener_can_be_opened_again_at_once() -> None:
    with socket.socket() as sock:
        prepare_listener(sock, FORWARD)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert sock.getsockopt(TCP, socket.TCP_KEEPIDLE) == 21


def _pair() -> tuple[Socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sock = Socket(socket.AF_INET, socket.SOCK_STREAM, 0)
        sock.connect(server.getsockname())
        return sock, server.accept()[0]


def test_closing_with_reset_resets_also_what_was_reset_already() -> None:
    sock, peer = _pair()
    with peer:
        close_with_reset(sock)
        assert sock.fileno() == -1
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
    sock, peer = _pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    close_with_reset(sock)


def test_closed_is_only_what_the_kernel_has_done_with() -> None:
    sock, peer = _pair()
    assert not is_closed(sock)
    sock.shutdown(socket.SHUT_WR)
    assert not is_closed(sock)  # FIN_WAIT
    peer.close()
    assert sock.recv(1) == b""
    assert is_closed(sock)  # TIME_WAIT
    sock.close()
    sock, peer = _pair()
    peer.close()
    assert sock.recv(1) == b""
    assert not is_closed(sock)  # CLOSE_WAIT
    sock.close()


def test_local_trouble_is_not_the_paths() -> None:
    assert LOCAL_TROUBLE.isdisjoint({errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH})
    assert {errno.EPERM, errno.EMFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL} <= LOCAL_TROUBLE
