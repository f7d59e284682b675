"""What one kind of VPN client is to the life that all managed tunnels share (`life`): one connection at a time."""

from __future__ import annotations

from typing import Protocol

from gateway.model import Endpoint, Failure, IPAddress, LineLevel


class Attempt(Protocol):
    """Whom a client tells how one connection goes. Called on the event loop's thread."""

    def connected(self, addresses: tuple[IPAddress, ...]) -> None:
        """The tunnel is up: its device is there, and has these addresses."""

    def counted(self, transmitted: int, received: int) -> None:
        """Bytes of this connection so far."""

    def said(self, level: LineLevel, component: str, text: str) -> None:
        """One line of the client's own log, as it came: `life` scrubs it."""


class Client(Protocol):
    """One kind of VPN client, for one tunnel."""

    @property
    def interface(self) -> str:
        """The name of the device; the device need not exist yet."""

    async def run(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        """One connection with `server` (None: the profile names them), from the attempt to its end; why it ended.

        Cancelled, it takes down what it brought up for this connection, within a few seconds, and re-raises. The
        device outlives connections where the kernel allows it. Time-outs of the attempt are the client's own.
        Raises nothing that a network, a server or a missing program can bring about: that is a Failure. Trouble of
        this machine's own (`trouble`) may be raised, also in a group. Cancelled again, it kills what it has started.
        """

    async def close(self) -> None:
        """Take down what outlives connections: the device, a daemon. Idempotent."""
