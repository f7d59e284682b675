"""The verbs of the command line that talk to a running gateway. Heavy imports happen inside them, as in `cli`."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

if TYPE_CHECKING:
    from gateway.admin.documents import TunnelDocument
    from gateway.verbs.asking import Asking

_T = TypeVar("_T")

_FAILED: Final = 1
_USAGE: Final = 2
_PANEL: Final = "Asking a running gateway"

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
WatchOption = Annotated[bool, typer.Option("--watch", help="Draw it again each second, until Ctrl-C.")]
TunnelArgument = Annotated[str, typer.Argument(metavar="TUNNEL", help="Its name in the configuration.")]


def status(
    socket: SocketOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line is a flag
    watch: WatchOption = False,  # noqa: FBT002 - likewise
) -> None:
    """Show tunnels and forwards: what is up, who rides where, how fast."""
    if watch:
        _watch(socket, as_json=as_json)
        return
    document = _ask(socket, lambda asking: asking.status())
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    from gateway.verbs.status import status as tables  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(tables(document))


def explain(
    forward: Annotated[str, typer.Argument(metavar="FORWARD", help="Its name in the configuration.")],
    socket: SocketOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line is a flag
) -> None:
    """Say why a forward takes the tunnel that it takes, and no other."""
    document = _ask(socket, lambda asking: asking.explain(forward))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    from gateway.verbs.explain import explain as explanation  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(explanation(document))


def enable(tunnel: TunnelArgument, socket: SocketOption = None) -> None:
    """Let new sessions use a tunnel again."""
    _say_changed(_ask(socket, lambda asking: asking.enable(tunnel)))


def disable(tunnel: TunnelArgument, socket: SocketOption = None) -> None:
    """Take a tunnel out; its sessions are reset at once."""
    _say_changed(_ask(socket, lambda asking: asking.disable(tunnel)))


def drain_tunnel(
    tunnel: TunnelArgument,
    socket: SocketOption = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long its sessions may take to end. Default: 25s."),
    ] = None,
) -> None:
    """Take a tunnel out, and let its sessions end before it is disabled."""
    _say_changed(_ask(socket, lambda asking: asking.drain(tunnel, timeout)))


def failback(
    name: Annotated[str, typer.Argument(metavar="TUNNEL|FORWARD", help="Its name in the configuration.")],
    socket: SocketOption = None,
) -> None:
    """Have new sessions return now: to a tunnel, or of a forward."""
    from gateway.verbs.reports import failed_back  # noqa: PLC0415 - see the module's first lines

    typer.echo(failed_back(_ask(socket, lambda asking: asking.failback(name))))


def drill(
    tunnel: TunnelArgument,
    socket: SocketOption = None,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long it is taken out.")] = "10s",
) -> None:
    """Take a tunnel out on purpose, and report how its forwards recover.

    Exit code 1 if a forward did not recover. Refused when it would leave a
    forward without any tunnel.
    """
    try:
        document = _ask(socket, lambda asking: asking.drill(tunnel, lasting))
    except KeyboardInterrupt:
        typer.echo("gateway: no longer waiting; the drill goes on in the gateway, and ends by itself", err=True)
        raise typer.Exit(_FAILED) from None
    from gateway.verbs.reports import drilled  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(drilled(document))
    if not (document["recovered"] and document["restored"]):
        raise typer.Exit(_FAILED)


def add_to(app: typer.Typer) -> None:
    """Make the verbs commands of `app`."""
    verbs: dict[str, Callable[..., None]] = {
        "status": status,
        "explain": explain,
        "enable": enable,
        "disable": disable,
        "drain-tunnel": drain_tunnel,
        "failback": failback,
        "drill": drill,
    }
    for name, verb in verbs.items():
        app.command(name, rich_help_panel=_PANEL)(verb)


# ---------------------------------------------------------------- the conversation


def _ask(socket: Path | None, say: Callable[[Asking], Coroutine[Any, Any, _T]]) -> _T:
    """What comes of one conversation; ends the program with a line that says why when nothing does."""
    gc.disable()  # importing makes no garbage, and looking for it would take a tenth of the time
    import asyncio  # noqa: PLC0415 - see the module's first lines

    from gateway.verbs.asking import gateway_at, place  # noqa: PLC0415
    from gateway.verbs.errors import VerbError  # noqa: PLC0415

    gc.enable()

    async def conversation() -> _T:
        async with gateway_at(place(socket)) as asking:
            return await say(asking)

    try:
        return asyncio.run(conversation())
    except VerbError as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(_USAGE if error.usage else _FAILED) from None


def _watch(socket: Path | None, *, as_json: bool) -> None:
    """Until Ctrl-C, which is its orderly end."""
    from gateway.verbs.terminal import console  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.watch import watch, watch_json  # noqa: PLC0415

    try:
        _ask(socket, watch_json if as_json else lambda asking: watch(asking, console()))
    except KeyboardInterrupt:
        return


def _say_changed(tunnel: TunnelDocument) -> None:
    from gateway.verbs.reports import admin_changed  # noqa: PLC0415 - see the module's first lines

    typer.echo(admin_changed(tunnel))
