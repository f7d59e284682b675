"""`gateway status --watch`: the same table again and again, in its place, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from gateway.verbs.asking import Asking
from gateway.verbs.errors import VerbError
from gateway.verbs.status import status

_EVERY: Final = 1.0  # seconds


async def watch(asking: Asking, console: Console) -> None:
    """Redraw until cancelled. Raises VerbError if nobody answers at first; later that is shown, and asked again."""
    first = await asking.status()
    if not console.is_terminal:
        console.print(status(first))
        while True:
            await asyncio.sleep(_EVERY)
            console.print(status(await asking.status()))
    with Live(status(first, lines=console.height), console=console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_EVERY)
            live.update(await _now(asking, console), refresh=True)


async def watch_json(asking: Asking) -> None:
    """A line of JSON a second until cancelled, for programs."""
    while True:
        print(json.dumps(await asking.status()), flush=True)  # noqa: T201 - the verb's output
        await asyncio.sleep(_EVERY)


async def _now(asking: Asking, console: Console) -> RenderableType:
    try:
        return status(await asking.status(), lines=console.height)
    except VerbError as error:
        return Text(f"{error}; asking again", style="red")
