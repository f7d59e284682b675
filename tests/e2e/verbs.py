"""The verbs as an operator runs them: a process of its own that finds the gateway by its control socket."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from tests.e2e.harness import control_socket
from tests.e2e.programs import Done
from tests.lab.lab import Lab

_REPOSITORY = Path(__file__).parents[2]
_PATIENCE = 20.0  # seconds for a verb to end, on a machine that may be busy


async def attempt_verb(lab: Lab, *words: str) -> Done:
    """Run `gateway WORDS` against the gateway of the lab; how it ended. Raises TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=_REPOSITORY,
        env={**os.environ, "GATEWAY_SOCKET": str(control_socket(lab)), "COLUMNS": "100"},
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def verb(lab: Lab, *words: str) -> str:
    """`attempt_verb`, which must succeed; what it wrote to its standard output."""
    done = await attempt_verb(lab, *words)
    assert done.status == 0, f"gateway {' '.join(words)} ended with {done.status}\n{done.err}\n{done.out}"
    return done.out


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
