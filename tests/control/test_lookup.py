from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from gateway.control.lookup import Answer, SystemLookup
from tests.control.watching import eventually


async def test_the_system_is_asked():
    answer = await SystemLookup()("localhost")
    assert "127.0.0.1" in answer.addresses
    assert answer.ttl is None


async def test_what_the_system_raises_is_raised():
    def refuse(_host: str) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    lookup = SystemLookup(most=1, ask=refuse)
    for _ in range(3):  # and its thread is not counted for ever
        with pytest.raises(socket.gaierror, match="not known"):
            await lookup("db")


async def test_questions_without_an_answer_are_bounded_and_do_not_stay_counted():
    answered = threading.Event()

    def hang(_host: str) -> list[object]:
        answered.wait()
        return [(None, None, None, None, ("10.0.0.5", 0))]

    lookup = SystemLookup(most=2, ask=hang)
    try:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await lookup("db")
        with pytest.raises(OSError, match="2 earlier questions are not answered"):
            await lookup("db")
    finally:
        answered.set()
    await eventually(lambda: lookup._asking == 0)
    assert await lookup("db") == Answer(addresses=("10.0.0.5",))


async def test_no_thread_to_be_had_is_trouble_of_the_lookup_alone(monkeypatch: pytest.MonkeyPatch):
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError, match="can't start new thread"):
        await SystemLookup()("db")


ENDS_WITH_A_QUESTION_UNDER_WAY = """
import asyncio, threading, uvloop
from gateway.control.lookup import SystemLookup

async def run():
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    def hang(host):
        loop.call_soon_threadsafe(asked.set)
        threading.Event().wait()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(SystemLookup(ask=hang)("db"))
        await asked.wait()
        task.cancel()

uvloop.run(run())
"""


def test_a_question_under_way_does_not_keep_the_process():
    ended = subprocess.run([sys.executable, "-c", ENDS_WITH_A_QUESTION_UNDER_WAY], timeout=20, check=False)
    assert ended.returncode == 0
