"""One connection with one server, from the attempt to its end, with a charon of its own.

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
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from ipaddress import ip_interface
from typing import Final

from cryptography import x509

from gateway.config import certificates
from gateway.errors import LinkError, ProgramMissingError
from gateway.model import Endpoint, Failure, FailureReason, IPAddress, IpsecSpec, LineLevel, TunnelSpec
from gateway.tunnels import path_filter
from gateway.tunnels.client import Attempt
from gateway.tunnels.ipsec import configuration, reasons, speech, standing
from gateway.tunnels.ipsec.charon import Charon, CharonError, charon
from gateway.tunnels.ipsec.credentials import Credentials
from gateway.tunnels.ipsec.orders import OrderRefusedError, Orders, OrdersLostError
from gateway.tunnels.ipsec.settings import Encryption, Settings
from gateway.tunnels.ipsec.speech import Said
from gateway.tunnels.ipsec.standing import Meter, Standing
from gateway.tunnels.tools import Tools

_CONNECT: Final = 15.0  # seconds for an attempt; silence is known after 6.2
_ANSWER: Final = 5.0  # seconds for any other order
_LOOK: Final = 1.0  # seconds between two looks at a connection
_LOOKS: Final = 5
_GAP: Final = 0.1  # seconds between as many looks, in which keys that are being renewed are in place again
_DYING: Final = 1.0  # seconds from charon's last answer to its end, where it has died
_LATELY: Final = 30.0  # seconds before the end, in which its reason was said: an attempt takes no longer
_MEMORY: Final = 1000  # lines


class _Stage(Enum):
    """How far it has come."""

    CONNECTING = auto()
    LATE = auto()  # not connected in time
    CONNECTED = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """What is the same for all connections of a tunnel. `vpn` is `spec.vpn`."""

    spec: TunnelSpec
    vpn: IpsecSpec
    tools: Tools
    encryption: Encryption

    @property
    def settings(self) -> Settings:
        """Charon's."""
        return Settings(
            socket=self.tools.runtime / f"ipsec-{self.spec.name}.vici",
            auth=self.vpn.auth,
            encryption=self.encryption,
            device=self.spec.interface if self.encryption is Encryption.KERNEL else None,
        )

    @property
    def if_id(self) -> int | None:
        """The number of the XFRM interface, where there is one."""
        return if_id(self.spec.name) if self.encryption is Encryption.KERNEL else None


