"""Orphans are reaped by PID 1, and children of the gateway's own are left to who waits for them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

_INIT = """
import asyncio, os, sys
import uvloop
from gateway.tunnels import reaper
from gateway.tunnels.children import child
reaper._EVERY = 0.001  # many times while each child starts and ends

def left():
    return sum(1 for each in os.listdir("/proc") if each.isdigit())

async def start(code):
    command = ["sh", "-c", f"(sleep 0.02; exit 3) & (sleep 0.2) & exit {code}"]
    async with child(command, on_line=print) as process:
        found = await process.wait()
        assert found == code, found

async def main():
    assert os.getpid() == 1
    async with asyncio.TaskGroup() as group:
        worker = group.create_task(reaper.reap_orphans())
        for _ in range(5):
            async with asyncio.TaskGroup() as starts:
                for code in range(10):
                    starts.create_task(start(code))
        async with asyncio.timeout(10.0):
            while left() != 1:
                await asyncio.sleep(0.01)
        worker.cancel()
    print("left", left())

uvloop.run(main())
"""


@pytest.mark.lab
def test_as_pid_1_it_leaves_no_zombie_and_steals_no_exit_code():
    found = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", _INIT],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout.strip() == "left 1", found.stderr


_ALONE = """
import os, time
from gateway.tunnels.reaper import reap

assert reap() == 0
pid = os.fork()
if pid == 0:
    os._exit(0)
deadline = time.monotonic() + 5.0
while reap() == 0:
    assert time.monotonic() < deadline
try:
    os.waitpid(pid, 0)
except ChildProcessError:
    print("taken")
"""


def test_what_has_ended_and_is_nobodys_is_taken():
    """In a process of its own: others wait for the children of this one."""
    argv = [sys.executable, "-c", _ALONE]
    found = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, cwd=Path(__file__).parents[2])
    assert found.stdout == "taken\n", found.stderr


async def test_elsewhere_it_only_waits():
    from gateway.tunnels.reaper import reap_orphans  # noqa: PLC0415 - here only

    async with asyncio.TaskGroup() as group:
        worker = group.create_task(reap_orphans())
        await asyncio.sleep(0)
        assert not worker.done()
        worker.cancel()
