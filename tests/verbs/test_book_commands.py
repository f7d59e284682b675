"""`gateway logs` and `gateway activity` against the book of a made-up gateway, as processes of their own."""

import asyncio
import json
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from gateway.admin.book.activity import ActivityKind
from gateway.model import LineLevel
from tests.admin.book.entries import activity, line
from tests.admin.fakes import NOW_UNIX
from tests.running import GATEWAY, REPOSITORY
from tests.verbs.conftest import environment
from tests.verbs.test_watch import on_a_terminal

DEADLINE = 30


@pytest.fixture
async def book(fake):
    """The fake gateway's book, at work."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(fake.book.run())
        yield fake.book
        task.cancel()


def say(book, *texts: str, **more: object) -> None:
    for text in texts:
        book.line(line(text, **more))


def texts(output: str) -> list[str]:
    return [json.loads(each)["text"] for each in output.splitlines()]


# ---------------------------------------------------------------- what is kept


async def test_lines_as_people_read_them(verb, book):
    say(book, "TLS handshake", at_unix=NOW_UNIX + 0.25)
    say(book, "Peer dead", level=LineLevel.WARNING, tunnel="zone-b", component="ike", at_unix=NOW_UNIX + 1)
    done = await verb("logs")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.endswith(".250 zone-a openvpn info: TLS handshake")
    assert second.endswith(".000 zone-b ike warning: Peer dead")
    assert len(first.split(" zone-a ")[0]) == len("2027-01-01 00:00:00.250"), "not today, so its date is told"


async def test_lines_by_tunnel_level_text_and_time(verb, book):
    say(book, "an old Error", at_unix=NOW_UNIX - 7200)
    say(book, "a new ERROR", "something else")
    say(book, "another error", tunnel="zone-b", level=LineLevel.ERROR)

    async def found(*arguments: str) -> list[str]:
        done = await verb("logs", "--json", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return texts(done.stdout)

    assert await found() == ["an old Error", "a new ERROR", "something else", "another error"]
    assert await found("zone-b") == ["another error"]
    assert await found("--grep", "error", "zone-a") == ["an old Error", "a new ERROR"]
    assert await found("--level", "warning") == ["another error"]
    assert await found("--since", "1h", "--grep", "err") == ["a new ERROR", "another error"]
    assert await found("-n", "2") == ["something else", "another error"]
    assert await found("-n", "1", "--grep", "err", "--since", "1h") == ["another error"]
    assert await found("-n", "0") == []
    assert await found("--grep", "100 %&tunnel=zone-b") == []


async def test_pages_are_put_together(verb, book):
    say(book, *map(str, range(2500)))
    assert texts((await verb("logs", "--json")).stdout) == list(map(str, range(2500)))
    assert texts((await verb("logs", "--json", "--lines", "2200")).stdout) == list(map(str, range(300, 2500)))
    assert texts((await verb("logs", "--json", "--lines", "3000")).stdout) == list(map(str, range(2500)))


async def test_activities_as_people_read_them(verb, book):
    for done in (
        activity("to 198.51.100.7:1194", by="uid 0, pid 7"),
        activity("wrong password", kind=ActivityKind.ATTEMPT_FAILED, tunnel="zone-b"),
        activity("carrier lost", kind=ActivityKind.FAILOVER, to_tunnel="zone-b"),
        activity(kind=ActivityKind.FAILOVER),
        activity("2 tunnels", kind=ActivityKind.CONFIG_APPLIED, tunnel=None),
    ):
        book.record(done)
    done = await verb("activity")
    assert (done.returncode, done.stderr) == (0, "")
    assert [each.split(" ", 2)[2] for each in done.stdout.splitlines()] == [
        "zone-a connected: to 198.51.100.7:1194 (by uid 0, pid 7)",
        "zone-b attempt failed: wrong password",
        "zone-a -> zone-b failover: carrier lost",
        "zone-a -> none failover",
        "configuration applied: 2 tunnels",
    ]
    done = await verb("activity", "zone-b", "--json", "--lines", "1")
    assert [json.loads(each)["kind"] for each in done.stdout.splitlines()] == ["failover"]


async def test_nothing_is_said_of_nothing(verb, book):
    for arguments in (("logs",), ("activity",)):
        done = await verb(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("logs", "zone-x"), 1, "gateway: no tunnel 'zone-x': there are zone-a, zone-b\n"),
        (("logs", "zone-x", "--follow"), 1, "gateway: no tunnel 'zone-x': there are zone-a, zone-b\n"),
        (("activity", "zone-x"), 1, "gateway: no tunnel 'zone-x': there are zone-a, zone-b\n"),
        (("logs", "--level", "loud"), 2, "gateway: 'level': there are debug, info, warning, error\n"),
        (("logs", "--since", "yesterday", "--follow"), 2, 'gateway: "since": must be a duration'),
        (("activity", "--since", "1"), 2, 'gateway: "since": must be a duration'),
    ],
)
async def test_what_cannot_be_asked(verb, book, arguments, code, says):
    done = await verb(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(says)


async def test_a_line_of_a_server_does_nothing_to_a_terminal(socket, book):
    say(book, "\x1b[2J\x1b]0;owned\x07 one\rtwo \u202eeurt", "the end")
    async with on_a_terminal("logs", GATEWAY_SOCKET=str(socket)) as shown:
        await shown.until("the end")
    assert "\\x1b[2J\\x1b]0;owned\\x07 one\\x0dtwo \\u202eeurt" in shown.text
    assert "\x1b" not in shown.text


async def test_colours_on_a_terminal_only_and_not_where_nobody_wants_them(socket, book, verb):
    say(book, "trouble", level=LineLevel.ERROR)
    async with on_a_terminal("logs", GATEWAY_SOCKET=str(socket)) as shown:
        await shown.until("trouble")
    async with on_a_terminal("logs", GATEWAY_SOCKET=str(socket), NO_COLOR="1") as plain:
        await plain.until("trouble")
    assert "\x1b[31merror\x1b[0m: trouble" in shown.text
    assert "\x1b" not in plain.text
    assert "\x1b" not in (await verb("logs")).stdout


# ---------------------------------------------------------------- what comes


@dataclass
class Following:
    process: asyncio.subprocess.Process

    async def line(self) -> str:
        async with asyncio.timeout(DEADLINE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def end(self) -> tuple[int, str, str]:
        async with asyncio.timeout(DEADLINE):
            out, err = await self.process.communicate()
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
def follow(socket):
    @asynccontextmanager
    async def follow(*arguments: str) -> AsyncIterator[Following]:
        process = await asyncio.create_subprocess_exec(
            *GATEWAY,
            *arguments,
            "--follow",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=REPOSITORY,
            env=environment(GATEWAY_SOCKET=str(socket)),
        )
        try:
            yield Following(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    return follow


async def test_the_last_lines_and_then_those_that_come(follow, book):
    say(book, *map(str, range(30)))
    async with follow("logs", "zone-a", "--json") as logs:
        assert [json.loads(await logs.line())["text"] for _ in range(10)] == list(map(str, range(20, 30)))
        say(book, "of another tunnel", tunnel="zone-b")
        say(book, "new")
        assert json.loads(await logs.line())["text"] == "new"
        logs.process.send_signal(signal.SIGINT)
        assert await logs.end() == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "before"),
    [
        (("-n", "2"), ["8", "9"]),
        (("-n", "0"), []),
        (("-n", "1500"), ["ancient", *"0123456789"]),
        (("-n", "11", "--since", "1h"), list("0123456789")),
    ],
)
async def test_as_many_as_were_asked_for_and_then_those_that_come(follow, book, arguments, before):
    say(book, "ancient", at_unix=NOW_UNIX - 7200)
    say(book, *"0123456789")
    async with follow("logs", "--json", *arguments) as logs:
        assert [json.loads(await logs.line())["text"] for _ in before] == before
        async with asyncio.timeout(DEADLINE):
            found = None
            while found is None:  # until it listens: before that, nothing tells an empty beginning from none
                say(book, "new")
                try:
                    async with asyncio.timeout(0.5):
                        found = json.loads(await logs.line())["text"]
                except TimeoutError:
                    continue
        assert found == "new"


async def test_a_first_line_that_comes_to_an_empty_book(follow, book):
    async with follow("logs", "-n", "5", "--since", "1h") as logs:
        say(book, "the first")
        assert (await logs.line()).endswith("the first")


async def test_activities_are_followed_as_well(follow, book):
    book.record(activity("to a server"))
    async with follow("activity") as activities:
        assert (await activities.line()).endswith("zone-a connected: to a server")
        book.record(activity("as asked", kind=ActivityKind.DISCONNECTED))
        assert (await activities.line()).endswith("zone-a disconnected: as asked")


async def test_a_gateway_that_ends_meanwhile(follow, fake, tmp_path):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(fake.book.run())
        say(fake.book, "hello")
        async with follow("logs") as logs:
            assert (await logs.line()).endswith("hello")
            task.cancel()
            code, out, err = await logs.end()
    assert (code, out) == (1, "")
    assert err == f"gateway: the gateway at {tmp_path / 'control.sock'} has ended: there is nobody to follow any more\n"


async def test_a_reader_who_has_had_enough(socket, book):
    say(book, *map(str, range(2500)))
    done = await asyncio.to_thread(
        subprocess.run,
        ["/bin/sh", "-c", f"{' '.join(GATEWAY)} logs | head -n 1"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        cwd=REPOSITORY,
        env=environment(GATEWAY_SOCKET=str(socket)),
    )
    assert done.stdout.endswith("info: 0\n")
    assert done.stderr == ""


async def test_a_reader_who_goes_while_more_comes(follow, book):
    async with follow("logs") as logs:
        say(book, "one")
        assert (await logs.line()).endswith("one")
        logs.process._transport.get_pipe_transport(1).close()
        async with asyncio.timeout(DEADLINE):
            while logs.process.returncode is None:
                say(book, "more")
                try:
                    async with asyncio.timeout(0.2):
                        await logs.process.wait()
                except TimeoutError:
                    continue
        assert logs.process.returncode == 0
        assert await logs.process.stderr.read() == b""
