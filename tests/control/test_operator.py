from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic

import pytest
from structlog.testing import capture_logs

from gateway.control.controller import Controller
from gateway.control.operator import Operator
from gateway.errors import RefusedError, UnknownNameError
from gateway.model import AdminState, CloseReason, Endpoint, Failback, ForwardSpec, HealthSettings
from gateway.policy.evidence import Connected
from tests.control.hands import RecordingHands
from tests.control.test_controller import DEADLINE, DOWN, GOOD, TARGET, TUNNELS, forward, kernel

SNAPPY = tuple(
    replace(spec, failback_delay=60.0, health=HealthSettings(interval=0.05, rise=1, probes=())) for spec in TUNNELS
)


class Rig:
    """An operator of a running controller, with both tunnels up."""

    def __init__(self, *forwards: ForwardSpec, sessions: int = 0, answers: bool = True) -> None:
        self.hands = RecordingHands()
        self.controller = Controller(forwards or (forward("hello"),), SNAPPY, hands=self.hands)
        self.sessions = {"a": sessions, "b": sessions}
        self.dialled: list[tuple[str, Endpoint]] = []
        self._answers = answers
        self.operator = Operator(self.controller, sessions_on=self.sessions.__getitem__, dial=self._dial)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            tasks = [group.create_task(it.run()) for it in (self.controller, self.operator)]
            await self.controller.tell(kernel(a=GOOD, b=GOOD))
            yield
            for task in tasks:
                task.cancel()

    def chosen(self, name: str = "hello") -> tuple[str, ...]:
        return self.controller.routing_table().choices[name, TARGET].tunnels

    async def _dial(self, tunnel: str, target: Endpoint) -> bool:
        self.dialled.append((tunnel, target))
        return self._answers


async def until_disabled(rig: Rig) -> None:
    while rig.controller.view().tunnels[0].admin is not AdminState.DISABLED:
        rig.hands.something_done.clear()
        await rig.hands.something_done.wait()


async def test_disable_takes_it_out_with_its_sessions_and_enable_brings_it_back_at_once():
    rig = Rig()
    async with rig.running():
        with capture_logs() as logs:
            seen = await rig.operator.set_admin("a", AdminState.DISABLED, timeout=None, by="uid 0, pid 1")
        assert seen.admin is AdminState.DISABLED
        assert rig.chosen() == ("b",)
        assert rig.hands.reasons == [CloseReason.DRAIN]
        assert [it["by"] for it in logs if it["event"] == "tunnel.admin"] == ["uid 0, pid 1"]
        seen = await rig.operator.set_admin("a", AdminState.ENABLED, timeout=None, by="me")
        assert (seen.admin, seen.hold_until) == (AdminState.ENABLED, None), "intent is no flap"
        assert rig.chosen() == ("a", "b")


async def test_a_drain_lets_sessions_end():
    rig = Rig(sessions=2)
    async with rig.running():
        seen = await rig.operator.set_admin("a", AdminState.DRAINING, timeout=60.0, by="me")
        assert seen.admin is AdminState.DRAINING
        assert seen.drain_until is not None
        assert rig.chosen() == ("b",)
        assert rig.hands.aborts == [], "they may go on"
        rig.sessions["a"] = 0
        await until_disabled(rig)


async def test_a_drain_ends_at_its_deadline():
    rig = Rig(sessions=2)
    async with rig.running():
        await rig.operator.set_admin("a", AdminState.DRAINING, timeout=0.05, by="me")
        await rig.hands.until(lambda: bool(rig.hands.aborts))
    assert rig.hands.aborts == [("a", frozenset({"hello"}))]
    assert rig.controller.view().tunnels[0].admin is AdminState.DISABLED


@pytest.mark.parametrize("name", ["aa", "zone"])
async def test_an_unknown_tunnel(name: str):
    rig = Rig()
    async with rig.running():
        for asked in (
            rig.operator.set_admin(name, AdminState.DISABLED, timeout=None, by="me"),
            rig.operator.drill(name, seconds=1.0, by="me"),
        ):
            with pytest.raises(UnknownNameError, match=f'there is no tunnel "{name}": there are a, b'):
                await asked
        with pytest.raises(UnknownNameError, match="tunnel or forward"):
            await rig.operator.failback(name, by="me")


async def failed_over(rig: Rig) -> None:
    await rig.controller.tell(kernel(a=DOWN, b=GOOD))
    await rig.controller.tell(kernel(a=GOOD, b=GOOD))


