"""One conversation with an OpenVPN process: what it is told, what comes of what it says, and when it is over.

Its lines come over its output, its questions and where it stands over the management interface.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, assert_never

from gateway.errors import LinkError
from gateway.model import IPAddress, LineLevel, OpenVpnSpec
from gateway.tunnels.client import Attempt
from gateway.tunnels.flood import Flood
from gateway.tunnels.openvpn import management
from gateway.tunnels.openvpn.management import Asked, Counts, Held, Message, Refused, Sized, Standing
from gateway.tunnels.openvpn.meeting import Meeting
from gateway.tunnels.openvpn.reasons import Diagnosis
from gateway.tunnels.openvpn.speech import said

_COMPONENT: Final = "openvpn"
_GATEWAY: Final = "gateway"  # what says a line that is not OpenVPN's
_AT_ONCE: Final = 200  # lines; a connection says 60
_A_SECOND: Final = 20.0  # lines, later

Settle = Callable[[tuple[IPAddress, ...], int | None], Awaitable[None]]
"""Have the device as it should be with these addresses, and the MTU that was pushed. Raises LinkError."""


class Conversation:
    """With one process. `up` is set when it is connected, `over` when it should be ended: it would go on in vain.

    `refusal`: why its device cannot have what the server gives.
    """

    def __init__(
        self, spec: OpenVpnSpec, attempt: Attempt, settle: Settle, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._spec = spec
        self._attempt = attempt
        self._settle = settle
        self._clock = clock
        self._begun = False
        self._flood = Flood(at_once=_AT_ONCE, a_second=_A_SECOND)
        self._latest = ""
        self._again = 0  # how often the latest line came once more
        self._mtu: int | None = None  # pushed by the server
        self.refusal: LinkError | None = None
        self.diagnosis = Diagnosis(spec)
        self.over = asyncio.Event()
        self.up = asyncio.Event()

    def hear(self, line: str) -> None:
        """A line of its output.

        One that comes over and over costs next to nothing: who has lost its device says so as fast as it can, just when
        a failover is due.
        """
        heard = said(line)
        if heard.text == self._latest:
            self._again += 1
            return
        self.hush()
        self._latest = heard.text
        left_out = self._flood.passes(self._clock())
        if left_out is not None:
            if left_out > 0:
                self._attempt.said(LineLevel.WARNING, _GATEWAY, f"{left_out} lines before this are left out: too many")
            self._attempt.said(heard.level, _COMPONENT, heard.text)
        self.diagnosis.hear(heard.text)
        self._look()

    def hush(self) -> None:
        """Its latest line does not come again: say how often it did."""
        if self._again > 0:
            times = "once" if self._again == 1 else f"{self._again} times"
            self._attempt.said(LineLevel.INFO, _GATEWAY, f"the line before this came {times} more")
            self._again = 0

    def late(self) -> None:
        """It is not connected, and had time enough."""
        self.diagnosis.late()
        self._look()

    async def hold(self, meeting: Meeting) -> None:
        """Talk with it until it goes."""
        async for line in meeting.lines():
            message = management.message(line)
            if message is not None:
                meeting.order(*await self._take(message))
                self._look()

    def _look(self) -> None:
        if self.diagnosis.is_over:
            self.over.set()

    async def _take(self, message: Message) -> tuple[str, ...]:
        """What to order, now that it has said that."""
        match message:
            case Held():
                return self._held()
            case Counts():
                self._attempt.counted(message.transmitted, message.received)
            case Asked():
                return self._asked(message)
            case Refused():
                self.diagnosis.refused(message.why)
            case Sized():
                self._mtu = message.mtu
            case Standing():
                await self._stands(message)
            case _:
                assert_never(message)
        return ()

    def _held(self) -> tuple[str, ...]:
        if self._begun:
            self.over.set()  # it would begin anew: whether, when and where is for `life` to say
            return ()
        self._begun = True
        return management.BEGIN

    def _asked(self, question: Asked) -> tuple[str, ...]:
        account, password = self._spec.username, self._spec.password
        if question.is_login and account is not None and password is not None:
            return management.login(account, password.reveal())
        self.diagnosis.unanswered(question)
        return ()

    async def _stands(self, standing: Standing) -> None:
        match standing.name, standing.detail:
            case "CONNECTED", "SUCCESS":
                await self._connected(standing.addresses)
            case "CONNECTED", _:
                self.diagnosis.hear("Options error: the device could not be set up, see the lines before")
                self.over.set()
            case "EXITING", detail if self.diagnosis.reason is None:
                self.diagnosis.hear(f"[soft,{detail}]")

    async def _connected(self, addresses: tuple[IPAddress, ...]) -> None:
        try:
            await self._settle(addresses, self._mtu)
        except LinkError as error:
            self.refusal = error
            self.over.set()
            return
        self.diagnosis.connected()
        self.up.set()
        self._attempt.connected(addresses)
