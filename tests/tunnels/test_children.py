"""Children: real programs, heard line by line, and ended whatever they do about it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import ProgramMissingError
from gateway.tunnels.children import child, find_program, owned
from tests.lab.processes import ProcessId
from tests.lab.waiting import eventually, wait_until

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/ipsec"


async def hear(script: str, **options) -> tuple[int, list[str]]:
    """The exit code and the lines of a shell script that ends by itself."""
    lines: list[str] = []
    async with child(["sh", "-c", script], on_line=lines.append, **options) as process:
        async with asyncio.timeout(10.0):
            code = await process.wait()
    return code, lines


async def test_lines_of_both_outputs_are_heard_and_the_last_needs_no_end():
    code, lines = await hear("echo one; echo two >&2; printf 'th'; sleep 0.05; printf 'ree\\r\\nfour'; exit 7")
    assert (code, lines) == (7, ["one", "two", "three", "four"])


async def test_a_long_line_comes_in_pieces_and_odd_bytes_are_replaced():
    _, lines = await hear(r"head -c 10000 /dev/zero | tr '\0' x; echo; printf '\377\n'")
    assert "".join(lines[:-1]) == "x" * 10_000
    assert max(map(len, lines)) <= 4096
    assert lines[-1] == "\N{REPLACEMENT CHARACTER}"


async def test_it_gets_what_it_is_fed_and_no_variable_of_ours(monkeypatch):
    monkeypatch.setenv("VPN_PASSWORD", "secret")
    _, lines = await hear("cat; env", feed="fed\n", env={"OWN": "1"})
    assert lines[0] == "fed"
    assert set(lines[1:]) - {line for line in lines if line.startswith(("PWD=", "_=", "SHLVL="))} == {
        f"PATH={PATH}",
        "LC_ALL=C",
        "OWN=1",
    }


async def test_it_has_no_file_of_ours(tmp_path):
    ours = tmp_path / "ours"
    with ours.open("w"):
        _, lines = await hear("ls -l /proc/self/fd")
    assert lines
    assert str(ours) not in "\n".join(lines)


def test_a_program_that_is_missing_is_named():
    with pytest.raises(ProgramMissingError, match="nonesuch is not installed"):
        find_program("nonesuch")


async def test_one_that_will_not_end_is_killed_and_with_it_what_it_started(tmp_path):
    script = "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.05; done"
    lines: list[str] = []
    async with child(["sh", "-c", script], on_line=lines.append, grace=0.2) as process:

        async def heard() -> bool:
            return bool(lines)

        await eventually(heard, within=5.0, what="the script runs")
        grandchild = ProcessId.of(int(lines[0]))
        assert process.pid in owned()
    assert process.returncode == -signal.SIGKILL
    assert process.pid not in owned()

    async def gone() -> bool:
        return not grandchild.alive

    await eventually(gone, within=5.0, what="what it started has ended")


async def test_cancelled_while_it_ends_it_is_killed():
    async def run() -> None:
        async with child(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"], on_line=lines.append):
            up.set()

    lines: list[str] = []
    up = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        await up.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()

    async def gone() -> bool:
        return not owned()

    await eventually(gone, within=5.0, what="it is reaped")


def test_it_dies_with_whoever_started_it(tmp_path):
    program = (
        "import asyncio\n"
        "from gateway.tunnels.children import child\n"
        "async def main():\n"
        "    async with child(['sleep', '1000'], on_line=print) as process:\n"
        "        print(process.pid, flush=True)\n"
        "        await process.wait()\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as it:
        assert it.stdout is not None
        orphan = ProcessId.of(int(it.stdout.readline()))
        assert orphan.alive
        it.kill()
        it.wait()
    wait_until(lambda: not orphan.alive, within=5.0, what="the child has died with its parent")


async def test_fifty_of_them_leave_nothing_open():
    await hear("true")
    before = _descriptors()
    for _ in range(50):
        await hear("echo hello", feed="x")
    assert _descriptors() == before
    assert owned() == frozenset()


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())