class Connection:
    """To be run once."""

    def __init__(self, place: Place, server: Endpoint, credentials: Credentials, attempt: Attempt) -> None:
        self._place = place
        self._server = server
        self._credentials = credentials
        self._attempt = attempt
        self._stage = _Stage.CONNECTING
        self._heard: deque[tuple[float, Said]] = deque(maxlen=_MEMORY)
        self._spoke = asyncio.Event()

    async def run(self) -> Failure:
        """See `client.Client.run`. Raises LinkError."""
        end: Failure | None = None
        try:
            async with charon(self._place.settings, self._hear) as daemon:
                end = await self._until_death(daemon, self._live(daemon))
        except ProgramMissingError as error:
            return self._failure(FailureReason.PROGRAM_MISSING, str(error))
        except CharonError as error:
            return error.failure or self._explained() or self._failure(FailureReason.OTHER, str(error))
        except OrdersLostError as error:
            return self._failure(FailureReason.CLIENT_DIED, str(error))
        # Only now, when charon has ended, has all been heard that it had to say.
        return end or self._explained() or self._unexplained()

    async def _live(self, daemon: Charon) -> Failure | None:
        """Connect, and watch; None where charon's lines tell the reason of the end."""
        orders, tools = daemon.orders, self._place.tools
        # ESP in user space begins when charon's device has the address, which nobody knows before: the kernel is to
        # answer nothing that comes by it until that address has its rule.
        usual = None if daemon.device is None else await tools.links.filter_paths(daemon.device, path_filter.STRICT)
        try:
            async with asyncio.timeout(_ANSWER):
                await self._tell(orders)
        except OrderRefusedError as error:
            return self._failure(FailureReason.CONFIGURATION, f"charon does not take what it is told: {error}")
        if not await self._connect(orders):
            return None
        stands = await _look(orders)
        if not stands.carries:
            return None
        if not stands.addresses:
            return self._failure(FailureReason.OTHER, "the server gave no address")
        await self._dress(daemon, stands.addresses)
        await tools.roads.expect(self._place.spec.name, stands.addresses)
        if usual is not None:
            await tools.links.filter_paths(self._place.spec.interface, usual)
        self._stage = _Stage.CONNECTED
        self._attempt.connected(stands.addresses)
        await self._watch(orders, stands)
        return None

    async def _connect(self, orders: Orders) -> bool:
        """Whether it is connected. charon keeps the deadline; ours is for a charon that does not."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(_CONNECT + _ANSWER):
                await orders.give_streamed("initiate", "control-log", configuration.initiation(_CONNECT))
        except (OrderRefusedError, TimeoutError):
            if loop.time() - began >= _CONNECT:
                self._stage = _Stage.LATE
            return False
        return True

    async def _tell(self, orders: Orders) -> None:
        place = self._place
        for order in configuration.orders(place.vpn, self._server, self._credentials, if_id=place.if_id):
            await orders.give(order.command, order.message)

    async def _watch(self, orders: Orders, stands: Standing) -> None:
        meter = Meter()
        while stands.carries:
            passed = meter.read(stands)
            self._attempt.counted(passed.transmitted, passed.received)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._spoke.wait()
            self._spoke.clear()  # before the look: what is said during it may be news
            stands = await _look(orders)

    async def _dress(self, daemon: Charon, addresses: tuple[IPAddress, ...]) -> None:
        """Have the device under the tunnel's name, with its addresses and MTU. Raises LinkError.

        Two servers may give out the same address. charon then finds that some device has it, and leaves it there: so
        the device is known by its name and not by the address, and gets it here at the latest.
        """
        links, name = self._place.tools.links, self._place.spec.interface
        if daemon.device is not None and daemon.device != name:
            made = await links.find(daemon.device)
            if made is None:
                raise LinkError(f"charon's device {daemon.device} is gone")
            await links.rename(made.index, name)
        await links.configure(name, addresses=[ip_interface(address) for address in addresses], mtu=self._place.vpn.mtu)

    async def _until_death(self, daemon: Charon, life: Coroutine[None, None, Failure | None]) -> Failure | None:
        """What comes of `life`, unless charon dies in the middle of it."""
        async with asyncio.TaskGroup() as group:
            living = group.create_task(_or_error(life))
            death = group.create_task(daemon.process.wait())
            await asyncio.wait({living, death}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and isinstance(living.result(), LinkError | OrdersLostError):
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
        texts = [said.text for said in self._lately()]
        explanation = reasons.explain(texts, host=str(self._server), own_expiry=self._own_expiry())
        return None if explanation is None else self._failure(*explanation)

    def _unexplained(self) -> Failure:
        """Nothing tells it: say what came last. A name is resolved before charon begins to speak with anybody."""
        texts = [said.text for said in self._lately() if said.level is not LineLevel.DEBUG]
        last = f"charon's last words: {texts[-1].strip()}" if texts else "charon says nothing about it"
        match self._stage:
            case _Stage.CONNECTING:
                return self._failure(FailureReason.OTHER, last)
            case _Stage.LATE if not any(text.startswith("initiating IKE_SA") for text in texts):
                why = f"the name {self._server.host} cannot be resolved within {_CONNECT:g} s"
                return self._failure(FailureReason.UNREACHABLE, why)
            case _Stage.LATE:
                return self._failure(FailureReason.TIMED_OUT, f"not connected within {_CONNECT:g} s; {last}")
            case _Stage.CONNECTED:
                return self._failure(FailureReason.OTHER, f"the connection is gone; {last}")

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
    """Where the connection stands, once it stands still."""
    for _ in range(_LOOKS):
        async with asyncio.timeout(_ANSWER):
            answers = await orders.give_streamed("list-sas", "list-sa", {"ike": configuration.IKE})
        stands = standing.read(answers)
        if stands.carries or not stands.exists:
            break
        await asyncio.sleep(_GAP)
    return stands


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


def link_failure(error: LinkError, server: Endpoint) -> Failure:
    """What the kernel refuses, as a failure."""
    not_permitted = error.number in {errno.EPERM, errno.EACCES}
    reason = FailureReason.NOT_PERMITTED if not_permitted else FailureReason.OTHER
    return Failure(reason=reason, detail=str(error), server=server)
