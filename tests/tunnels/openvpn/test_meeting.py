"""The socket for one process: who is let in, what is left of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import LinkError
from gateway.tunnels.openvpn import meeting as module
from gateway.tunnels.openvpn.meeting import meeting


async def test_the_first_one_is_heard_and_told_and_no_other(tmp_path):
    path = tmp_path / "socket"
    async with meeting(path) as talk:
        reader, writer = await asyncio.open_unix_connection(path)
        second, other = await asyncio.open_unix_connection(path)
        assert await second.read() == b"", "it is hung up on"
        other.close()
        talk.order("too early")
        writer.write(b">HOLD:Waiting\r\n\xff\n")
        heard = []
        async for line in talk.lines():
            heard.append(line)
            talk.order("one", "two")
            if len(heard) == 2:
                writer.write_eof()
        assert heard == [">HOLD:Waiting", "\ufffd"]
    assert await reader.read() == b"one\ntwo\none\ntwo\n"
    writer.close()
    assert not path.exists()


async def test_one_that_does_not_come_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    async with meeting(tmp_path / "socket") as talk:
        assert [line async for line in talk.lines()] == []


async def test_what_a_killed_gateway_has_left_is_in_nobodys_way(tmp_path):
    path = tmp_path / "socket"
    path.touch()
    async with meeting(path):
        assert path.is_socket()


async def test_a_place_where_none_can_be_made(tmp_path):
    with pytest.raises(LinkError, match="cannot be made: No such file or directory"):
        async with meeting(tmp_path / "nowhere" / "socket"):
            pytest.fail("there is none")
