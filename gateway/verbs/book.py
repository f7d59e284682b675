"""How `gateway logs` and `gateway activity` write the entries of the book: a line each, as they come.

The words are a VPN server's: nothing of them reaches a terminal that could do something there.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Final

import typer

from gateway.admin.documents import ActivityDocument, LineDocument
from gateway.verbs.paging import Entry
from gateway.verbs.plain import plain
from gateway.verbs.wording import moment

_COLOURS: Final = {
    "warning": "yellow",
    "error": "red",
    "debug": "bright_black",
    "connected": "green",
    "disconnected": "yellow",
    "attempt_failed": "red",
    "failover": "yellow",
}
_WORDS: Final = {"config_applied": "configuration applied", "admin": "changed"}
_ITSELF: Final = "gateway"


async def write(entries: AsyncIterator[Entry], render: Callable[[Entry], str]) -> None:
    """Write entries as they come, each at once. Raises BrokenPipeError when nobody reads any more."""
    async for entry in entries:
        typer.echo(render(entry))


def as_json(entry: Mapping[str, object]) -> str:
    """The entry as it came, in one line; every character that is not ASCII is escaped."""
    return json.dumps(entry)


def line(said: LineDocument) -> str:
    """What a VPN client said: when, of which tunnel, which part of it, how serious, and its words."""
    head = f"{_when(said['at'])} {said['tunnel']} {plain(said['component'])}"
    return f"{head} {_coloured(said['level'], said['level'])}: {plain(said['text'])}"


def activity(done: ActivityDocument) -> str:
    """What happened: when, to which tunnel, what, by whom if not by itself."""
    kind = _coloured(_WORDS.get(done["kind"], done["kind"].replace("_", " ")), done["kind"])
    parts = [_when(done["at"]), *_where(done), kind]
    detail = f": {plain(done['detail'])}" if done["detail"] else ""
    by = "" if done["by"] == _ITSELF else f" (by {plain(done['by'])})"
    return f"{' '.join(parts)}{detail}{by}"


def _where(done: ActivityDocument) -> tuple[str, ...]:
    match done["tunnel"], done["to_tunnel"]:
        case None, None:
            return ()
        case str() as tunnel, None if done["kind"] not in {"failover", "failback"}:
            return (tunnel,)
        case left, taken:
            return (f"{left or 'none'} -> {taken or 'none'}",)


def _when(at: str) -> str:
    return moment(at, datetime.now().astimezone())


def _coloured(text: str, kind: str) -> str:
    """On a terminal in its colour: `typer.echo` takes it off where the output is none."""
    return typer.style(text, fg=_COLOURS[kind]) if kind in _COLOURS and "NO_COLOR" not in os.environ else text
