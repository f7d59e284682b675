"""The PROXY header, byte for byte as proxy-protocol.txt has it, and first on the wire."""

from __future__ import annotations

import pytest

from gateway.dataplane.proxy_protocol import proxy_header
from gateway.model import CloseReason, Endpoint, ListenAddress, ProxyProtocol
from tests.dataplane.rig import Peer, Rig, free_port

V4 = (Endpoint("192.0.2.7", 56324), Endpoint("198.51.100.1", 443))
MAPPED = (Endpoint("::ffff:192.0.2.7", 56324), Endpoint("::ffff:198.51.100.1", 443))
V6 = (Endpoint("2001:db8::7", 56324), Endpoint("2001:db8::1", 443))
SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


@pytest.mark.parametrize(
    ("version", "ends", "header"),
    [
        (ProxyProtocol.NONE, V4, b""),
        (ProxyProtocol.V1, V4, b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"),
        (ProxyProtocol.V1, MAPPED, b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"),
        (ProxyProtocol.V1, V6, b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"),
        (ProxyProtocol.V2, V4, SIGNATURE + bytes.fromhex("2111000c c0000207 c6336401 dc04 01bb")),
        (ProxyProtocol.V2, MAPPED, SIGNATURE + bytes.fromhex("2111000c c0000207 c6336401 dc04 01bb")),
        (
            ProxyProtocol.V2,
            V6,
            SIGNATURE
            + bytes.fromhex("21210024 20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 01bb"),
        ),
    ],
)
def test_the_bytes(version: ProxyProtocol, ends: tuple[Endpoint, Endpoint], header: bytes) -> None:
    assert proxy_header(version, *ends) == header


def _header(version: ProxyProtocol, client: Peer) -> bytes:
    return proxy_header(version, client.address, Endpoint(*client.sock.getpeername()[:2]))


@pytest.mark.parametrize("version", [ProxyProtocol.V1, ProxyProtocol.V2])
@pytest.mark.parametrize("listen", ["127.0.0.1", "::1", None])
async def test_the_header_is_the_first_that_the_target_reads(
    rig: Rig, version: ProxyProtocol, listen: str | None
) -> None:
    target = rig.target()
    at = rig.forward(target.endpoint, proxy_protocol=version, listen=ListenAddress(listen, free_port(listen or "::")))
    for round_ in range(3):  # the later ones on an upstream that was used before
        client = await rig.connect(at)
        await client.send(b"hello")
        server = await target.accept()
        expected = _header(version, client) + b"hello"
        assert await server.receive_exactly(len(expected)) == expected
        assert rig.stats.to_target[("forward-0", "lo-a")] == 5 * (round_ + 1)  # the client's bytes, not ours
        client.reset()
        await server.receive_until_reset()
        await rig.idle()


@pytest.mark.parametrize("version", [ProxyProtocol.V1, ProxyProtocol.V2])
async def test_the_header_comes_before_the_bytes_of_a_server_that_speaks_first(
    rig: Rig, version: ProxyProtocol
) -> None:
    client, server = await rig.session(proxy_protocol=version)
    await server.send(b"220 welcome")
    assert await client.receive() == b"220 welcome"
    expected = _header(version, client)
    assert await server.receive_exactly(len(expected)) == expected
    await client.echo(server)
    client.finish_sending()
    assert await server.receive() == b""
    server.finish_sending()
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.EOF): 1}


async def test_only_the_winner_of_the_dial_gets_the_header(rig: Rig) -> None:
    """The first address refuses; the header is written once, to the second."""
    target = rig.target("127.0.0.2")
    rig.addresses = {"db.corp": ("127.0.0.1", "127.0.0.2")}
    at = rig.forward(Endpoint("db.corp", target.endpoint.port), proxy_protocol=ProxyProtocol.V1)
    client = await rig.connect(at)
    server = await target.accept()
    await client.send(b"x")
    expected = _header(ProxyProtocol.V1, client) + b"x"
    assert await server.receive_exactly(len(expected)) == expected


async def test_a_client_that_reset_before_its_header_could_be_written_is_a_client_that_reset(plain_rig: Rig) -> None:
    rig = plain_rig
    target = rig.target()
    client = await rig.connect(rig.forward(target.endpoint, proxy_protocol=ProxyProtocol.V1))
    rig.engine._turn()  # accepts and dials
    client.reset()
    server = await target.accept()
    assert await server.receive_until_reset() == b""
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.CLIENT_RESET): 1}
