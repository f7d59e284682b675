"""`gateway status --watch`, on a terminal of its own and in a pipe."""

import asyncio
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.dataplane.messages import Stats
from tests.lab.waiting import eventually
from tests.running import GATEWAY, REPOSITORY
from tests.verbs.conftest import environment

DEADLINE = 30


@dataclass
class Watching:
    """A verb on a terminal: what it has written there so far."""

    process: asyncio.subprocess.Process
    text: str = ""

    async def until(self, word: str) -> None:
        async def written() -> bool:
            return word in self.text

        await eventually(written, within=DEADLINE, what=repr(word), detail=lambda: self.text)

    async def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(DEADLINE):
            return await self.process.wait()


@asynccontextmanager
async def on_a_terminal(*arguments: str, **env: str) -> AsyncIterator[Watching]:
    terminal, end = pty.openpty()
    os.set_blocking(terminal, False)
    process = await asyncio.create_subprocess_exec(
        *GATEWAY, *arguments, stdin=end, stdout=end, stderr=end, cwd=REPOSITORY, env=environment(LINES="40", **env)
    )
    watching = Watching(process)

    def readable() -> None:
        watching.text += os.read(terminal, 65536).decode(errors="replace")

    asyncio.get_running_loop().add_reader(terminal, readable)
    try:
        yield watching
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(terminal)
        os.close(terminal)
        os.close(end)


async def test_it_redraws_each_second_in_its_place_and_ends_with_ctrl_c(fake, socket):
    async with on_a_terminal("status", "--watch", GATEWAY_SOCKET=str(socket)) as watching:
        await watching.until("2 sessions")
        fake.stats = Stats(sessions=4321)
        await watching.until("4321 sessions")
        assert await watching.interrupt() == 0
        await watching.until("\033[?25h")  # the cursor is back
    assert "\033[32mup" in watching.text, "colours on a terminal"
    assert "\033[1A" in watching.text, "drawn over the first one"
    assert "Traceback" not in watching.text


async def test_a_gateway_that_goes_away_meanwhile_is_asked_again(fake, tmp_path):
    first, second = fake.control(), fake.control()
    place = tmp_path / "control.sock"
    await first.start(str(place))
    try:
        async with on_a_terminal("status", "--watch", "--socket", str(place)) as watching:
            await watching.until("2 sessions")
            await first.close()
            await watching.until("asking again")
            fake.stats = Stats(sessions=4321)
            await second.start(str(place))
            await watching.until("4321 sessions")
            assert await watching.interrupt() == 0
    finally:
        await first.close()
        await second.close()


async def test_nobody_to_watch_is_a_failure(tmp_path):
    async with on_a_terminal("status", "--watch", "--socket", str(tmp_path / "none")) as watching:
        async with asyncio.timeout(DEADLINE):
            assert await watching.process.wait() == 1
        await watching.until("no gateway answers at")


async def test_json_comes_a_line_a_second(socket):
    process = await asyncio.create_subprocess_exec(
        *GATEWAY, "status", "--watch", "--json", "--socket", str(socket),
        stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY, env=environment(),
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE):
        lines = [await process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    assert [json.loads(line)["sessions"] for line in lines] == [2, 2]


async def test_in_a_pipe_the_tables_come_one_after_another(socket):
    process = await asyncio.create_subprocess_exec(
        *GATEWAY, "status", "--watch", "--socket", str(socket),
        stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY, env=environment(),
    )  # fmt: skip
    async with asyncio.timeout(DEADLINE):
        seen = 0
        while seen < 2:
            line = await process.stdout.readline()
            assert b"\033" not in line
            seen += line.startswith(b"gateway 1.2.3")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
