"""A drill: one tunnel taken out on purpose, for a while, to see that its forwards recover and how fast.

The sessions on it meet what `on_tunnel_down` says, new ones go where they would go in earnest. Health is not touched:
no flap is counted, and at the end the tunnel is back at once. A forward whose clients do not connect meanwhile is
dialled by the gateway itself, through the tunnel that took over. If that one fails, the drill is over early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

import structlog

from gateway.control.controller import Controller
from gateway.errors import RefusedError
from gateway.model import NO_CHOICE, DrilledForward, DrillReport, Endpoint, ForwardSpec, Health
from gateway.observe.events import Event
from gateway.policy.evidence import Connected, Drilled
from gateway.policy.state import State

log = structlog.get_logger()

Dial = Callable[[str, Endpoint], Awaitable[bool]]
"""Whether a target answers through a tunnel; asks now."""

_CHECK_SECONDS: Final = 0.1
_DIALS_AT_ONCE: Final = 16
_GRACE_SECONDS: Final = 1.0  # clients have so long to show the recovery before the gateway dials itself


class Drill:
    """One drill of one tunnel."""

    def __init__(self, controller: Controller, dial: Dial, tunnel: str, *, by: str) -> None:
        self._controller = controller
        self._dial = dial
        self._tunnel = tunnel
        self._by = by
        self._recovered: dict[str, DrilledForward] = {}

    async def run(self, seconds: float) -> DrillReport:
        """Take the tunnel out for `seconds` and restore it. Raises RefusedError, and then nothing was changed."""
        state = self._controller.state()
        affected = self._affected(state)
        start = monotonic()
        forget = self._controller.on_connected(lambda connected: self._seen(connected, start))
        early: str | None = None
        try:
            outcome = await self._controller.tell(Drilled(tunnel=self._tunnel, until=start + seconds, by=self._by))
            log.warning(Event.TUNNEL_DRILLED, tunnel=self._tunnel, seconds=seconds, by=self._by)
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(self._ask(affected, seconds), name=f"drill {self._tunnel}")
                early = await self._watch(affected, start + seconds)
                asking.cancel()
        finally:
            forget()
            self._controller.post(Drilled(tunnel=self._tunnel, until=None))
            log.warning(Event.TUNNEL_RESTORED, tunnel=self._tunnel, by=self._by, early=early)
        await self._controller.tell(Drilled(tunnel=self._tunnel, until=None))
        view = next(it for it in self._controller.view().tunnels if it.name == self._tunnel)
        return DrillReport(
            tunnel=self._tunnel,
            seconds=monotonic() - start,
            sessions_reset=outcome.aborted.get(self._tunnel, 0),
            restored=view.drill_until is None and view.health is Health.UP,
            forwards=tuple(
                self._recovered.get(it.name)
                or DrilledForward(forward=it.name, to_tunnel=None, seconds=None, probed=False)
                for it in affected
            ),
        )

    def _affected(self, state: State) -> tuple[ForwardSpec, ...]:
        """The forwards whose new sessions take the tunnel now."""
        tunnel = state.tunnels[self._tunnel]
        if not tunnel.standing.is_wanted or tunnel.health.health is not Health.UP:
            health = tunnel.health.health.value
            raise RefusedError(f'tunnel "{self._tunnel}" takes no sessions ({health}): there is nothing to drill')
        stranded = [forward.name for forward in state.forwards if not self._is_safe(state, forward)]
        if stranded:
            named = ", ".join(stranded[:5]) + (f" and {len(stranded) - 5} more" if len(stranded) > 5 else "")  # noqa: PLR2004
            raise RefusedError(f'without tunnel "{self._tunnel}" nothing that is up would be left for: {named}')
        choices = state.table.choices
        return tuple(
            forward
            for forward in state.forwards
            if self._tunnel in choices.get((forward.name, forward.ports[0].target), NO_CHOICE).tunnels[:1]
        )

    def _is_safe(self, state: State, forward: ForwardSpec) -> bool:
        """Whether every target of `forward` that the tunnel serves is also served by another one."""
        choices = state.table.choices
        for ports in forward.ports:
            choice = choices.get((forward.name, ports.target), NO_CHOICE)
            if self._tunnel in choice.tunnels and (choice.last_resort or len(choice.tunnels) == 1):
                return False
        return True

    async def _watch(self, affected: tuple[ForwardSpec, ...], until: float) -> str | None:
        """Wait until the end; or say what ended the drill before."""
        while monotonic() < until:
            await asyncio.sleep(min(_CHECK_SECONDS, max(0.0, until - monotonic())))
            choices = self._controller.state().table.choices
            for forward in affected:
                choice = choices.get((forward.name, forward.ports[0].target), NO_CHOICE)
                if not choice.tunnels or choice.last_resort:
                    return f'forward "{forward.name}" had no other tunnel any more'
        return None

    async def _ask(self, affected: tuple[ForwardSpec, ...], seconds: float) -> None:
        """Dial for the forwards that no client came to."""
        await asyncio.sleep(min(_GRACE_SECONDS, seconds / 2))
        slots = asyncio.Semaphore(_DIALS_AT_ONCE)

        async def ask(forward: ForwardSpec) -> None:
            target = forward.ports[0].target
            async with slots:
                choice = self._controller.state().table.choices.get((forward.name, target), NO_CHOICE)
                if forward.name in self._recovered or not choice.tunnels:
                    return
                asked = monotonic()
                if await self._dial(choice.tunnels[0], target) and forward.name not in self._recovered:
                    self._recovered[forward.name] = DrilledForward(
                        forward=forward.name, to_tunnel=choice.tunnels[0], seconds=monotonic() - asked, probed=True
                    )

        async with asyncio.TaskGroup() as group:
            for forward in affected:
                if forward.name not in self._recovered:
                    group.create_task(ask(forward), name=f"drill {self._tunnel} for {forward.name}")

    def _seen(self, connected: Connected, start: float) -> None:
        """A client is the better witness: it goes before what the gateway dialled."""
        known = self._recovered.get(connected.forward)
        if connected.at >= start and (known is None or known.probed):
            self._recovered[connected.forward] = DrilledForward(
                forward=connected.forward,
                to_tunnel=connected.tunnel,
                seconds=connected.at - start,
                probed=False,
            )
