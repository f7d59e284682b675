"""TLS probes: the handshake, the certificate's end, and what is an answer without them."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest

from gateway.control.probes import tls
from gateway.model import ProbeOutcome
from tests.control.far import Far, aim, serving
from tests.control.namespace import in_namespace
from tests.control.probes.certified import server_context
from tests.control.watching import eventually, open_descriptors

pytestmark = pytest.mark.lab
EXPIRY = dt.datetime(2020, 2, 29, 12, 0, tzinfo=dt.UTC)


async def _read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _chat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 this is not TLS\r\n")
    await _read_on(reader, writer)


@pytest.mark.parametrize("host", ["10.1.0.1", "fd01::1"])
def test_a_handshake_passes_and_tells_when_the_certificate_expires(tmp_path: Path, host: str):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            async with serving(far.listener(host), _read_on, ssl=server_context(tmp_path, EXPIRY)) as server:
                target = aim("tls", "db.example.com", server.sockets[0].getsockname()[1], addresses=(host,))
                before = open_descriptors()
                answer = await tls.ask(target, path, 5.0)
                assert (answer.outcome, answer.detail) == (ProbeOutcome.PASSED, ""), (
                    "an expired one is shown all the same"
                )
                assert answer.expiry_at_unix == EXPIRY.timestamp()
                assert answer.rtt is not None
                assert 0 < answer.rtt < answer.at - answer.sent_at, "the network's round trip, without the cryptography"
                await eventually(lambda: open_descriptors() == before)

    in_namespace(scenario)


@pytest.mark.parametrize("speak", [_hang_up, _chat])
def test_somebody_who_speaks_no_tls_is_an_answer(speak: object):
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            async with serving(far.listener("10.1.0.1"), speak) as server:
                answer = await tls.ask(aim("tls", *server.sockets[0].getsockname()), path, 5.0)
                assert answer.outcome is ProbeOutcome.ANSWERED
                assert answer.detail.startswith("no TLS handshake: ")
                assert answer.expiry_at_unix is None

    in_namespace(scenario)


def test_somebody_who_says_nothing_has_answered_when_he_was_connected():
    async def scenario():
        with Far() as far, far.listener("0.0.0.0") as listener:
            path = far.link("tun-a", 1)
            port = listener.getsockname()[1]
            before = open_descriptors()
            answer = await tls.ask(aim("tls", "10.1.0.1", port), path, 0.2)
            assert (answer.outcome, answer.detail) == (
                ProbeOutcome.ANSWERED,
                "connected, but no TLS handshake in time",
            )
            assert answer.at - answer.sent_at < 0.2, "a sign of life is as old as the handshake"
            await eventually(lambda: open_descriptors() == before)

    in_namespace(scenario)


def test_silence_and_rejection_fail_it():
    async def scenario():
        with Far() as far:
            path = far.link("tun-a", 1)
            assert (await tls.ask(aim("tls", "10.1.0.1", 443), path, 1.0)).outcome is ProbeOutcome.ANSWERED
            far.drop("tcp dport 443")
            assert (await tls.ask(aim("tls", "10.1.0.1", 443), path, 0.1)).outcome is ProbeOutcome.FAILED
            far.heal()
            far.reject("tcp dport 443", "icmp type admin-prohibited")
            assert (await tls.ask(aim("tls", "10.1.0.1", 443), path, 30.0)).outcome is ProbeOutcome.FAILED

    in_namespace(scenario)
