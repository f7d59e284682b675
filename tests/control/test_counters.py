from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.control.counters import Counters, packets
from gateway.policy.evidence import Counted
from tests.control.far import Far
from tests.control.namespace import in_namespace
from tests.control.probing import Posted
from tests.control.watching import eventually

TEXT = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compr
    lo: 1000      10    0    0    0     0          0         0     1000      11    0    0    0     0       0       0
tun-with-a-name:123456789 2 0 0 0 0 0 0 5 33 0 4 0 0 0 0
"""


def test_packets_sent_and_received_by_device():
    assert packets(TEXT) == {"lo": (11, 10), "tun-with-a-name": (33, 2)}


def test_the_kernels_own_text_is_understood():
    assert "lo" in packets(Path("/proc/net/dev").read_text())


@pytest.mark.lab
def test_what_a_device_has_sent_is_posted_by_tunnel():
    async def scenario():
        posted = Posted()
        counters = Counters(posted)
        counters.watch({"a": "tun-a", "b": "tun-b"})
        with Far() as far, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            far.link("tun-a", 1)
            far.link("other", 2)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(counters.run())
                await posted.until(lambda: posted.of(Counted))
                for _ in range(5):
                    sender.sendto(b"?", ("10.1.0.1", 9))
                await posted.until(lambda: len(posted.of(Counted)) == 2)
                task.cancel()
        first, second = posted.of(Counted)
        assert set(first.packets) == set(second.packets) == {"a"}, "what has no device is left out"
        sent, received = (after - before for before, after in zip(first.packets["a"], second.packets["a"], strict=True))
        assert sent >= 5
        assert received >= 1, "an answer to ARP, at least"
        assert second.at > first.at

    in_namespace(scenario)


async def test_what_cannot_be_read_is_said_once_and_tried_again(tmp_path: Path):
    posted = Posted()
    file = tmp_path / "dev"
    counters = Counters(posted, file=file)
    counters.watch({"a": "tun-with-a-name"})
    with capture_logs() as logs:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(counters.run())
            await eventually(lambda: logs)
            file.write_text(TEXT)
            await posted.until(lambda: posted.all)
            task.cancel()
    assert [it["event"] for it in logs] == ["counters.unavailable"]
    assert posted.of(Counted)[0].packets == {"a": (33, 2)}


async def test_without_any_device_nothing_is_posted(tmp_path: Path):
    posted = Posted()
    file = tmp_path / "dev"
    file.write_text(TEXT)
    counters = Counters(posted, file=file)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(counters.run())
        await asyncio.sleep(0)
        assert posted.all == []
        task.cancel()
