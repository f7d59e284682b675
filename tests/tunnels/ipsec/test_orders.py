"""The conversation's edges. What charon makes of real orders is in test_client.py."""

from __future__ import annotations

import asyncio
import struct
import threading

import pytest

from gateway.tunnels.ipsec.orders import OrderRefusedError, Orders, OrdersLostError
from tests.lab.waiting import wait_until

_RESPONSE, _UNKNOWN = 1, 2
_REFUSAL = b"\x03\x07success\x00\x02no\x03\x06errmsg\x00\x09not today"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "charon.vici"


async def _answering(path, answer):
    """A charon that gives this answer to everything; None: none, and then it hangs up once it is told to."""

    async def converse(reader, writer):
        try:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            await reader.readexactly(length)
            if answer is not None:
                writer.write(struct.pack("!I", len(answer)) + answer)
                await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    return await asyncio.start_unix_server(converse, path)


async def test_a_refusal_is_charon_s_own_words(path):
    async with await _answering(path, bytes([_RESPONSE]) + _REFUSAL), Orders(path) as orders:
        with pytest.raises(OrderRefusedError, match=r"^not today$"):
            await orders.give("load-conn", {"a": "b"})


async def test_nobody_listens(path):
    with pytest.raises(OrdersLostError, match="charon does not answer"):
        async with Orders(path):
            pass


async def test_charon_hangs_up(path):
    async with await _answering(path, None), Orders(path) as orders:
        with pytest.raises(OrdersLostError, match="charon does not answer"):
            await orders.give("version", {})


async def test_an_order_that_charon_does_not_know_is_no_conversation(path):
    async with await _answering(path, bytes([_UNKNOWN])), Orders(path) as orders:
        with pytest.raises(OrdersLostError, match="charon does not answer"):
            await orders.give("load-conn", {"a": "b"})


async def test_waiting_is_cut_short_and_leaves_no_thread(path):
    silence = asyncio.Event()

    async def be_silent(reader, writer):
        await silence.wait()
        writer.close()

    async with await asyncio.start_unix_server(be_silent, path):
        async with Orders(path) as orders:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await orders.give("initiate", {})
        await asyncio.to_thread(
            wait_until,
            lambda: not [each for each in threading.enumerate() if each.name.startswith("vici-charon")],
            within=5,
            what="its thread has ended",
        )
        silence.set()
