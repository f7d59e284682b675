"""The IKEv2 client: what is kept from connection to connection. The connections themselves are in `connection`.

That is little: who does ESP, which is found out once, and the XFRM interface, if it is the kernel. The tun device of
user space is charon's own, and ends with it.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Final

from gateway.errors import LinkError
from gateway.model import Endpoint, Esp, Failure, FailureReason, IpsecSpec, LineLevel, TunnelSpec
from gateway.tunnels.client import Attempt
from gateway.tunnels.ipsec.connection import Connection, Place, if_id, link_failure
from gateway.tunnels.ipsec.credentials import read
from gateway.tunnels.ipsec.settings import Encryption
from gateway.tunnels.tools import Tools

_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP})
_GATEWAY: Final = "gateway"  # what says a line that is not charon's


class IpsecClient:
    """A `client.Client`. `spec.vpn` is an IpsecSpec."""

    def __init__(self, spec: TunnelSpec, tools: Tools) -> None:
        if not isinstance(spec.vpn, IpsecSpec):
            raise TypeError(f'tunnel "{spec.name}" is no IPsec tunnel')
        self._spec = spec
        self._vpn = spec.vpn
        self._tools = tools
        self._has_xfrm = False  # an XFRM interface of ours, which outlives connections
        self._lacks_xfrm = False  # this kernel has none

    @property
    def interface(self) -> str:
        """The name of the device: charon's tun device, renamed, or an XFRM interface."""
        return self._spec.interface

    async def run(self, server: Endpoint | None, attempt: Attempt) -> Failure:
        """See `client.Client`. An attempt takes 15 s at most; a server that does not answer is known after 6.2 s."""
        server = server or self._vpn.servers[0]
        try:
            credentials = read(self._vpn)
        except ValueError as error:
            return Failure(reason=FailureReason.CONFIGURATION, detail=str(error), server=server)
        try:
            encryption = await self._encryption(attempt)
            place = Place(self._spec, self._vpn, self._tools, encryption)
            connection = Connection(place, server, credentials, attempt)
            failure = await connection.run()
            if encryption is Encryption.KERNEL and self._vpn.esp is Esp.AUTO and connection.kernel_lacks_esp():
                attempt.said(LineLevel.WARNING, _GATEWAY, "this kernel cannot do ESP: user space does it from here on")
                self._lacks_xfrm = True
                await self.close()  # the name will be the tun device's
        except LinkError as error:
            return link_failure(error, server)
        return failure

    async def close(self) -> None:
        """Remove the XFRM interface, if there is one of ours."""
        if self._has_xfrm:
            self._has_xfrm = False
            with suppress(LinkError):  # what stays is removed before another is made
                await self._tools.links.remove(self.interface)

    async def _encryption(self, attempt: Attempt) -> Encryption:
        """Who does ESP; the XFRM interface is there, if that is the kernel. Raises LinkError."""
        if self._vpn.esp is Esp.USERSPACE or self._lacks_xfrm:
            return Encryption.USERSPACE
        if self._has_xfrm and await self._tools.links.find(self.interface) is not None:
            return Encryption.KERNEL
        self._has_xfrm = True  # from here on, since what was begun goes on where this is cancelled
        try:
            await self._make_xfrm()
        except LinkError as error:
            self._has_xfrm = False
            if error.number not in _UNSUPPORTED:
                raise
            if self._vpn.esp is Esp.KERNEL:
                text = 'esp = "kernel": this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE); "userspace" works'
                raise LinkError(text, errno.EPERM) from error
            self._lacks_xfrm = True
            attempt.said(LineLevel.INFO, _GATEWAY, "this kernel has no XFRM interfaces: ESP is done in user space")
            return Encryption.USERSPACE
        return Encryption.KERNEL

    async def _make_xfrm(self) -> None:
        links = self._tools.links
        left_over = await links.find(self.interface)
        if left_over is not None and left_over.ours:  # of a gateway that was killed
            await links.remove(self.interface)
        await links.make(self.interface, "xfrm", if_id=if_id(self._spec.name))
