"""`gateway connect` and `gateway disconnect`. Heavy imports happen inside them, as in `cli`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.verbs.conversation import ask
from gateway.verbs.options import FAILED, SocketOption, TunnelArgument

if TYPE_CHECKING:
    from gateway.verbs.asking import Asking


def connect(
    tunnel: TunnelArgument,
    socket: SocketOption = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Wait so long at most until it is connected. Default: do not.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Have a tunnel's VPN client connect, also where it was disconnected or waits.

    With --wait the exit code is 1, and the reason is said, if it is not connected
    when the time is up, or sooner if there will be no attempt until then.
    """
    from gateway.verbs import clients, waiting  # noqa: PLC0415 - see the module's first lines

    seconds = None if wait is None else _seconds(wait)

    async def say(asking: Asking) -> str:
        began = await asking.connect(tunnel)
        if seconds is None:
            return clients.standing(tunnel, began["driver"])
        return await waiting.until_connected(asking, began, seconds)

    try:
        typer.echo(ask(socket, say))
    except KeyboardInterrupt:
        typer.echo("gateway: no longer waiting; the attempt goes on: gateway disconnect would end it", err=True)
        raise typer.Exit(FAILED) from None


def disconnect(tunnel: TunnelArgument, socket: SocketOption = None) -> None:
    """Have a tunnel's VPN client stop, or cancel its attempt; its sessions are reset."""
    from gateway.verbs import clients  # noqa: PLC0415 - see the module's first lines

    async def say(asking: Asking) -> str:
        return clients.standing(tunnel, (await asking.disconnect(tunnel))["driver"])

    typer.echo(ask(socket, say))


def _seconds(wait: str) -> float:
    """Raises typer.BadParameter."""
    from gateway.config import durations  # noqa: PLC0415 - a quarter of a second, of the time that is waited anyway

    try:
        return durations.parse(wait)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from None
