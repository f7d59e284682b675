"""The verbs as an operator runs them: a process of its own that finds the gateway by its control socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from tests.e2e.harness import control_socket
from tests.e2e.programs import Done
from tests.lab.lab import Lab
from tests.lab.processes import mortal

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 20.0  # seconds for a verb to end, on a machine that may be busy


async def _start(
    lab: Lab, words: Sequence[str], environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *mortal([sys.executable, "-m", "gateway", *words]),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=_REPOSITORY,
        env={**os.environ, "GATEWAY_SOCKET": str(control_socket(lab)), "COLUMNS": "100", **(environment or {})},
    )


async def attempt_verb(lab: Lab, *words: str, environment: Mapping[str, str] | None = None) -> Done:
    """Run `gateway WORDS` against the gateway of the lab; how it ended. `environment` are further variables.

    Raises TimeoutError.
    """
    process = await _start(lab, words, environment)
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def verb(lab: Lab, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """`attempt_verb`, which must succeed; what it wrote to its standard output."""
    done = await attempt_verb(lab, *words, environment=environment)
    assert done.status == 0, f"gateway {' '.join(words)} ended with {done.status}\n{done.err}\n{done.out}"
    return done.out


class Following:
    """A verb that goes on until one side ends it: `logs --follow`, for instance. Made by `following`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self, text: str) -> str:
        """The next line that has `text` in it. Raises TimeoutError, and EOFError when the verb ends without."""
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            while line := (await self._process.stdout.readline()).decode():
                if text in line:
                    return line
        raise EOFError(text)

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def end(self) -> Done:
        """Wait for its end: how it ended, and what it had said last. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Done(self._process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def following(lab: Lab, *words: str) -> AsyncIterator[Following]:
    """`gateway WORDS` while the context lasts; it is killed if it has not ended."""
    process = await _start(lab, words)
    try:
        yield Following(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def status(lab: Lab, tunnel: str) -> dict[str, Any]:
    """What `gateway status --json` says of one tunnel."""
    (found,) = [each for each in json.loads(await verb(lab, "status", "--json"))["tunnels"] if each["name"] == tunnel]
    assert isinstance(found, dict)
    return found


async def explain(lab: Lab, forward: str) -> dict[str, Any]:
    """What `gateway explain FORWARD --json` says."""
    explained = json.loads(await verb(lab, "explain", forward, "--json"))
    assert isinstance(explained, dict)
    return explained
