"""A verb's conversation with the gateway, from the side of the command line: what goes wrong ends the program."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from gateway.verbs.options import FAILED, USAGE

if TYPE_CHECKING:
    from gateway.verbs.asking import Asking

_T = TypeVar("_T")


def ask(socket: Path | None, say: Callable[[Asking], Coroutine[Any, Any, _T]]) -> _T:
    """What comes of one conversation; ends the program with a line that says why when nothing does.

    Heavy imports happen in here, as in `cli`.
    """
    gc.disable()  # importing makes no garbage, and looking for it would take a tenth of the time
    import asyncio  # noqa: PLC0415 - see above

    from gateway.verbs.asking import gateway_at, place  # noqa: PLC0415
    from gateway.verbs.errors import VerbError  # noqa: PLC0415
    from gateway.verbs.plain import plain  # noqa: PLC0415

    gc.enable()

    async def conversation() -> _T:
        async with gateway_at(place(socket)) as asking:
            return await say(asking)

    try:
        return asyncio.run(conversation())
    except VerbError as error:
        typer.echo(f"gateway: {plain(str(error))}", err=True)
        raise typer.Exit(USAGE if error.usage else FAILED) from None


def ask_until_interrupted(socket: Path | None, say: Callable[[Asking], Coroutine[Any, Any, None]]) -> None:
    """A conversation that goes on: Ctrl-C is its orderly end, and so is a reader who has had enough (`| head`)."""
    try:
        ask(socket, say)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Nobody reads the output any more: what is left of it goes nowhere, rather than into an error at the very end."""
    import os  # noqa: PLC0415 - rarely needed
    import sys  # noqa: PLC0415

    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
