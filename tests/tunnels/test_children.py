"""Children: real programs, heard line by line, and ended whatever they do about it."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.errors import LinkError, ProgramMissingError
from gateway.tunnels import children
from gateway.tunnels.children import child, find_program, may_be_ours, owned
from tests.lab.processes import ProcessId
from tests.lab.waiting import eventually, wait_until

ROOT = Path(__file__).parents[2]
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


async def test_a_long_line_is_cut_between_words():
    _, lines = await hear("for i in 1 2 3 4 5 6 7 8 9; do printf 'secret-%0990d ' 7; done")
    assert {word for line in lines for word in line.split()} == {f"secret-{7:0990d}"}
    assert len(lines) == 3


async def test_it_gets_what_it_is_fed_and_its_input_ends():
    text = "fed\n" * 100_000  # more than a pipe holds
    _, lines = await hear("sleep 0.05; wc -c", feed=text)
    assert lines == [str(len(text))]


async def test_one_that_does_not_want_what_it_is_fed_is_heard_all_the_same():
    assert await hear("echo no; exit 3", feed="fed\n" * 100_000) == (3, ["no"])


async def test_its_environment_is_exactly_what_was_promised(monkeypatch):
    monkeypatch.setenv("VPN_PASSWORD", "secret")
    lines: list[str] = []
    async with child(["env"], on_line=lines.append, env={"OWN": "1"}) as process:
        await process.wait()
    assert set(lines) == {f"PATH={PATH}", "LC_ALL=C", "OWN=1"}


def test_it_has_no_file_of_ours_and_no_terminal(tmp_path):
    """Also none that the gateway itself has inherited from whoever started it."""
    program = (
        "import asyncio, uvloop\n"
        "from gateway.tunnels.children import child\n"
        "async def main():\n"
        "    script = 'readlink /proc/$$/fd/*; ps -o tty= -p $$'\n"
        "    async with child(['sh', '-c', script], on_line=print) as process:\n"
        "        await process.wait()\n"
        "uvloop.run(main())\n"
    )
    with (tmp_path / "inherited").open("w") as inherited:
        command = [sys.executable, "-c", program]
        found = subprocess.check_output(command, text=True, cwd=ROOT, pass_fds=[inherited.fileno()])
    *files, terminal = found.split()
    assert {file.partition(":")[0] for file in files} == {"/dev/null", "socket"}
    assert len(set(files)) == 2, "nothing, and its output"
    assert terminal == "?"


def test_a_program_that_is_missing_is_named():
    with pytest.raises(ProgramMissingError, match="nonesuch is not installed"):
        find_program("nonesuch")


async def test_where_there_are_no_descriptors_it_says_so_and_the_next_one_starts():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(LinkError, match="sh cannot be started: Too many open files") as caught:
            await hear("echo never")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.number == errno.EMFILE
    assert await hear("echo again") == (0, ["again"])


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


async def test_what_it_started_keeps_nobody_waiting_and_is_killed(tmp_path):
    lines: list[str] = []
    begun = time.monotonic()
    async with child(["sh", "-c", "sleep 1000 & echo $!; exit 5"], on_line=lines.append) as process:
        assert await process.wait() == 5
        grandchild = ProcessId.of(int(lines[0]))
        assert grandchild.alive
    assert time.monotonic() - begun < 5.0

    async def gone() -> bool:
        return not grandchild.alive

    await eventually(gone, within=5.0, what="what it started has ended")


async def test_a_block_that_fails_ends_it():
    async def fail() -> None:
        async with child(["sleep", "1000"], on_line=print) as process:
            processes.append(process)
            raise ZeroDivisionError

    processes: list[children.Child] = []
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert processes[0].returncode == -signal.SIGTERM


@pytest.mark.parametrize("turns", range(8))
async def test_cancelled_while_it_starts_nothing_of_it_stays(turns):
    async def run() -> None:
        async with child(["sleep", "1000"], on_line=print, feed="x"):
            await asyncio.sleep(1000.0)

    await hear("true")
    before = _descriptors(), _children()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    async def gone() -> bool:
        return not owned() and not may_be_ours(0) and (_descriptors(), _children()) == before

    await eventually(gone, within=5.0, what="it is reaped, and its pipes are closed")


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
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT) as it:
        assert it.stdout is not None
        orphan = ProcessId.of(int(it.stdout.readline()))
        assert orphan.alive
        it.kill()
        it.wait()
    wait_until(lambda: not orphan.alive, within=5.0, what="the child has died with its parent")


def test_it_does_not_begin_when_whoever_started_it_has_died_meanwhile():
    """The command as it is run, by somebody who is not the parent that it was made for."""
    made_for_another = children._mortal()
    made_for_another[-1] = str(os.getpid() + 1)
    found = subprocess.run([*made_for_another, "echo", "begun"], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")


async def test_two_hundred_of_them_leave_nothing_open():
    await hear("true")
    before = _descriptors(), _children()
    for _ in range(10):
        async with asyncio.TaskGroup() as group:
            heard = [group.create_task(hear(f"cat; exit {number}", feed=f"{number}")) for number in range(20)]
        assert [each.result() for each in heard] == [(number, [str(number)]) for number in range(20)]
    assert (_descriptors(), _children()) == before
    assert owned() == frozenset()


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def _children() -> str:
    """The processes whose parent this is, zombies included."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()
