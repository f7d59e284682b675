"""The verbs of the command line that ask how things are, or move sessions; `add_to` has the list of all.

Those about VPN clients and about the book are in modules beside this one. Heavy imports happen inside, as in `cli`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.verbs.book_commands import activity, logs
from gateway.verbs.client_commands import connect, disconnect
from gateway.verbs.conversation import ask, ask_until_interrupted
from gateway.verbs.options import FAILED, JsonOption, SocketOption, TunnelArgument, WatchOption

if TYPE_CHECKING:
    from gateway.admin.documents import TunnelDocument

_PANEL: Final = "Asking a running gateway"


def status(
    socket: SocketOption = None,
    as_json: JsonOption = False,  # noqa: FBT002 - a flag of the command line is a flag
    watch: WatchOption = False,  # noqa: FBT002 - likewise
) -> None:
    """Show tunnels and forwards: what is up, who rides where, how fast."""
    if watch:
        _watch(socket, as_json=as_json)
        return
    document = ask(socket, lambda asking: asking.status())
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
    document = ask(socket, lambda asking: asking.explain(forward))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    from gateway.verbs.explain import explain as explanation  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(explanation(document))


def enable(tunnel: TunnelArgument, socket: SocketOption = None) -> None:
    """Let new sessions use a tunnel again."""
    _say_changed(ask(socket, lambda asking: asking.enable(tunnel)))


def disable(tunnel: TunnelArgument, socket: SocketOption = None) -> None:
    """Take a tunnel out; its sessions are reset at once."""
    _say_changed(ask(socket, lambda asking: asking.disable(tunnel)))


def drain_tunnel(
    tunnel: TunnelArgument,
    socket: SocketOption = None,
    timeout: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="How long its sessions may take to end. Default: 25s."),
    ] = None,
) -> None:
    """Take a tunnel out, and let its sessions end before it is disabled."""
    _say_changed(ask(socket, lambda asking: asking.drain(tunnel, timeout)))


def failback(
    name: Annotated[str, typer.Argument(metavar="TUNNEL|FORWARD", help="Its name in the configuration.")],
    socket: SocketOption = None,
) -> None:
    """Have new sessions return now: to a tunnel, or of a forward."""
    from gateway.verbs.reports import failed_back  # noqa: PLC0415 - see the module's first lines

    typer.echo(failed_back(ask(socket, lambda asking: asking.failback(name))))


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
        document = ask(socket, lambda asking: asking.drill(tunnel, lasting))
    except KeyboardInterrupt:
        typer.echo("gateway: no longer waiting; the drill goes on in the gateway, and ends by itself", err=True)
        raise typer.Exit(FAILED) from None
    from gateway.verbs.reports import drilled  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(drilled(document))
    if not (document["recovered"] and document["restored"]):
        raise typer.Exit(FAILED)


def add_to(app: typer.Typer) -> None:
    """Make the verbs commands of `app`."""
    verbs: dict[str, Callable[..., None]] = {
        "status": status,
        "explain": explain,
        "connect": connect,
        "disconnect": disconnect,
        "enable": enable,
        "disable": disable,
        "drain-tunnel": drain_tunnel,
        "failback": failback,
        "drill": drill,
        "logs": logs,
        "activity": activity,
    }
    for name, verb in verbs.items():
        app.command(name, rich_help_panel=_PANEL)(verb)


def _watch(socket: Path | None, *, as_json: bool) -> None:
    from gateway.verbs.terminal import console  # noqa: PLC0415 - see the module's first lines
    from gateway.verbs.watch import watch, watch_json  # noqa: PLC0415

    ask_until_interrupted(socket, watch_json if as_json else lambda asking: watch(asking, console()))


def _say_changed(tunnel: TunnelDocument) -> None:
    from gateway.verbs.reports import admin_changed  # noqa: PLC0415 - see the module's first lines

    typer.echo(admin_changed(tunnel))
