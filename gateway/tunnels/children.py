"""Child processes: the one place that starts programs. Each lives inside one `async with`, and never beyond it.

    async with child(["openvpn", "--config", "stdin"], on_line=said) as process:
        await process.wait()

A child gets an environment of its own (no variable of the gateway's, which may be secrets), no terminal and no file of
ours (of its own in- and output it has a second descriptor, which uvloop leaves it), and the kernel kills it when the
gateway dies, however that happens (prctl(2), PR_SET_PDEATHSIG: that follows the thread that spawned it, so children are
spawned from the main one). What it starts itself is in its process group, and killed with it at the end of the block.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, cast

from gateway.errors import LinkError, ProgramMissingError

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/ipsec"
_GRACE: Final = 3.0  # seconds from SIGTERM to SIGKILL
_LAST_WORDS: Final = 0.5  # seconds from its end to that of its output, which a child of its own may keep open
_STDOUT: Final = 1
_STDERR: Final = 2
_LONGEST_LINE: Final = 4096  # bytes: the rest of a longer one is the next line


def find_program(name: str) -> str:
    """The path of a program. Raises ProgramMissingError, whose text names it."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise ProgramMissingError(name)
    return found


_running: Final[set[int]] = set()
_being_started: Final[set[object]] = set()  # their numbers are not known yet, and they may have ended already


def owned() -> frozenset[int]:
    """The processes that were started here and are not known to have ended: somebody waits for each."""
    return frozenset(_running)


def may_be_ours(pid: int) -> bool:
    """Whether somebody may be waiting for this child of the gateway's process. While one is being started, for any."""
    return bool(_being_started) or pid in _running


class Child(asyncio.SubprocessProtocol):
    """A running program. `pid` is its process, which leads a session and a process group of its own."""

    pid: int

    def __init__(self, name: str, on_line: Callable[[str], None]) -> None:
        self.name = name
        self.returncode: int | None = None
        """As `wait`; None while it runs."""
        self._on_line = on_line
        self._partial: dict[int, bytes] = {}
        self._ended = asyncio.Event()
        self._silent = asyncio.Event()
        self._transport: asyncio.SubprocessTransport

    async def wait(self) -> int:
        """Its exit code; the negative number of the signal that ended it. All that it said has been passed on."""
        await self._ended.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._silent.wait()
        assert self.returncode is not None  # noqa: S101 - set with the event
        return self.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has ended, and we are about to be told
                self._transport.send_signal(number)

    # ---------------------------------------------------------------- asyncio.SubprocessProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has started."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        _running.add(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It has said something: whole lines are passed on."""
        *whole, rest = (self._partial.get(fd, b"") + data).split(b"\n")
        for line in whole:
            self._say(*_pieces(line))
        *begun, self._partial[fd] = _pieces(rest)
        self._say(*begun)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's
        """It has closed its output: what was begun is a line, too."""
        if rest := self._partial.pop(fd, b""):
            self._say(rest)
        if fd == _STDOUT:
            self._silent.set()

    def _say(self, *lines: bytes) -> None:
        for line in lines:
            self._on_line(line.decode(errors="replace").rstrip("\r"))

    def process_exited(self) -> None:
        """It has ended, and is reaped: its number may be another's soon."""
        _running.discard(self.pid)
        self.returncode = self._transport.get_returncode()
        self._ended.set()


def _pieces(line: bytes) -> Iterator[bytes]:
    """A line, in pieces if it is too long: between words where there are any, so that none (a secret) is cut in two."""
    while len(line) > _LONGEST_LINE:
        cut = line.rfind(b" ", 0, _LONGEST_LINE) + 1 or _LONGEST_LINE
        yield line[:cut]
        line = line[cut:]
    yield line


@asynccontextmanager
async def child(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    feed: str | None = None,
    grace: float = _GRACE,
) -> AsyncIterator[Child]:
    """Run a program for as long as the block lasts; then it is asked to end, and killed after `grace` seconds.

    `on_line` gets each line of its output, errors included, on the event loop's thread. `env` comes on top of PATH and
    a plain locale, and nothing else is there. `feed` is written to its standard input, which is closed then.
    Raises ProgramMissingError, and LinkError where the kernel starts no process (no descriptors, no memory, a limit).
    """
    name, *arguments = argv
    command = [*_mortal(), find_program(name), *arguments]
    loop = asyncio.get_running_loop()
    _keep_ours()
    with _starting(name):
        transport, process = await loop.subprocess_exec(
            lambda: Child(name, on_line),
            *command,
            env={"PATH": _PATH, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL if feed is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if feed is not None:
            stdin = cast("asyncio.WriteTransport", transport.get_pipe_transport(0))
            if not stdin.is_closing():  # it may have ended already: then it says why
                stdin.write(feed.encode())
            if not stdin.is_closing():
                stdin.write_eof()
        yield process
    finally:
        try:
            await _end(process, grace)
        finally:
            transport.close()


@cache
def _keep_ours() -> None:
    """Have no child inherit what the gateway itself has inherited, once: Python's own descriptors are not inherited."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        if (fd := int(entry.name)) > _STDERR:
            with suppress(OSError):  # that of this very listing
                os.set_inheritable(fd, False)  # noqa: FBT003 - theirs


@contextmanager
def _starting(name: str) -> Iterator[None]:
    """While a child is being started. Raises LinkError for OSError."""
    birth = object()
    _being_started.add(birth)
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        raise LinkError(f"{name} cannot be started: {os.strerror(number)}", number) from error
    finally:
        _being_started.discard(birth)


def _mortal() -> list[str]:
    """The beginning of a command that dies with this process.

    Also if that dies before the kernel has been asked for it: whoever has another parent by then does not begin. The
    shell takes away what shells add to an environment.
    """
    check = 'test "$PPID" = "$0" && unset PWD OLDPWD SHLVL _ && exec "$@"'
    return [find_program("setpriv"), "--pdeathsig", "KILL", "--", find_program("sh"), "-c", check, str(os.getpid())]


async def _end(process: Child, grace: float) -> None:
    """Have it end, whatever it takes, also while this task is being cancelled; and what it started with it."""
    process.signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(grace):
            await process.wait()
    except TimeoutError:
        process.signal(signal.SIGKILL)
        await process.wait()
    except asyncio.CancelledError:
        process.signal(signal.SIGKILL)
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its group, which it leads
