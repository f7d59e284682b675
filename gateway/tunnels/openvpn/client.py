"""The OpenVPN client: a process a connection, driven over its management interface.

The process connects to a Unix socket of ours (`management-client`): it ends when we do, and no password is given to
whoever else might listen. The device is persistent and ours: it stays, without carrier, when the process dies.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from contextlib import suppress
from ipaddress import ip_interface
from typing import Final

from gateway.errors import LinkError, ProgramMissingError
from gateway.model import Endpoint, Failure, FailureReason, IPAddress, OpenVpnSpec, TunnelSpec
from gateway.tunnels.children import Child, child
from gateway.tunnels.client import Attempt
from gateway.tunnels.openvpn.configuration import PATIENCE, configuration, mtu
from gateway.tunnels.openvpn.conversation import Conversation
from gateway.tunnels.openvpn.meeting import meeting
from gateway.tunnels.resolving import Resolver, UnresolvedError, following
from gateway.tunnels.tools import Tools

_FAREWELL: Final = 2.5  # seconds to take leave of the server: one for its notice, and some
_MISSING: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENXIO, errno.ENODEV})
"""A capability, or /dev/net/tun."""


class OpenVpnClient:
    """A `client.Client`. `spec.vpn` is an OpenVpnSpec."""

    def __init__(self, spec: TunnelSpec, tools: Tools) -> None:
        if not isinstance(spec.vpn, OpenVpnSpec):
            raise TypeError(f'tunnel "{spec.name}" is no OpenVPN tunnel')
        self._spec = spec
        self._vpn = spec.vpn
        self._links = tools.links
        self._roads = tools.roads
        self._socket = tools.runtime / f"{spec.name}.openvpn"
        self._resolver = Resolver()
        self._in_vain: dict[Endpoint, IPAddress] = {}  # where a server did not let us in the last time
        self._made = False

    @property
    def interface(self) -> str:
        """The name of the device, which is made with it."""
        return self._spec.interface

    async def run(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        """See `client.Client`. An attempt takes 25 s at most, 5 of them for the server's name.

        Of a name with several addresses the next one is tried each time that one was tried in vain.
        """
        try:
            address = None if server is None else await self._address(server)
            await self._make_device()
            conversation = Conversation(self._vpn, attempt, self._settle)
            failure = await self._connection(server, address, conversation)
        except UnresolvedError as error:
            return Failure(reason=FailureReason.UNREACHABLE, detail=str(error), server=server)
        except LinkError as error:
            reason = FailureReason.NOT_PERMITTED if error.number in _MISSING else FailureReason.OTHER
            return Failure(reason=reason, detail=str(error), server=server)
        except ProgramMissingError as error:
            return Failure(reason=FailureReason.PROGRAM_MISSING, detail=str(error), server=server)
        if server is not None and address is not None and not conversation.up.is_set():
            self._in_vain[server] = address
        return failure

    async def close(self) -> None:
        """Remove the device, if it was made here."""
        if self._made:
            self._made = False
            with suppress(LinkError):  # whoever took it away, or the right to
                await self._links.remove(self.interface)

    async def _make_device(self) -> None:
        """Raises LinkError."""
        before, self._made = self._made, True  # from here on, since what was begun goes on where this is cancelled
        try:
            await self._links.make_tun(self.interface)
        except LinkError as error:
            self._made = before and error.number != errno.EEXIST  # then it is somebody else's by now
            raise

    async def _address(self, server: Endpoint) -> IPAddress:
        """Where the server is, as far as we know. Raises UnresolvedError."""
        addresses = await self._resolver.addresses(server.host)
        before = self._in_vain.pop(server, None)
        return addresses[0] if before is None else following(before, addresses)

    async def _settle(self, addresses: tuple[IPAddress, ...], pushed_mtu: int | None) -> None:
        """Have the device up with these addresses, and those only. Raises LinkError.

        Each is a network of its own: with that of the server the kernel would add a route for everybody's traffic.
        """
        await self._roads.expect(self._spec.name, addresses)
        own = [ip_interface(each) for each in addresses]
        await self._links.configure(self.interface, addresses=own, mtu=mtu(self._vpn, pushed_mtu))

    async def _leave(self) -> None:
        """Have no address any more, as OpenVPN would leave its device."""
        with suppress(LinkError):  # the device has gone
            await self._links.configure(self.interface, addresses=())

    async def _connection(
        self, server: Endpoint | None, address: IPAddress | None, conversation: Conversation
    ) -> Failure:
        """From the start of a process to its end. Raises LinkError, ProgramMissingError."""
        remote = None if server is None or address is None else Endpoint(str(address), server.port)
        text = configuration(self._vpn, interface=self.interface, server=remote, management=self._socket)
        argv = ["openvpn", "--config", "stdin"]
        try:
            async with (
                meeting(self._socket) as talk,
                child(argv, on_line=conversation.hear, feed=text, grace=_FAREWELL) as process,
                asyncio.TaskGroup() as group,
            ):
                talking = group.create_task(conversation.hold(talk), name=f"{self._spec.name} management")
                try:
                    await self._until_over(process, conversation)
                finally:
                    talking.cancel()
        finally:
            conversation.hush()
            if conversation.up.is_set() and not _was_killed(process, conversation):
                await self._leave()
        if conversation.refusal is not None:
            raise conversation.refusal
        return _failure(process, conversation, server)

    async def _until_over(self, process: Child, conversation: Conversation) -> None:
        """Return when the process has ended, or should be ended."""
        async with asyncio.TaskGroup() as group:
            end = {group.create_task(process.wait()), group.create_task(conversation.over.wait())}
            up = group.create_task(conversation.up.wait())
            try:
                async with asyncio.timeout(PATIENCE):
                    await asyncio.wait({*end, up}, return_when=asyncio.FIRST_COMPLETED)
                if up.done():
                    await asyncio.wait(end, return_when=asyncio.FIRST_COMPLETED)
            except TimeoutError:
                conversation.late()
            finally:
                for each in (*end, up):
                    each.cancel()


def _was_killed(process: Child, conversation: Conversation) -> bool:
    """Whether a signal ended it that was not ours: when the conversation was over before, it was."""
    return (process.returncode or 0) < 0 and not conversation.over.is_set()


def _failure(process: Child, conversation: Conversation, server: Endpoint | None) -> Failure:
    """Why it ended."""
    diagnosis, code = conversation.diagnosis, process.returncode or 0
    if _was_killed(process, conversation):
        detail = f"openvpn was ended by {signal.Signals(-code).name}"
        return Failure(reason=FailureReason.CLIENT_DIED, detail=detail, server=server)
    if diagnosis.reason is not None:
        return Failure(reason=diagnosis.reason, detail=diagnosis.detail, server=server)
    if conversation.up.is_set():
        return Failure(reason=FailureReason.SERVER_ENDED, detail="the connection ended", server=server)
    detail = f"openvpn ended with exit code {code}: see gateway logs"
    return Failure(reason=FailureReason.OTHER, detail=detail, server=server)
