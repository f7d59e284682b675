"""One fault, played on a stage: sessions and clients' loops through the gateway, the fault, its end, and the return."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from tests.e2e.failover import at
from tests.e2e.harness import Event, GatewayProcess
from tests.e2e.load import bulk, churn
from tests.e2e.matrix.cases import Case, Load, Sort
from tests.e2e.matrix.results import Count, Round
from tests.e2e.matrix.stage import BULK, Stage, Way
from tests.e2e.reading import Outcome, Reading, answered, reading
from tests.e2e.talking import Language, Talks, talking
from tests.lab.errors import NotReadyError
from tests.lab.lab import Lab

_SESSIONS = 10  # of each kind
_FALL = 10.0  # seconds within which a fault must have shown; judged later
_RETURN = 90.0  # seconds for a tunnel to be UP again: a VPN client may take its time to notice, and to reconnect
_TAKEN = 30.0  # seconds from there for new sessions to go back to it, where that is waited for
_SURVIVED = 30.0  # seconds for a session to be answered again: TCP's own back-off


@dataclass(frozen=True, slots=True)
class _Sessions:
    """Long-lived ones of a way: to the page and to the echo by the active tunnel, to the echo by the standby."""

    page: Talks
    echo: Talks
    steady: Talks

    async def survived(self, since: float) -> None:
        """Return when each that has not ended was answered after `since`."""
        for each in (self.page, self.echo, self.steady):
            await each.heard(since=since, within=_SURVIVED)


async def play(stage: Stage, case: Case, *, lasts: float | None = None) -> Mapping[str, Round]:
    """Inject the fault, watch, heal, and say what was seen, by standby. `lasts`: seconds, if not those of the case."""
    watched = case.lasts if lasts is None else lasts
    fault = None if case.fault is None else case.fault(stage.victim)
    lab, gateway = stage.lab, stage.gateway
    async with AsyncExitStack() as stack:
        sessions = {way: await stack.enter_async_context(_sessions(lab, way)) for way in stage.ways}
        async with AsyncExitStack() as loops:
            loops.enter_context(_loaded(lab, case, stage))
            readings = {way: await loops.enter_async_context(reading(lab.cloud, way.hello)) for way in stage.ways}
            for each in readings.values():
                await answered(each, stage.address)
            if case.load is not Load.NONE:
                await gateway.metric("gateway_bytes_total", lambda value: value > 0, forward="bulk")
            before, began, mark = await _moved_bytes(stage), time.time(), len(gateway.events)
            if fault is not None:
                await asyncio.to_thread(fault.inject)
            decided = await _decision(stage, case, mark)
            if case.sort.moves:
                with suppress(NotReadyError):  # judged by the caller
                    for way, each in readings.items():
                        await answered(each, way.address)
            await _look_on(gateway, watched)
            rate = (await _moved_bytes(stage) - before) * 8 / 1e6 / (time.time() - began)
            healed = time.time()
            if fault is not None:
                fault.heal()  # here: a process that it starts ends with the thread that it starts it in
            back = await _back(stage, case, mark)
            returned = await _return(stage) if stage.returns and back is not None else None
        for held in sessions.values():
            await held.survived(healed)
        transitions = await _transitions(gateway, mark)
    return {
        way.standby: Round(
            tunnel=stage.active,
            decided=None if decided is None else at(decided) - began,
            moved=_first(readings[way], way.address, began) if case.sort.moves else None,
            cause="" if decided is None else str(decided["cause"]),
            forwards=_moved_forwards(stage, way, mark),
            transitions=transitions,
            back=None if back is None else back - (healed if back > healed else began),
            returned=returned,
            active=_count(sessions[way].page, sessions[way].echo),
            standby=_count(sessions[way].steady),
            readings=len(readings[way]),
            reset=sum(each.outcome is Outcome.RESET for each in readings[way]),
            failed=sum(each.outcome is Outcome.FAILED for each in readings[way]),
            slowest=max(each.ended - each.began for each in readings[way]),
            watched=healed - began,
            rate=rate,
        )
        for way in stage.ways
    }


# ---------------------------------------------------------------- the players


@asynccontextmanager
async def _sessions(lab: Lab, way: Way) -> AsyncIterator[_Sessions]:
    async with AsyncExitStack() as stack:
        page = await stack.enter_async_context(talking(lab.cloud, way.hello, _SESSIONS, Language.PAGE))
        echo = await stack.enter_async_context(talking(lab.cloud, way.echo, _SESSIONS))
        steady = await stack.enter_async_context(talking(lab.cloud, way.steady, _SESSIONS))
        yield _Sessions(page, echo, steady)


def _loaded(lab: Lab, case: Case, stage: Stage) -> ExitStack:
    with ExitStack() as stack:
        if case.load is not Load.NONE:
            stack.enter_context(bulk(lab, BULK, flows=4))
        if case.load is Load.FULL:
            stack.enter_context(churn(lab, stage.ways[0].hello, clients=8))
        return stack.pop_all()


# ---------------------------------------------------------------- what is awaited


async def _decision(stage: Stage, case: Case, mark: int) -> Event | None:
    """The line of the log that says that the gateway knows; None if there is none, or none is owed."""
    gateway, active = stage.gateway, stage.active
    try:
        match case.sort:
            case Sort.VISIBLE | Sort.SILENT:
                return await gateway.event("tunnel.transition", since=mark, tunnel=active, new="down", within=_FALL)
            case Sort.TARGET:
                return await gateway.event("forward.failover", since=mark, from_tunnel=active, within=_FALL)
            case Sort.HARMLESS:
                return None
    except NotReadyError:
        return None


async def _look_on(gateway: GatewayProcess, seconds: float) -> None:
    """Return after so many seconds, or at the first transition from now on: nothing good follows from there."""
    with suppress(NotReadyError):
        await gateway.event("tunnel.transition", since=len(gateway.events), within=seconds)


async def _back(stage: Stage, case: Case, mark: int) -> float | None:
    """When the tunnel was UP again, or took the sessions of the target again; None if it did not."""
    try:
        match case.sort:
            case Sort.VISIBLE | Sort.SILENT:
                rose = await stage.gateway.event(
                    "tunnel.transition", since=mark, tunnel=stage.active, old="down", new="up", within=_RETURN
                )
                return at(rose)
            case Sort.TARGET:
                await _active_again(stage)
                return time.time()
            case Sort.HARMLESS:
                return None
    except NotReadyError:
        return None


async def _return(stage: Stage) -> bool:
    """Whether new sessions go through the tunnel again, of every forward that left it."""
    try:
        await _active_again(stage, within=_TAKEN)
    except NotReadyError:
        return False
    return True


async def _active_again(stage: Stage, *, within: float = _FALL) -> None:
    for way in stage.ways:
        labels = {"forward": way.name("hello"), "tunnel": stage.active}
        await stage.gateway.metric("gateway_forward_active_tunnel", lambda value: value == 1, within=within, **labels)


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


def _moved_forwards(stage: Stage, way: Way, mark: int) -> Sequence[str]:
    """What left for the standby of `way`: "hello", "echo", "steady", and others by their whole names."""
    names = {way.name(each): each for each in ("hello", "echo", "steady")}
    moves = [
        each["names"]
        for each in stage.gateway.events[mark:]
        if each["event"] == "forward.failover" and each["to_tunnel"] == way.standby
    ]
    return sorted({names.get(name, name) for moved in moves if isinstance(moved, list) for name in moved})


def _first(readings: Sequence[Reading], by: str, since: float) -> float | None:
    """Seconds from `since` to the first page that was read by the address `by`."""
    return min((each.ended - since for each in readings if each.seen == by and each.ended > since), default=None)


def _count(*several: Talks) -> Count:
    return Count(held=sum(len(each.talks) for each in several), lost=sum(each.lost for each in several))


async def _moved_bytes(stage: Stage) -> float:
    return (await stage.gateway.metrics()).value("gateway_bytes_total", tunnel=stage.active)
