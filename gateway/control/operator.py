"""The operator's hand: what `gateway enable`, `disable`, `drain-tunnel` and `failback` come to.

Intent is evidence like any other: it goes through the controller's queue, and is answered when it has been acted upon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from difflib import get_close_matches
from time import monotonic
from typing import Final

import structlog

from gateway.control.controller import Controller
from gateway.control.drill import Dial, Drill
from gateway.errors import RefusedError, UnknownNameError
from gateway.model import AdminState, DrillReport, ForwardSpec, TunnelView
from gateway.observe.events import Event
from gateway.policy.evidence import Drained, Intent, ReturnNow
from gateway.policy.state import State

log = structlog.get_logger()

_DRAIN_SECONDS: Final = 25.0
_DRAIN_CHECK_SECONDS: Final = 0.5
_ITS_DRAIN: Final = "its drain"


class Operator:
    """Carries out what operators ask for. Belongs to one event loop; `by` is who asked, for the log."""

    def __init__(self, controller: Controller, *, sessions_on: Callable[[str], int], dial: Dial) -> None:
        """`sessions_on(tunnel)` counts its sessions; `dial` asks a target through a tunnel."""
        self._controller = controller
        self._sessions_on = sessions_on
        self._dial = dial
        self._drilled: str | None = None
        self._draining = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled: end the drains whose last session is gone, before their time."""
        while True:
            await self._draining.wait()
            waiting = [it.name for it in self._controller.view().tunnels if it.admin is AdminState.DRAINING]
            for name in waiting:
                if self._sessions_on(name) == 0:
                    await self._controller.tell(Drained(tunnel=name, by=_ITS_DRAIN))
                    admin = self._controller.state().tunnels[name].admin
                    log.info(Event.TUNNEL_ADMIN, tunnel=name, admin=admin.value, by=_ITS_DRAIN)
            if not waiting:
                self._draining.clear()
            await asyncio.sleep(_DRAIN_CHECK_SECONDS)

    async def set_admin(self, tunnel: str, admin: AdminState, *, timeout: float | None, by: str) -> TunnelView:  # noqa: ASYNC109
        """Want `tunnel` to be `admin`; what it is then.

        DISABLED resets its sessions at once. DRAINING lets them go on until there are none, at most `timeout` seconds
        (None: 25 s), and is DISABLED then. Raises UnknownNameError.
        """
        self._known_tunnel(tunnel)
        until = None
        if admin is AdminState.DRAINING:
            timeout = _DRAIN_SECONDS if timeout is None else timeout
            until = monotonic() + timeout
        await self._controller.tell(Intent(tunnel=tunnel, admin=admin, until=until, by=by))
        log.warning(Event.TUNNEL_ADMIN, tunnel=tunnel, admin=admin.value, by=by, timeout=timeout)
        if until is not None:
            self._draining.set()
        return self._known_tunnel(tunnel)

    async def failback(self, name: str, *, by: str) -> tuple[str, ...]:
        """End the wait for `name`, a tunnel or a forward; the forwards that have moved. Raises UnknownNameError."""
        state = self._controller.state()
        forwards = {forward.name for forward in state.forwards}
        if name not in forwards and name not in state.tunnels:
            raise UnknownNameError(_unknown("tunnel or forward", name, [*state.tunnels, *forwards]))
        waiting = {forward.name for forward in state.forwards if _waits_for(name, forward, state)}
        wanted = ReturnNow(
            tunnels=frozenset({name} & state.tunnels.keys()),
            forwards=frozenset(waiting | ({name} & forwards)),
            by=by,
        )
        outcome = await self._controller.tell(wanted)
        moved = tuple(it.forward for it in outcome.decision.returns)
        log.warning(Event.FAILBACK_ASKED, name=name, by=by, forwards=len(moved))
        return moved

    async def drill(self, tunnel: str, *, seconds: float, by: str) -> DrillReport:
        """Take `tunnel` out for `seconds`, see who recovers and how fast, and restore it, also when cancelled.

        Raises UnknownNameError, and RefusedError when a forward would be left without a tunnel, when the tunnel is not
        in use anyway, or while another drill runs.
        """
        self._known_tunnel(tunnel)
        if self._drilled is not None:
            raise RefusedError(f'tunnel "{self._drilled}" is being drilled: wait until that is over')
        self._drilled = tunnel
        try:
            return await Drill(self._controller, self._dial, tunnel, by=by).run(seconds)
        finally:
            self._drilled = None

    def _known_tunnel(self, name: str) -> TunnelView:
        tunnels = self._controller.view().tunnels
        found = next((it for it in tunnels if it.name == name), None)
        if found is None:
            raise UnknownNameError(_unknown("tunnel", name, [it.name for it in tunnels]))
        return found


def _waits_for(tunnel: str, forward: ForwardSpec, state: State) -> bool:
    """Whether `forward`, with manual failback, is on a tunnel that comes after `tunnel` in its order."""
    stays = state.sticky.get(forward.name)
    if stays is None or tunnel not in forward.tunnels:
        return False
    return forward.tunnels.index(tunnel) < forward.tunnels.index(stays)


def _unknown(what: str, name: str, known: list[str]) -> str:
    """The text names those that there are, the closest first."""
    close = get_close_matches(name, known, n=3)
    named = [*close, *(it for it in known if it not in close)][:10]
    more = f", and {len(known) - len(named)} more" if len(known) > len(named) else ""
    return f'there is no {what} "{name}": there are {", ".join(named)}{more}'
