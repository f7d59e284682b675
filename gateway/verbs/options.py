"""The options and arguments that several verbs share, and the exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

FAILED: Final = 1
USAGE: Final = 2

SocketOption = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        metavar="PATH",
        envvar="GATEWAY_SOCKET",
        help="The gateway's control socket. Default: /run/gateway/control.sock as root, else below $XDG_RUNTIME_DIR.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead, for programs.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print JSON instead, a document a line, for programs.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Draw it again each second, until Ctrl-C.")]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Nothing that is older: 90s, 1h, 7d.", show_default=False),
]
LinesOption = Annotated[
    int | None,
    typer.Option(
        "--lines",
        "-n",
        metavar="N",
        min=0,
        help="The last N only. Default: all that is kept; with --follow the last 10, or all since --since.",
        show_default=False,
    ),
]
TunnelArgument = Annotated[str, typer.Argument(metavar="TUNNEL", help="Its name in the configuration.")]
AnyTunnelArgument = Annotated[
    str | None, typer.Argument(metavar="TUNNEL", help="Of this one only. Default: of all.", show_default=False)
]