async def test_failback_of_a_tunnel_ends_its_hold_down():
    rig = Rig()
    async with rig.running():
        await failed_over(rig)
        assert rig.chosen() == ("b", "a")
        assert await rig.operator.failback("a", by="me") == ("hello",)
        assert rig.chosen() == ("a", "b")
        assert await rig.operator.failback("a", by="me") == (), "there is nothing left to wait for"


async def test_failback_of_a_forward_moves_it_alone():
    rig = Rig(forward("x"), forward("y"))
    async with rig.running():
        await failed_over(rig)
        assert await rig.operator.failback("x", by="me") == ("x",)
        assert (rig.chosen("x"), rig.chosen("y")) == (("a", "b"), ("b", "a"))


async def test_a_forward_with_manual_failback_waits_for_it():
    rig = Rig(replace(forward("hello"), failback=Failback.MANUAL))
    async with rig.running():
        await failed_over(rig)
        await rig.operator.failback("b", by="me")
        assert rig.chosen()[0] == "b"
        assert rig.controller.view().forwards[0].why == {"a": "up again, in its hold-down"}
        assert await rig.operator.failback("hello", by="me") == ("hello",)
        assert rig.chosen()[0] == "a"


# ---------------------------------------------------------------- drills


async def test_a_drill_shows_who_recovered_and_restores():
    rig = Rig()
    async with rig.running(), asyncio.TaskGroup() as group:
        drill = group.create_task(rig.operator.drill("a", seconds=0.3, by="me"))
        await rig.hands.until(lambda: rig.hands.awaited == [("hello", "b")])
        assert rig.chosen() == ("b",)
        view = rig.controller.view()
        assert view.tunnels[0].drill_until is not None
        assert view.failovers == {("hello", "a", "b", "drill"): 1}
        with pytest.raises(RefusedError, match='tunnel "a" is being drilled'):
            await rig.operator.drill("b", seconds=1.0, by="me")
        rig.controller.post(Connected(forward="hello", tunnel="b", at=monotonic()))
        report = await drill
    assert report.restored
    assert report.sessions_reset == 3
    (one,) = report.forwards
    assert (one.forward, one.to_tunnel, one.probed) == ("hello", "b", False)
    assert one.seconds is not None
    assert 0 <= one.seconds < 1.0
    assert rig.dialled == []
    assert rig.chosen() == ("a", "b"), "no flap, no hold-down"
    assert rig.controller.view().tunnels[0].flaps == 0


@pytest.mark.parametrize("answers", [True, False])
async def test_without_a_client_the_gateway_dials_itself(answers: bool):
    rig = Rig(answers=answers)
    async with rig.running():
        report = await rig.operator.drill("a", seconds=0.1, by="me")
    assert rig.dialled == [("b", TARGET)]
    (one,) = report.forwards
    assert (one.to_tunnel, one.probed) == (("b", True) if answers else (None, False))


async def test_a_drill_that_would_leave_a_forward_without_a_tunnel_is_refused():
    alone = replace(forward("alone"), tunnels=("a",))
    rig = Rig(forward("hello"), alone)
    async with rig.running():
        with pytest.raises(RefusedError, match="nothing that is up would be left for: alone"):
            await rig.operator.drill("a", seconds=1.0, by="me")
        await rig.controller.tell(kernel(a=GOOD, b=DOWN))
        with pytest.raises(RefusedError, match=r"left for: hello, alone"):
            await rig.operator.drill("a", seconds=1.0, by="me")
        with pytest.raises(RefusedError, match=r'tunnel "b" takes no sessions \(down\)'):
            await rig.operator.drill("b", seconds=1.0, by="me")
    assert rig.hands.aborts == [("b", frozenset({"hello"}))], "only what the kernel did"


async def test_a_drill_ends_early_when_the_other_tunnel_falls():
    rig = Rig()
    with capture_logs() as logs:
        async with rig.running(), asyncio.TaskGroup() as group:
            drill = group.create_task(rig.operator.drill("a", seconds=60.0, by="me"))
            await rig.hands.until(lambda: rig.chosen() == ("b",))
            await rig.controller.tell(kernel(a=GOOD, b=DOWN))
            report = await drill
    assert report.restored
    assert report.seconds < 5.0
    (restored,) = [it for it in logs if it["event"] == "tunnel.restored"]
    assert restored["early"] == 'forward "hello" had no other tunnel any more'


async def test_a_drill_that_is_cancelled_restores():
    rig = Rig()
    async with rig.running():
        async with asyncio.TaskGroup() as group:
            drill = group.create_task(rig.operator.drill("a", seconds=60.0, by="me"))
            await rig.hands.until(lambda: rig.chosen() == ("b",))
            drill.cancel()
        await rig.hands.until(lambda: rig.chosen() == ("a", "b"))
        await rig.operator.drill("a", seconds=0.05, by="me")
