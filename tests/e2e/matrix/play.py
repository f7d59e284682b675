"""One fault, played: a gateway with default settings, sessions and a client's loop through it, the fault, its end."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.failover import active, at, forward, sealed_gateway, zone
from tests.e2e.harness import Event, GatewayProcess
from tests.e2e.load import BULK_PORT, bulk, churn, serve_bulk
from tests.e2e.matrix.cases import Case, Load, Sort
from tests.e2e.matrix.results import Count, Round
from tests.e2e.reading import Outcome, Reading, answered, reading
from tests.e2e.talking import Language, Talks, talking
from tests.lab.corp import ECHO_PORT
from tests.lab.errors import NotReadyError
from tests.lab.lab import Lab
from tests.lab.topology import Site

_HELLO, _ECHO, _STEADY, _BULK = 33000, 33001, 33002, 33003
_SESSIONS = 10  # of each kind
_FALL = 10.0  # seconds within which a fault must have shown; judged later
_RETURN = 90.0  # seconds for a tunnel to be UP again: a VPN client may take its time to notice, and to reconnect
_SURVIVED = 30.0  # seconds for a session to be answered again: TCP's own back-off
_A, _B = zone(Site.A), zone(Site.B)


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Long-lived ones: to the page and to the echo through the active tunnel, to the echo through the standby."""

    page: Talks
    echo: Talks
    steady: Talks

    async def survived(self, since: float) -> None:
        """Return when each that has not ended was answered after `since`."""
        for each in (self.page, self.echo, self.steady):
            await each.heard(since=since, within=_SURVIVED)


async def play(lab: Lab, directory: Path, case: Case, *, lasts: float | None = None) -> Round:
    """Inject the fault, watch, heal, and say what was seen. `lasts`: seconds, if not those of the case."""
    watched = case.lasts if lasts is None else lasts
    fault = None if case.fault is None else case.fault(lab)
    async with _gateway(lab, directory, case) as gateway, _sessions(lab) as sessions:
        with _loaded(lab, case):
            async with reading(lab.cloud, _HELLO) as readings:
                await answered(readings, lab.vpn(Site.A).address)
                if case.load is not Load.NONE:
                    await gateway.metric("gateway_bytes_total", lambda value: value > 0, forward="bulk")
                before, began, mark = await _moved_bytes(gateway), time.time(), len(gateway.events)
                if fault is not None:
                    await asyncio.to_thread(fault.inject)
                decided = await _decision(gateway, case, mark)
                if case.sort.moves:
                    with suppress(NotReadyError):  # judged by the caller
                        await answered(readings, lab.vpn(Site.B).address)
                await _look_on(gateway, watched)
                rate = (await _moved_bytes(gateway) - before) * 8 / 1e6 / (time.time() - began)
                healed = time.time()
                if fault is not None:
                    fault.heal()
                back = await _return(gateway, case, mark)
        await sessions.survived(healed)
        transitions = await _transitions(gateway, mark)
    return Round(
        decided=None if decided is None else at(decided) - began,
        moved=_first(readings, lab.vpn(Site.B).address, began) if case.sort.moves else None,
        cause="" if decided is None else str(decided["cause"]),
        forwards=_moved_forwards(gateway, mark),
        transitions=transitions,
        back=None if back is None else back - healed,
        active=_count(sessions.page, sessions.echo),
        standby=_count(sessions.steady),
        readings=len(readings),
        reset=sum(each.outcome is Outcome.RESET for each in readings),
        failed=sum(each.outcome is Outcome.FAILED for each in readings),
        slowest=max(each.ended - each.began for each in readings),
        watched=healed - began,
        rate=rate,
    )


# ---------------------------------------------------------------- the stage


@asynccontextmanager
async def _gateway(lab: Lab, directory: Path, case: Case) -> AsyncIterator[GatewayProcess]:
    """A gateway with default settings, both tunnels UP, and nothing that leaves beside them."""
    forwards = [
        forward("hello", _HELLO),
        forward("echo", _ECHO, ECHO_PORT),
        forward("steady", _STEADY, ECHO_PORT, f'tunnels = ["{_B}"]'),
    ]
    if case.load is not Load.NONE:
        serve_bulk(lab)
        forwards.append(forward("bulk", _BULK, BULK_PORT))
    async with sealed_gateway(lab, directory, *forwards, tunnel="") as gateway:
        for tunnel in (_A, _B):
            await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=tunnel)
        yield gateway


