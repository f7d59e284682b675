from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.lab import client
from tests.lab.corp import ECHO_PORT, HOLD_PORT, HTTP_PORT
from tests.lab.topology import CORP_ADDRESS, CORP_SECOND_ADDRESS
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab


async def test_a_page_tells_whom_it_saw_on_both_addresses(lab):
    for host in (CORP_ADDRESS, CORP_SECOND_ADDRESS):
        assert (await client.fetch(lab.cloud, host=host, device="tun-b")).seen.startswith("10.72.1.")


async def test_as_many_bytes_come_as_are_asked_for(lab):
    for count in (0, 1, 300_000):
        assert len((await client.fetch(lab.cloud, f"/bytes/{count}", device="tun-a")).body) == count


async def test_a_slow_page_is_slow(lab):
    with pytest.raises(TimeoutError):
        await client.fetch(lab.cloud, "/slow?s=5", device="tun-a", within=0.1)
    assert (await client.fetch(lab.cloud, "/slow?s=0", device="tun-a")).status == 200


async def test_connections_are_kept_alive_and_uploads_may_be_chunked(lab):
    reader, writer = await client.connect(lab.cloud, CORP_ADDRESS, HTTP_PORT, device="tun-a")
    for _ in range(2):
        writer.write(b"POST /digest HTTP/1.1\r\nHost: corp\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert (await reader.readline()).decode() == f"3 {hashlib.sha256(b'abc').hexdigest()}\n"
    writer.close()


async def test_the_echo_gives_back_everything_and_then_the_end(lab):
    reader, writer = await client.connect(lab.cloud, CORP_ADDRESS, ECHO_PORT, device="tun-a")
    sent = bytes(range(256)) * 400
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read(-1) == sent
    writer.close()


async def test_thousands_are_held_and_counted(lab):
    async def held() -> int:
        return int((await client.fetch(lab.cloud, "/held", device="tun-a")).body)

    async def all_there() -> bool:
        return await held() == 500

    async def all_gone() -> bool:
        return await held() == 0

    opened = [await client.connect(lab.cloud, CORP_ADDRESS, HOLD_PORT, device="tun-a") for _ in range(500)]
    await eventually(all_there, within=5, what="500 connections held")
    for _, writer in opened:
        writer.close()
    await eventually(all_gone, within=5, what="no connection held")
