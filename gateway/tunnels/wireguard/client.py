"""The WireGuard client: one connection after the other over one device, which stays from the first to the last.

addresses of the server → the device, up → `connection` → no peer any more
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_interface
from typing import Final

from gateway.config.wireguard_keys import public_key
from gateway.errors import LinkError
from gateway.model import Endpoint, Failure, FailureReason, LineLevel, Secret, TunnelSpec, WireguardSpec
from gateway.tunnels.client import Attempt
from gateway.tunnels.resolving import Resolver, following
from gateway.tunnels.tools import IPInterface, Tools
from gateway.tunnels.wireguard.connection import Connection
from gateway.tunnels.wireguard.device import Address, Device, DeviceError, Peering
from gateway.tunnels.wireguard.kernel import KernelDevice, lacks
from gateway.tunnels.wireguard.resolving import routed
from gateway.tunnels.wireguard.speech import Said
from gateway.tunnels.wireguard.userspace import WireguardGo

_FORGET: Final = 2.0  # seconds to take leave of a peer
_DYING: Final = 0.5  # seconds from the end of its device to that of a process
_APART: Final = 0.05
"""Seconds from one peer to the next. A server takes a second handshake within 20 ms for a flood, or one that is played
again, and is silent; the next is tried after five seconds."""
_MTU: Final = 1420  # of a path of 1500, without the headers of IPv6, UDP and WireGuard
_GATEWAY: Final = "gateway"  # what says a line that is not WireGuard's


class WireguardClient:
    """A `client.Client`. `spec.vpn` is a WireguardSpec."""

    def __init__(self, spec: TunnelSpec, tools: Tools) -> None:
        if not isinstance(spec.vpn, WireguardSpec) or spec.vpn.private_key is None:
            raise TypeError(f'tunnel "{spec.name}" is no WireGuard tunnel with a private key')
        self._spec = spec
        self._vpn = spec.vpn
        self._private_key: Secret = spec.vpn.private_key
        self._links = tools.links
        self._roads = tools.roads
        self._resolver = Resolver()
        self._device: Device | None = None
        self._connection: Connection | None = None
        self._parted_at = float("-inf")
        self._in_vain: dict[Endpoint, Address] = {}  # where a server did not answer the last time

    @property
    def interface(self) -> str:
        """The name of the device, which is made with it."""
        return self._spec.interface

    async def run(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        """See `client.Client`. An attempt takes 15 s at most, 5 of them for the server's name."""
        server = server or self._vpn.servers[0]
        try:
            addresses = await routed(self._resolver, server)
            device = await self._opened(attempt)
            await asyncio.sleep(self._parted_at + _APART - asyncio.get_running_loop().time())
            try:
                why = await self._connected(device, server, addresses, attempt)
            finally:
                await _part(device)
                self._parted_at = asyncio.get_running_loop().time()
        except DeviceError as error:
            return Failure(reason=error.reason, detail=str(error), server=server)
        except LinkError as error:
            return Failure(reason=_of_link(error), detail=str(error), server=server)
        return Failure(reason=why.reason, detail=str(why), server=server)

    async def close(self) -> None:
        """Take the device away, and the process that makes it."""
        device, self._device = self._device, None
        if device is not None:
            await device.close()

    async def _opened(self, attempt: Attempt) -> Device:
        """The device: that of earlier connections, or a new one. Raises DeviceError, LinkError."""
        if self._device is None:
            own = public_key(self._private_key.reveal())
            self._device = KernelDevice(self.interface, own, self._links)
        try:
            await self._device.open()
        except LinkError as error:
            if not lacks(error):
                raise
            attempt.said(LineLevel.INFO, _GATEWAY, "this kernel has no WireGuard: wireguard-go does it in user space")
            self._device = WireguardGo(self.interface, self._links, self._hear)
            await self._device.open()
        return self._device

    async def _connected(
        self, device: Device, server: Endpoint, addresses: Sequence[Address], attempt: Attempt
    ) -> DeviceError:
        """One connection over the open device, from its beginning to its end: why it ended. Raises LinkError."""
        vpn = self._vpn
        own: list[IPInterface] = [ip_interface(address) for address in vpn.addresses]
        await self._roads.expect(self._spec.name, tuple(each.ip for each in own))
        try:
            await self._links.configure(self.interface, addresses=own, mtu=vpn.mtu or _MTU)
        except LinkError as error:
            if (death := await _death(device)) is not None:
                raise DeviceError(FailureReason.CLIENT_DIED, death) from error
            raise
        before = self._in_vain.pop(server, None)
        peering = Peering(
            private_key=self._private_key,
            public_key=vpn.peer_public_key,
            address=addresses[0] if before is None else following(before, addresses),
            preshared_key=vpn.preshared_key,
            allowed_ips=vpn.allowed_ips,
            keepalive=vpn.keepalive,
        )
        self._connection = Connection(
            device=device,
            peering=peering,
            own=tuple(each.ip for each in own),
            whereabouts=lambda: routed(self._resolver, server),
            attempt=attempt,
        )
        try:
            return await self._connection.run()
        finally:
            if (silent := self._connection.in_vain) is not None:
                self._in_vain[server] = silent
            self._connection = None

    def _hear(self, said: Said) -> None:
        if self._connection is not None:
            self._connection.hear(said)


async def _death(device: Device) -> str | None:
    """How what makes the device has ended, if it has: its device went with it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DYING):
            return await device.ended()
    return None


async def _part(device: Device) -> None:
    """Have no peer any more, so that nothing is sent to it. A device that has died remembers nothing anyway."""
    with suppress(DeviceError, TimeoutError):
        async with asyncio.timeout(_FORGET):
            await device.forget()


def _of_link(error: LinkError) -> FailureReason:
    return FailureReason.NOT_PERMITTED if error.number in {errno.EPERM, errno.EACCES} else FailureReason.OTHER
