"""The IKEv2 client: one connection with one server, from the attempt to its end, each with a charon of its own.

    charon starts → is told everything → connects → the device gets the tunnel's name → connected, watched → the end

Whether the connection still stands is asked of charon each second, and at once when it says something: its lines are
hints, its answer is the truth. Why it ended is read from its lines.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import zlib
from collections import deque
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Final

from cryptography import x509

from gateway.config import certificates
from gateway.errors import LinkError, ProgramMissingError
from gateway.model import (
    Endpoint,
    Esp,
    Failure,
    FailureReason,
    IPAddress,
    IpsecSpec,
    LineLevel,
    TunnelSpec,
)
from gateway.tunnels.client import Attempt
from gateway.tunnels.ipsec import connection, reasons, speech, standing
from gateway.tunnels.ipsec.charon import Charon, CharonError, charon
from gateway.tunnels.ipsec.credentials import Credentials, read
from gateway.tunnels.ipsec.orders import OrderRefusedError, Orders, OrdersLostError
from gateway.tunnels.ipsec.settings import Encryption, Settings
from gateway.tunnels.ipsec.speech import Said
from gateway.tunnels.ipsec.standing import Meter, Standing
from gateway.tunnels.tools import Link, Tools

_CONNECT: Final = 15.0  # seconds for an attempt; silence is known after 6.2
_ANSWER: Final = 5.0  # seconds for any other order
_LOOK: Final = 1.0  # seconds between two looks at a connection
_DYING: Final = 1.0  # seconds from charon's last answer to its end, where it has died
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP})
_LATELY: Final = 30.0  # seconds before the end, in which its reason was said: an attempt takes no longer
_MEMORY: Final = 1000  # lines
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
        except LinkError as error:
            return Failure(reason=_of_link(error), detail=str(error), server=server)
        one = _Connection(self._spec, self._vpn, self._tools, server, credentials, encryption, attempt)
        failure = await one.run()
        if encryption is Encryption.KERNEL and self._vpn.esp is Esp.AUTO and one.kernel_lacks_esp():
            attempt.said(
                LineLevel.WARNING, _GATEWAY, "this kernel cannot do ESP: it is done in user space from here on"
            )
            self._lacks_xfrm = True
            await self.close()
        return failure

    async def close(self) -> None:
        """Remove the XFRM interface, if there is one of ours. Raises LinkError."""
        if self._has_xfrm:
            self._has_xfrm = False
            await self._tools.links.remove(self.interface)

    async def _encryption(self, attempt: Attempt) -> Encryption:
        """Who does ESP; the XFRM interface is there, if that is the kernel. Raises LinkError."""
        if self._vpn.esp is Esp.USERSPACE or self._lacks_xfrm:
            return Encryption.USERSPACE
        if self._has_xfrm and await self._tools.links.find(self.interface) is not None:
            return Encryption.KERNEL
        try:
            await self._make_xfrm()
        except LinkError as error:
            if error.number not in _UNSUPPORTED:
                raise
            if self._vpn.esp is Esp.KERNEL:
                text = 'esp = "kernel": this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE); "userspace" works'
                raise LinkError(text, errno.EPERM) from error
            self._lacks_xfrm = True
            attempt.said(LineLevel.INFO, _GATEWAY, "this kernel has no XFRM interfaces: ESP is done in user space")
            return Encryption.USERSPACE
        self._has_xfrm = True
        return Encryption.KERNEL

    async def _make_xfrm(self) -> None:
        links = self._tools.links
        left_over = await links.find(self.interface)
        if left_over is not None and left_over.kind == "xfrm":  # of a gateway that was killed
            await links.remove(self.interface)
        await links.make(self.interface, "xfrm", if_id=if_id(self._spec.name))


class _Connection:
    """One connection, and what was said about it."""

    def __init__(
        self,
        spec: TunnelSpec,
        vpn: IpsecSpec,
        tools: Tools,
        server: Endpoint,
        credentials: Credentials,
        encryption: Encryption,
        attempt: Attempt,
    ) -> None:
        self._spec = spec
        self._vpn = vpn
        self._tools = tools
        self._server = server
        self._credentials = credentials
        self._encryption = encryption
        self._attempt = attempt
        self._heard: deque[tuple[float, Said]] = deque(maxlen=_MEMORY)
        self._spoke = asyncio.Event()

    async def run(self) -> Failure:
        settings = Settings(
            socket=self._tools.runtime / f"ipsec-{self._spec.name}.vici",
            auth=self._vpn.auth,
            encryption=self._encryption,
            device=self._spec.interface if self._encryption is Encryption.KERNEL else None,
        )
        end: Failure | None = None
        try:
            async with charon(settings, self._hear) as daemon:
                end = await self._until_death(daemon, self._live(daemon))
        except ProgramMissingError as error:
            return self._failure(FailureReason.PROGRAM_MISSING, str(error))
        except CharonError as error:
            return error.failure or self._explained() or self._failure(FailureReason.OTHER, str(error))
        except LinkError as error:
            return self._failure(_of_link(error), str(error))
        except OrdersLostError as error:
            return self._failure(FailureReason.CLIENT_DIED, str(error))
        # Only now, when charon has ended, has all been heard that it had to say.
        return end or self._explained() or self._unexplained()

    async def _live(self, daemon: Charon) -> Failure | None:
        """Connect, and watch; None where charon's lines tell the reason of the end."""
        orders = daemon.orders
        try:
            async with asyncio.timeout(_ANSWER):
                if_id_ = if_id(self._spec.name) if self._encryption is Encryption.KERNEL else None
                for order in connection.orders(self._vpn, self._server, self._credentials, if_id=if_id_):
                    await orders.give(order.command, order.message)
        except OrderRefusedError as error:
            return self._failure(FailureReason.CONFIGURATION, f"charon does not take what it is told: {error}")
        try:
            async with asyncio.timeout(_CONNECT):
                await orders.give_streamed("initiate", "control-log", connection.initiation(_CONNECT))
        except (OrderRefusedError, TimeoutError):
            return None
        stands = await _look(orders)
        if not stands.carries:
            return None
        if not stands.addresses:
            return self._failure(FailureReason.OTHER, "the server gave no address")
        await self._dress(daemon, stands.addresses)
        self._attempt.connected(stands.addresses)
        await self._watch(orders, stands)
        return None

    async def _watch(self, orders: Orders, stands: Standing) -> None:
        meter = Meter()
        while stands.carries:
            passed = meter.read(stands)
            self._attempt.counted(passed.transmitted, passed.received)
            self._spoke.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._spoke.wait()
            stands = await _look(orders)

    async def _dress(self, daemon: Charon, addresses: tuple[IPAddress, ...]) -> None:
        """Have the device under the tunnel's name, with its addresses and MTU. Raises LinkError.

        Two servers may give out the same address. charon then finds that some device has it, and leaves it there: so
        the device is known by its name and not by the address, and gets it here at the latest.
        """
        links, name = self._tools.links, self._spec.interface
        if daemon.device is not None and daemon.device != name:
            made: Link | None = await links.find(daemon.device)
            if made is None:
                raise LinkError(f"charon's device {daemon.device} is gone")
            await links.rename(made.index, name)
        await links.configure(name, addresses=[ip_interface(address) for address in addresses], mtu=self._vpn.mtu)

    async def _until_death(self, daemon: Charon, life: Coroutine[None, None, Failure | None]) -> Failure | None:
        """What comes of `life`, unless charon dies in the middle of it."""
        async with asyncio.TaskGroup() as group:
            living = group.create_task(_or_error(life))
            death = group.create_task(daemon.process.wait())
            await asyncio.wait({living, death}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and isinstance(living.result(), OrdersLostError):
                await asyncio.wait({death}, timeout=_DYING)
            died = death.done()
            living.cancel()
            death.cancel()
        if died:
            return self._failure(FailureReason.CLIENT_DIED, f"charon {_ending(death.result())}")
        result = living.result()
        if isinstance(result, LinkError | OrdersLostError):
            raise result
        return result

    # ---------------------------------------------------------------- what charon says

    def _hear(self, line: str) -> None:
        said = speech.heard(line)
        level = said.level
        if level is not None:
            self._heard.append((asyncio.get_running_loop().time(), said))
            self._attempt.said(level, said.component, said.text)
            self._spoke.set()

    def kernel_lacks_esp(self) -> bool:
        """Whether it failed for that reason."""
        return any(speech.NO_KERNEL_ESP.match(said.text) for said in self._lately())

    def _lately(self) -> list[Said]:
        """What may tell of the end: not of troubles that the connection got over long ago."""
        now = asyncio.get_running_loop().time()
        return [said for at, said in self._heard if now - at < _LATELY]

    # ---------------------------------------------------------------- why it ended

    def _explained(self) -> Failure | None:
        explanation = reasons.explain([said.text for said in self._lately()], host=str(self._server))
        if explanation is None:
            return None
        reason, detail = explanation
        if reason is FailureReason.CERTIFICATE_NOT_TRUSTED and (expired := self._own_expiry()) is not None:
            return self._failure(FailureReason.CERTIFICATE_EXPIRED, f"the client's certificate {expired}; {detail}")
        return self._failure(reason, detail)

    def _unexplained(self) -> Failure:
        """Nothing tells it: say what came last. A name is resolved before charon begins to speak with anybody."""
        texts = [said.text for said in self._lately() if said.level is not LineLevel.DEBUG]
        if not any(text.startswith("initiating IKE_SA") for text in texts):
            why = f"{self._server.host} could not be resolved within {_CONNECT:g} s"
            return self._failure(FailureReason.UNREACHABLE, why)
        return self._failure(
            FailureReason.TIMED_OUT, f"no connection within {_CONNECT:g} s; charon's last: {texts[-1]}"
        )

    def _own_expiry(self) -> str | None:
        if self._credentials.certificate is None:
            return None
        own = x509.load_der_x509_certificate(self._credentials.certificate)
        return certificates.untimely(own, datetime.now(UTC))

    def _failure(self, reason: FailureReason, detail: str) -> Failure:
        return Failure(reason=reason, detail=detail, server=self._server)


def if_id(tunnel: str) -> int:
    """The number that binds a tunnel's policies to its XFRM interface: always the same one, and never 0."""
    return zlib.crc32(tunnel.encode()) or 1


async def _look(orders: Orders) -> Standing:
    async with asyncio.timeout(_ANSWER):
        return standing.read(await orders.give_streamed("list-sas", "list-sa", {"ike": connection.IKE}))


async def _or_error(
    life: Coroutine[None, None, Failure | None],
) -> Failure | LinkError | OrdersLostError | None:
    """What comes of `life`: errors that are to be expected are values, as a group of tasks would wrap them."""
    try:
        return await life
    except (LinkError, OrdersLostError) as error:
        return error
    except TimeoutError:
        return OrdersLostError(f"charon has not answered for {_ANSWER:g} s")


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _of_link(error: LinkError) -> FailureReason:
    return FailureReason.NOT_PERMITTED if error.number in {errno.EPERM, errno.EACCES} else FailureReason.OTHER
