"""`gateway logs` and `gateway activity`: what VPN clients said, and what happened. Heavy imports happen inside."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.verbs.conversation import ask_until_interrupted
from gateway.verbs.options import (
    AnyTunnelArgument,
    FollowOption,
    JsonLinesOption,
    LinesOption,
    SinceOption,
    SocketOption,
)


def logs(
    tunnel: AnyTunnelArgument = None,
    socket: SocketOption = None,
    follow: FollowOption = False,  # noqa: FBT002 - a flag of the command line is a flag
    since: SinceOption = None,
    level: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="The least serious one: debug, info, warning, error.", show_default=False),
    ] = None,
    grep: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only lines that have this text in them, in any case.", show_default=False),
    ] = None,
    as_json: JsonLinesOption = False,  # noqa: FBT002 - likewise
    lines: LinesOption = None,
) -> None:
    """Show what VPN clients said: all that is kept, the oldest first.

    Lines outlive the gateway: for 30 days, and 10,000 of each tunnel, unless the
    configuration says otherwise. Times are local.
    """
    from gateway.verbs import book, paging  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.asking import Asking  # noqa: PLC0415

    asked = _asked(tunnel=tunnel, since=since, level=level, grep=grep)
    entries = paging.followed if follow else paging.kept

    async def say(asking: Asking) -> None:
        await book.write(entries(paging.lines(asking), asked, lines), book.as_json if as_json else book.line)

    ask_until_interrupted(socket, say)


def activity(
    tunnel: AnyTunnelArgument = None,
    socket: SocketOption = None,
    follow: FollowOption = False,  # noqa: FBT002 - a flag of the command line is a flag
    since: SinceOption = None,
    as_json: JsonLinesOption = False,  # noqa: FBT002 - likewise
    lines: LinesOption = None,
) -> None:
    """Show what happened, and by whom: connected, failed, moved, changed."""
    from gateway.verbs import book, paging  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.asking import Asking  # noqa: PLC0415

    asked = _asked(tunnel=tunnel, since=since)
    entries = paging.followed if follow else paging.kept

    async def say(asking: Asking) -> None:
        await book.write(entries(paging.activities(asking), asked, lines), book.as_json if as_json else book.activity)

    ask_until_interrupted(socket, say)


def _asked(**parameters: str | None) -> dict[str, str]:
    """What was said, without what was left out."""
    return {key: value for key, value in parameters.items() if value is not None}
