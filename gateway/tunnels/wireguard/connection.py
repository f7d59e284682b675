"""One connection with one peer: shake hands, look at it each second, until it is lost or what makes the device dies.

The peer has something to be sent until it has shaken hands: a keepalive. So it does at once. A tunnel that wants no
keepalive has it taken back then, and may be silent for ever.

While handshakes are not answered the server's name is asked for again, beside everything else: it may have moved.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from gateway.model import FailureReason, IPAddress, LineLevel
from gateway.observe.throttle import Throttle
from gateway.tunnels.client import Attempt
from gateway.tunnels.resolving import following
from gateway.tunnels.wireguard import vitals
from gateway.tunnels.wireguard.device import Address, Device, DeviceError, Peering
from gateway.tunnels.wireguard.speech import Said
from gateway.tunnels.wireguard.vitals import Vitals

_FIRST_HANDSHAKE: Final = 10.0  # seconds; it is sent again after five
_LATE: Final = 4.5  # seconds without it: the name is asked for just before it is sent again
_LOOK_FOR_FIRST: Final = 0.05  # seconds between two looks at a peer that has not shaken hands yet
_LOOK: Final = 1.0  # and at one that has
_MOVE: Final = 5.0  # seconds between two questions for the name
_DYING: Final = 1.0  # seconds from the last answer of a process to its end, where it has died
_KEEPALIVE: Final = 25  # seconds; any number has the peer shake hands at once
_SAME_LINE: Final = 10.0  # seconds in which lines that differ in addresses only are one
_ADDRESS: Final = re.compile(r"\[?[0-9a-f]*[.:][0-9a-f.:]+\]?(:\d+)?|@ .*")
_COMPONENT: Final = "wireguard"

Whereabouts = Callable[[], Awaitable[Sequence[Address]]]
"""Where the server may be now. Raises DeviceError."""


class Connection:
    """Over a `device` that is open and up. `own`: the tunnel's addresses."""

    def __init__(
        self,
        *,
        device: Device,
        peering: Peering,
        own: tuple[IPAddress, ...],
        whereabouts: Whereabouts,
        attempt: Attempt,
    ) -> None:
        self._device = device
        self._peering = peering
        self._own = own
        self._whereabouts = whereabouts
        self._attempt = attempt
        self._address = peering.address
        self._vitals: Vitals | None = None
        self._not_sent: str | None = None
        self._struggling = asyncio.Event()
        self._throttle = Throttle(_SAME_LINE)

    @property
    def in_vain(self) -> Address | None:
        """Where the server was tried last; None once it has answered."""
        return self._address if self._vitals is None else None

    async def run(self) -> DeviceError:
        """Why it ended. Raises LinkError."""
        async with asyncio.TaskGroup() as group:
            living = group.create_task(_outcome(self._live()))
            death = group.create_task(self._device.ended())
            searching = group.create_task(self._follow())
            await asyncio.wait({living, death}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and living.result().reason is FailureReason.CLIENT_DIED:
                await asyncio.wait({death}, timeout=_DYING)
            died = death.done()
            for each in (living, death, searching):
                each.cancel()
        return DeviceError(FailureReason.CLIENT_DIED, death.result()) if died else living.result()

    def hear(self, said: Said) -> None:
        """A line of what makes the device."""
        now = _now()
        if said.initiates and self._vitals is not None:
            self._vitals = vitals.tried(self._vitals)
        self._not_sent = said.not_sent or self._not_sent
        if said.level is None:
            return
        times = self._throttle.passes(_ADDRESS.sub("", said.text), now)
        if times is not None:
            text = said.text if times == 1 else f"{said.text} ({times} times)"
            self._attempt.said(said.level, _COMPONENT, text)

    # ---------------------------------------------------------------- its life

    async def _live(self) -> DeviceError:
        peering = self._peering
        await self._device.begin(replace(peering, keepalive=peering.keepalive or _KEEPALIVE))
        signs = await self._first_handshake()
        if signs is None:
            return self._silence()
        if not peering.keepalive:
            await self._device.keep_alive(peering.public_key, 0)
        self._attempt.connected(self._own)
        return DeviceError(FailureReason.TIMED_OUT, await self._watch(signs))

    async def _first_handshake(self) -> Vitals | None:
        """The peer as it is after the first handshake; None when there was none."""
        began = _now()
        while not (reading := await self._device.read()).handshake:
            passed = _now() - began
            if passed >= _FIRST_HANDSHAKE:
                return None
            if passed >= _LATE:
                self._struggling.set()
            await asyncio.sleep(_LOOK_FOR_FIRST)
        return vitals.met(reading, _now())

    async def _watch(self, signs: Vitals) -> str:
        """Look at the peer until it is lost; how that shows."""
        self._vitals = signs
        while (why := vitals.lost(self._vitals, _now())) is None:
            self._attempt.counted(self._vitals.reading.transmitted, self._vitals.reading.received)
            if vitals.struggles(self._vitals, _now()):
                self._struggling.set()
            await asyncio.sleep(_LOOK)
            reading = await self._device.read()
            self._vitals = vitals.looked(self._vitals, reading, _now(), keepalive=self._peering.keepalive)
        return why

    def _silence(self) -> DeviceError:
        if self._not_sent is not None:
            text = f"nothing can be sent to {self._address}: {self._not_sent}"
            return DeviceError(FailureReason.UNREACHABLE, text)
        return DeviceError(
            FailureReason.TIMED_OUT,
            f"no handshake with {self._address} within {_FIRST_HANDSHAKE:g} s: nobody is there, a firewall is between, "
            "or the keys are not those that the server knows: WireGuard is silent to strangers",
        )

    # ---------------------------------------------------------------- where the peer is

    async def _follow(self) -> None:
        """Whenever handshakes are not answered: look where the server is now."""
        while True:
            self._struggling.clear()
            await self._struggling.wait()
            await self._move()
            await asyncio.sleep(_MOVE)

    async def _move(self) -> None:
        try:
            address = following(self._address, await self._whereabouts())
        except DeviceError as error:
            self._attempt.said(LineLevel.WARNING, _COMPONENT, str(error))
            return
        if address != self._address:
            self._attempt.said(LineLevel.INFO, _COMPONENT, f"the server is tried at {address}, not {self._address}")
        self._address = address
        # Said also where nothing has changed: a peer may have taken the device to another address.
        with suppress(DeviceError):  # the next look at it ends the same way, and counts
            await self._device.move(self._peering.public_key, address)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _outcome(life: Coroutine[None, None, DeviceError]) -> DeviceError:
    """What comes of `life`: an error that is to be expected is a value, as a group of tasks would wrap it."""
    try:
        return await life
    except DeviceError as error:
        return error