@asynccontextmanager
async def _sessions(lab: Lab) -> AsyncIterator[_Sessions]:
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(talking(lab.cloud, _HELLO, _SESSIONS, Language.PAGE))
        echo = await stack.enter_async_context(talking(lab.cloud, _ECHO, _SESSIONS))
        steady = await stack.enter_async_context(talking(lab.cloud, _STEADY, _SESSIONS))
        yield _Sessions(page, echo, steady)


def _loaded(lab: Lab, case: Case) -> ExitStack:
    with ExitStack() as stack:
        if case.load is not Load.NONE:
            stack.enter_context(bulk(lab, _BULK, flows=4))
        if case.load is Load.FULL:
            stack.enter_context(churn(lab, _HELLO, clients=8))
        return stack.pop_all()


# ---------------------------------------------------------------- what is awaited


async def _decision(gateway: GatewayProcess, case: Case, mark: int) -> Event | None:
    """The line of the log that says that the gateway knows; None if there is none, or none is owed."""
    try:
        match case.sort:
            case Sort.VISIBLE | Sort.SILENT:
                return await gateway.event("tunnel.transition", since=mark, tunnel=_A, new="down", within=_FALL)
            case Sort.TARGET:
                return await gateway.event("forward.failover", since=mark, from_tunnel=_A, within=_FALL)
            case Sort.HARMLESS:
                return None
    except NotReadyError:
        return None


async def _look_on(gateway: GatewayProcess, seconds: float) -> None:
    """Return after so many seconds, or at the first transition from now on: nothing good follows from there."""
    with suppress(NotReadyError):
        await gateway.event("tunnel.transition", since=len(gateway.events), within=seconds)


async def _return(gateway: GatewayProcess, case: Case, mark: int) -> float | None:
    """When the tunnel was UP again, or took the sessions of the target again; None if it did not."""
    try:
        match case.sort:
            case Sort.VISIBLE | Sort.SILENT:
                rose = await gateway.event(
                    "tunnel.transition", since=mark, tunnel=_A, old="down", new="up", within=_RETURN
                )
                return at(rose)
            case Sort.TARGET:
                await active(gateway, "hello", Site.A)
                return time.time()
            case Sort.HARMLESS:
                return None
    except NotReadyError:
        return None


# ---------------------------------------------------------------- what was seen


async def _transitions(gateway: GatewayProcess, mark: int) -> Mapping[str, Sequence[str]]:
    """By tunnel, from the log; the metrics must have counted as many, those of the start included."""
    made = [each for each in gateway.events if each["event"] == "tunnel.transition"]
    counted = (await gateway.metrics()).value("gateway_tunnel_transitions_total")
    assert counted == len(made), f"{counted} transitions are counted, {len(made)} logged"
    by_tunnel = defaultdict(list)
    for each in gateway.events[mark:]:
        if each["event"] == "tunnel.transition":
            by_tunnel[str(each["tunnel"])].append(f"{each['old']} {each['new']} {each['cause']}")
    return dict(by_tunnel)


def _moved_forwards(gateway: GatewayProcess, mark: int) -> Sequence[str]:
    moves = [each["names"] for each in gateway.events[mark:] if each["event"] == "forward.failover"]
    return sorted({name for names in moves if isinstance(names, list) for name in names})


def _first(readings: Sequence[Reading], by: str, since: float) -> float | None:
    """Seconds from `since` to the first page that was read by the address `by`."""
    return min((each.ended - since for each in readings if each.seen == by and each.ended > since), default=None)


def _count(*several: Talks) -> Count:
    return Count(held=sum(len(each.talks) for each in several), lost=sum(each.lost for each in several))


async def _moved_bytes(gateway: GatewayProcess) -> float:
    return (await gateway.metrics()).value("gateway_bytes_total", tunnel=_A)
