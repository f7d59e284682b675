from __future__ import annotations

import pytest

from gateway.config.profiles.remarks import Remarks
from gateway.config.profiles.remotes import Remotes, Scope, parse_port, parse_transport
from gateway.model import Endpoint, Transport


def found(*lines: tuple[str, ...], top: Scope | None = None) -> tuple[Transport, tuple[Endpoint, ...], Remarks]:
    top, remotes, remarks = top or Scope(), Remotes(), Remarks("client.ovpn")
    for number, arguments in enumerate(lines, start=1):
        remotes.add(number, arguments, top)
    return *remotes.servers(top, remarks), remarks


def test_what_a_line_leaves_out_is_said_by_the_file_or_is_usual():
    assert found(("a",), ("b", "443"))[:2] == (Transport.UDP, (Endpoint("a", 1194), Endpoint("b", 443)))
    top = Scope(port=1195, transport=Transport.TCP)
    assert found(("a",), ("b", "443"), top=top)[:2] == (Transport.TCP, (Endpoint("a", 1195), Endpoint("b", 443)))
    assert found(top=top)[:2] == (Transport.TCP, ())


def test_a_connection_says_it_for_its_own():
    top, remotes = Scope(port=1195), Remotes()
    inner = Scope(outer=top, port=1196)
    remotes.add(1, ("a",), inner)
    remotes.add(2, ("b",), top)
    assert remotes.servers(top, Remarks("x"))[1] == (Endpoint("a", 1196), Endpoint("b", 1195))


def test_a_server_that_is_named_twice_is_tried_once():
    assert found(("a",), ("b",), ("a", "1194"))[1] == (Endpoint("a", 1194), Endpoint("b", 1194))


def test_one_transport_a_tunnel():
    transport, servers, remarks = found(("a", "1194", "udp"), ("a", "443", "tcp-client"), ("b",))
    assert (transport, servers) == (Transport.UDP, (Endpoint("a", 1194), Endpoint("b", 1194)))
    (warning,) = remarks.warnings
    assert warning == (
        '"client.ovpn", line 2: remote: left out: the first server is reached over udp, and a tunnel has one transport '
        "(over tcp there could be another [[tunnel]])"
    )


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "it names no server"),
        (("not a host",), "host"),
        (("a", "0"), "ports are 1 to 65535"),
        (("a", "1194", "icmp"), "the transport of a client is udp or tcp"),
    ],
)
def test_no_server(arguments, why):
    with pytest.raises(ValueError, match=why):
        Remotes().add(1, arguments, Scope())


@pytest.mark.parametrize("text", ["0", "65536", "http", "", "-1", "1194x", "١", "9" * 5000])
def test_no_port(text):
    with pytest.raises(ValueError, match="ports are 1 to 65535"):
        parse_port(text)


def test_transports_as_openvpn_writes_them():
    assert {parse_transport(text) for text in ("udp", "udp4", "udp6")} == {Transport.UDP}
    assert {parse_transport(text) for text in ("tcp", "tcp-client", "tcp6-client", "tcp4")} == {Transport.TCP}
    with pytest.raises(ValueError, match="udp or tcp"):
        parse_transport("tcp-server")
