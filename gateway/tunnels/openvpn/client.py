"""The OpenVPN client: a process a connection, driven over its management interface.

The process connects to a Unix socket of ours (`management-client`): it ends when we do, and no password is given to
whoever else might listen. The device is persistent and ours: it stays, without carrier, when the process dies.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, assert_never

from gateway.errors import LinkError, ProgramMissingError
from gateway.model import Endpoint, Failure, FailureReason, IPAddress, LineLevel, OpenVpnSpec, TunnelSpec
from gateway.tunnels.children import Child, child
from gateway.tunnels.client import Attempt
from gateway.tunnels.openvpn import management
from gateway.tunnels.openvpn.configuration import configuration
from gateway.tunnels.openvpn.management import Asked, Counts, Held, Message, Refused, Standing
from gateway.tunnels.openvpn.reasons import Diagnosis
from gateway.tunnels.openvpn.speech import said
from gateway.tunnels.tools import Tools

_COMPONENT: Final = "openvpn"
_MEETING: Final = 5.0  # seconds for the process to come to our socket
_FAREWELL: Final = 2.5  # seconds to take leave of the server: one for its notice, and some
_MISSING: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENXIO, errno.ENODEV})


class OpenVpnClient:
    """A `client.Client`. `spec.vpn` is an OpenVpnSpec."""

    def __init__(self, spec: TunnelSpec, tools: Tools) -> None:
        if not isinstance(spec.vpn, OpenVpnSpec):
            raise TypeError(f'tunnel "{spec.name}" is no OpenVPN tunnel')
        self._spec = spec
        self._vpn = spec.vpn
        self._links = tools.links
        self._socket = tools.runtime / f"{spec.name}.openvpn"
        self._made = False

    @property
    def interface(self) -> str:
        """The name of the device, which is made with it."""
        return self._spec.interface

    async def run(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        """See `client.Client`. An attempt takes 15 s at most."""
        try:
            await self._links.make_tun(self.interface)
            self._made = True
            return await self._connection(server, attempt)
        except LinkError as error:
            reason = FailureReason.NOT_PERMITTED if error.number in _MISSING else FailureReason.OTHER
            return Failure(reason=reason, detail=str(error), server=server)
        except ProgramMissingError as error:
            return Failure(reason=FailureReason.PROGRAM_MISSING, detail=str(error), server=server)

    async def close(self) -> None:
        """Remove the device, if it was made here."""
        if self._made:
            self._made = False
            with suppress(LinkError):  # whoever took it away, or the right to
                await self._links.remove(self.interface)

    async def _connection(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        diagnosis = Diagnosis(self._vpn)

        def on_line(line: str) -> None:
            heard = said(line)
            diagnosis.hear(heard.text)
            attempt.said(heard.level, _COMPONENT, heard.text)

        text = configuration(self._vpn, interface=self.interface, server=server, management=self._socket)
        argv = ["openvpn", "--config", "stdin"]
        async with (
            _meeting(self._socket) as guest,
            child(argv, on_line=on_line, feed=text, grace=_FAREWELL) as process,
            asyncio.TaskGroup() as group,
        ):
            talk = _Talk(self, diagnosis, attempt)
            conversation = group.create_task(talk.hold(guest), name=f"{self._spec.name} management")
            await process.wait()
            conversation.cancel()
        return _failure(process, diagnosis, talk.was_up, server)

    # ---------------------------------------------------------------- what the process asks and says

    def answer(self) -> tuple[str, ...] | None:
        """Account and password; None where there are none."""
        if self._vpn.username is None or self._vpn.password is None:
            return None
        return management.login(self._vpn.username, self._vpn.password.reveal())

    async def settle(self, addresses: tuple[IPAddress, ...]) -> None:
        """Take away the addresses that an earlier connection has left on the device. Raises LinkError."""
        link = await self._links.find(self.interface)
        if link is not None:
            own = [each for each in link.addresses if each.ip in addresses]
            if len(own) != len(link.addresses):
                await self._links.configure(self.interface, addresses=own)


class _Talk:
    """One conversation over the management interface."""

    def __init__(self, client: OpenVpnClient, diagnosis: Diagnosis, attempt: Attempt) -> None:
        self._client = client
        self._diagnosis = diagnosis
        self._attempt = attempt
        self._begun = False
        self.was_up = False

    async def hold(self, guest: asyncio.Queue[_Guest]) -> None:
        """Wait for the process, and talk with it until it goes."""
        try:
            async with asyncio.timeout(_MEETING):
                reader, writer = await guest.get()
        except TimeoutError:
            return  # it has something else to say, and will be heard to say it
        async for line in _lines(reader):
            message = management.message(line)
            if message is not None:
                for order in await self._take(message):
                    writer.write(f"{order}\n".encode())

    async def _take(self, message: Message) -> tuple[str, ...]:
        """What to order, now that it has said that."""
        match message:
            case Held():
                first, self._begun = not self._begun, True
                return management.BEGIN if first else ("signal SIGTERM",)  # it would begin anew: that is for `life`
            case Counts():
                self._attempt.counted(message.transmitted, message.received)
                return ()
            case Asked():
                return self._asked(message)
            case Refused():
                self._diagnosis.refused(message.why)
                return ()
            case Standing():
                return await self._stands(message)
            case _:
                assert_never(message)

    def _asked(self, question: Asked) -> tuple[str, ...]:
        answer = self._client.answer() if question.is_login else None
        if answer is not None:
            return answer
        wanted = "a one-time code" if question.challenge else f'"{question.what}"'
        self._diagnosis.hear(f"Options error: it asks for {wanted}, which nobody is there to give")
        return ("signal SIGTERM",)

    async def _stands(self, standing: Standing) -> tuple[str, ...]:
        if standing.name != "CONNECTED":
            if standing.name == "EXITING" and self._diagnosis.reason is None:
                self._diagnosis.hear(f"[soft,{standing.detail}]")
            return ()
        if standing.detail != "SUCCESS":
            self._diagnosis.hear("Options error: the device could not be set up, see the lines before")
            return ("signal SIGTERM",)
        try:
            await self._client.settle(standing.addresses)
        except LinkError as error:
            self._attempt.said(LineLevel.WARNING, "gateway", str(error))
        self.was_up = True
        self._diagnosis.forget()
        self._attempt.connected(standing.addresses)
        return ()


# ---------------------------------------------------------------- the socket

_Guest = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def _meeting(path: Path) -> AsyncIterator[asyncio.Queue[_Guest]]:
    """A Unix socket to which the first that comes is let in; it is gone at the end of the block."""
    guests: asyncio.Queue[_Guest] = asyncio.Queue()
    seen: list[asyncio.StreamWriter] = []

    def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        if len(seen) == 1:
            guests.put_nowait((reader, writer))
        else:
            writer.close()

    _remove(path)  # of a gateway that was killed
    server = await asyncio.start_unix_server(come, path)
    try:
        yield guests
    finally:
        server.close()
        for writer in seen:
            writer.close()
        _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Its lines, until it hangs up."""
    while True:
        try:
            line = await reader.readline()
        except (ConnectionError, ValueError):  # gone, or a line without end
            return
        if not line:
            return
        yield line.decode(errors="replace").rstrip("\r\n")


# ---------------------------------------------------------------- the end


def _failure(process: Child, diagnosis: Diagnosis, was_up: bool, server: Endpoint | None) -> Failure:  # noqa: FBT001
    code = process.returncode or 0
    if diagnosis.reason is not None and code >= 0:
        return Failure(reason=diagnosis.reason, detail=diagnosis.detail, server=server)
    if code < 0:
        name = signal.Signals(-code).name
        return Failure(reason=FailureReason.CLIENT_DIED, detail=f"openvpn was ended by {name}", server=server)
    if was_up:
        return Failure(reason=FailureReason.SERVER_ENDED, detail="the connection ended", server=server)
    detail = f"openvpn ended with exit code {code}: see gateway logs"
    return Failure(reason=FailureReason.OTHER, detail=detail, server=server)
