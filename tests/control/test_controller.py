from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.control.controller import Controller
from gateway.model import (
    AdminState,
    Cause,
    CloseReason,
    Endpoint,
    ForwardSpec,
    Health,
    HealthSettings,
    KernelSnapshot,
    LinkFacts,
    ListenAddress,
    PortMap,
    RoutingTable,
    TunnelDownAction,
    TunnelKind,
    TunnelSpec,
)
from gateway.policy.evidence import Connected, Intent, KernelSeen, NamesSeen, TimePassed, Verdict
from tests.control.hands import RecordingHands

DEADLINE = 30.0  # seconds
TARGET = Endpoint("192.168.100.30", 8080)
GOOD = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.71.1.2",))
DOWN = LinkFacts(index=7, up=False, carrier=False, mtu=1500, addresses=("10.71.1.2",))
TUNNELS = tuple(
    TunnelSpec(
        name=name,
        kind=TunnelKind.INTERFACE,
        interface=f"tun-{name}",
        health=HealthSettings(interval=1.0, rise=2, probes=()),
    )
    for name in "ab"
)


def forward(name: str, *, down: TunnelDownAction = TunnelDownAction.ABORT, grace: float = 0.0) -> ForwardSpec:
    ports = (PortMap(listen=ListenAddress(None, 33000), target=TARGET),)
    return ForwardSpec(name=name, ports=ports, tunnels=("a", "b"), on_tunnel_down=down, grace=grace)


def kernel(**links: LinkFacts) -> KernelSeen:
    return KernelSeen(snapshot=KernelSnapshot(links={f"tun-{name}": facts for name, facts in links.items()}))


class HandClock:
    """Shows what it was set to. The loop's own clock is not touched: a due moment is one that this clock has passed."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class RunawayClock(HandClock):
    """A second passes between any two looks at it."""

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


class Rig:
    """A controller, and the hands that it moves."""

    def __init__(self, *forwards: ForwardSpec, clock: HandClock | None = None, sheddable: int = 0) -> None:
        self.clock = clock or HandClock()
        self.hands = RecordingHands(sheddable=sheddable)
        self.done, self.until = self.hands.done, self.hands.until
        self.controller = Controller(forwards or (forward("hello"),), TUNNELS, hands=self.hands, clock=self.clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            task = group.create_task(self.controller.run())
            yield
            task.cancel()

    @property
    def tables(self) -> list[RoutingTable]:
        return self.hands.tables

    @property
    def aborts(self) -> list[tuple[str, frozenset[str]]]:
        return self.hands.aborts

    def chosen(self, name: str = "hello") -> tuple[str, ...]:
        return self.controller.routing_table().choices[name, TARGET].tunnels


async def test_it_is_settled_by_the_kernel_and_by_nothing_else():
    rig = Rig()
    rig.controller.post(NamesSeen(addresses={"db.example": ("10.0.0.5",)}))
    rig.controller.post(Verdict(tunnel="a", cause=Cause.PROBES))
    async with rig.running():
        while not rig.controller._queue.empty():  # noqa: ASYNC110 - the queue tells nobody that it is empty
            await asyncio.sleep(0)
        assert not rig.controller.settled.is_set()
        assert rig.done == [], "listeners that open now would turn clients away"
        rig.controller.post(kernel(a=GOOD, b=GOOD))
        await rig.controller.settled.wait()
    assert [table.generation for table in rig.tables] == [1]
    assert rig.controller.routing_table() is rig.tables[0]


async def test_a_kernel_without_any_of_the_devices_settles_it_too():
    rig = Rig()
    async with rig.running():
        rig.controller.post(kernel())
        await rig.controller.settled.wait()
    assert rig.chosen() == ()


async def test_the_table_comes_before_the_aborts():
    rig = Rig()
    async with rig.running():
        rig.controller.post(kernel(a=GOOD, b=GOOD))
        rig.controller.post(kernel(a=DOWN, b=GOOD))
        await rig.until(lambda: bool(rig.aborts))
    first, second, abort = rig.done
    assert isinstance(first, RoutingTable)
    assert isinstance(second, RoutingTable)
    assert second.choices["hello", TARGET].tunnels == ("b",)
    assert abort == ("a", frozenset({"hello"}))


async def test_evidence_is_weighed_in_order_and_news_of_nothing_does_nothing():
    rig = Rig()
    for links in ({"a": GOOD}, {"a": GOOD}, {"a": GOOD, "b": GOOD}, {"a": GOOD, "b": GOOD}, {"b": GOOD}):
        rig.controller.post(kernel(**links))
    async with rig.running():
        await rig.until(lambda: bool(rig.aborts))
    assert [table.generation for table in rig.tables] == [1, 2, 3]
    assert [set(table.paths) for table in rig.tables] == [{"a"}, {"a", "b"}, {"b"}]


async def test_time_alone_brings_a_tunnel_back_and_ends_its_hold_down():
    rig = Rig()
    async with rig.running():
        for links in ({"a": GOOD, "b": GOOD}, {"a": DOWN, "b": GOOD}, {"a": GOOD, "b": GOOD}):
            rig.controller.post(kernel(**links))
        await rig.until(lambda: "a" in rig.controller.routing_table().paths and rig.chosen() == ("b",))
        rig.clock.now += 1.0  # the second of two looks is due
        rig.controller.post(NamesSeen(addresses={}))  # wakes it; otherwise it would wait a second of the loop's
        await rig.until(lambda: rig.chosen() == ("b", "a"))
        rig.clock.now += 30.0
        rig.controller.post(NamesSeen(addresses={}))
        await rig.until(lambda: rig.chosen() == ("a", "b"))


async def test_it_wakes_by_itself_when_a_moment_is_due():
    """On the loop's own clock: nothing is posted after the last look, and nobody waits longer than for `rise`."""
    tunnels = tuple(
        TunnelSpec(
            name=name,
            kind=TunnelKind.INTERFACE,
            interface=f"tun-{name}",
            failback_delay=0.05,
            health=HealthSettings(interval=0.05, rise=2, probes=()),
        )
        for name in "ab"
    )
    hands = RecordingHands()

    def seen() -> list[tuple[str, ...]]:
        return [table.choices["hello", TARGET].tunnels for table in hands.tables]

    controller = Controller((forward("hello"),), tunnels, hands=hands)
    for links in ({"a": GOOD, "b": GOOD}, {"a": DOWN, "b": GOOD}, {"a": GOOD, "b": GOOD}):
        controller.post(kernel(**links))
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        task = group.create_task(controller.run())
        await hands.until(lambda: len(seen()) > 2 and seen()[-1] == ("a", "b"))
        task.cancel()
    assert list(dict.fromkeys(seen())) == [("a", "b"), ("b",), ("b", "a")]


async def test_a_moment_that_goes_by_while_the_controller_works_is_not_missed():
    """What brings a tunnel back may fall due between weighing one piece of evidence and waiting for the next."""
    rig = Rig(clock=RunawayClock())
    for links in ({"a": GOOD}, {}, {"a": GOOD}):
        rig.controller.post(kernel(**links))
    async with rig.running():
        await rig.until(lambda: len(rig.tables) > 2 and rig.chosen() == ("a",))


async def test_a_grace_runs_out_by_itself():
    rig = Rig(forward("hello", down=TunnelDownAction.GRACE, grace=0.05), clock=None)
    rig.controller._clock = asyncio.get_running_loop().time
    async with rig.running():
        rig.controller.post(kernel(a=GOOD, b=GOOD))
        rig.controller.post(kernel(a=DOWN, b=GOOD))
        with capture_logs() as logs:
            await rig.until(lambda: bool(rig.aborts))
    assert rig.aborts == [("a", frozenset({"hello"}))]
    transition = next(it for it in logs if it["event"] == "tunnel.transition" and it["new"] == "down")
    assert transition["sessions_aborted"] == 0
    assert {"event": "sessions.aborted", "log_level": "warning", "tunnel": "a", "sessions": 3} in logs


async def test_what_it_says_and_counts():
    rig = Rig(*(forward(f"f{number}") for number in range(7)))
    with capture_logs() as logs:
        async with rig.running():
            rig.controller.post(kernel(a=GOOD, b=GOOD))
            rig.controller.post(kernel(a=DOWN, b=GOOD))
            await rig.until(lambda: bool(rig.aborts))
    view = rig.controller.view()
    assert logs == [
        {
            "event": "tunnel.transition",
            "log_level": "info",
            "tunnel": tunnel,
            "old": "unknown",
            "new": "up",
            "cause": "first_good",
            "evidence": f"tun-{tunnel} looks good",
            "sessions_aborted": 0,
        }
        for tunnel in "ab"
    ] + [
        {
            "event": "tunnel.transition",
            "log_level": "warning",
            "tunnel": "a",
            "old": "up",
            "new": "down",
            "cause": "link_down",
            "evidence": "tun-a is set down",
            "age": 0.0,
            "sessions_aborted": 3,
        },
        {
            "event": "forward.failover",
            "log_level": "warning",
            "from_tunnel": "a",
            "to_tunnel": "b",
            "cause": "link_down",
            "forwards": 7,
            "names": ["f0", "f1", "f2", "f3", "f4"],
        },
    ]
    assert view.transitions == {
        ("a", Cause.FIRST_GOOD): 1,
        ("b", Cause.FIRST_GOOD): 1,
        ("a", Cause.LINK_DOWN): 1,
    }
    assert view.failovers == {(f"f{number}", "a", "b", "link_down"): 1 for number in range(7)}
    assert [(it.name, it.health) for it in view.tunnels] == [("a", Health.DOWN), ("b", Health.UP)]


async def test_moves_of_several_kinds_have_a_line_each():
    other = ForwardSpec(name="z", ports=forward("z").ports, tunnels=("b", "a"))
    rig = Rig(forward("x"), other)
    with capture_logs() as logs:
        async with rig.running():
            rig.controller.post(kernel(a=GOOD, b=GOOD))
            rig.controller.post(kernel(a=DOWN, b=GOOD))
            rig.controller.post(kernel(b=DOWN, a=DOWN))
            await rig.until(lambda: rig.aborts[-1:] == [("b", frozenset({"x", "z"}))])
    moves = Counter((it["from_tunnel"], it["to_tunnel"]) for it in logs if it["event"] == "forward.failover")
    assert moves == {("a", "b"): 1}, "an outage is no failover"
    falls = {it["tunnel"]: it["sessions_aborted"] for it in logs if it["log_level"] == "warning" and "tunnel" in it}
    assert falls == {"a": 3, "b": 3}


async def test_the_view_is_of_now_and_nobody_needs_to_run_for_it():
    rig = Rig()
    assert rig.controller.view().forwards[0].active is None
    assert rig.controller.routing_table().generation == 0


async def test_the_view_is_made_once_a_step():
    rig = Rig()
    async with rig.running():
        rig.controller.post(kernel(a=GOOD, b=GOOD))
        await rig.controller.settled.wait()
        before = rig.controller.view()
        assert rig.controller.view() is before
        rig.controller.post(kernel(a=DOWN, b=GOOD))
        await rig.until(lambda: bool(rig.aborts))
    after = rig.controller.view()
    assert [view.forwards[0].active for view in (before, after)] == ["a", "b"]
    assert after.transitions["a", Cause.LINK_DOWN] == 1


@pytest.mark.parametrize("broken", ["probe", "apply", "abort", "await_connect"])
async def test_what_the_data_plane_raises_ends_it(broken: str):
    def fail(*_: object) -> int:
        raise RuntimeError("no")

    hands = RecordingHands()
    setattr(hands, broken, fail)
    controller = Controller((forward("hello"),), TUNNELS, hands=hands)
    controller.post(kernel(a=GOOD, b=GOOD))
    controller.post(kernel(a=DOWN, b=GOOD))
    with pytest.raises(RuntimeError, match="no"):
        async with asyncio.timeout(DEADLINE):
            await controller.run()


async def test_who_tells_is_answered_when_it_has_been_acted_upon():
    rig = Rig()
    async with rig.running():
        await rig.controller.tell(kernel(a=GOOD, b=GOOD))
        outcome = await rig.controller.tell(Intent(tunnel="a", admin=AdminState.DISABLED))
    assert rig.chosen() == ("b",)
    assert outcome.aborted == {"a": 3}
    assert rig.hands.reasons == [CloseReason.DRAIN]


async def test_who_tells_and_leaves_does_no_harm():
    rig = Rig()
    async with rig.running():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await rig.controller.tell(kernel(a=GOOD, b=GOOD))
        await rig.controller.settled.wait()


async def test_plans_come_with_the_first_look_and_before_the_table():
    rig = Rig()
    async with rig.running():
        await rig.controller.tell(kernel(a=GOOD))
    (plans,) = rig.hands.plans
    assert plans["a"].path is not None
    assert plans["b"].path is None


async def test_a_failover_is_timed_to_its_first_connect():
    rig = Rig()
    async with rig.running():
        await rig.controller.tell(kernel(a=GOOD, b=GOOD))
        await rig.controller.tell(kernel(a=DOWN, b=GOOD))
        assert rig.hands.awaited == [("hello", "b")]
        heard: list[Connected] = []
        forget = rig.controller.on_connected(heard.append)
        connected = Connected(forward="hello", tunnel="b", at=rig.clock.now + 0.02)
        await rig.controller.tell(connected)
        forget()
        await rig.controller.tell(connected)
    assert heard == [connected]
    seconds = rig.controller.view().failover_seconds
    assert seconds is not None
    assert (sum(seconds.counts), seconds.total) == (1, pytest.approx(0.02))


async def test_sessions_are_shed_until_there_are_none():
    spec = replace(forward("hello"), failback_rate=2.0)
    rig = Rig(spec, sheddable=3)
    async with rig.running():
        for evidence in (kernel(a=GOOD, b=GOOD), kernel(a=DOWN, b=GOOD), kernel(a=GOOD, b=GOOD)):
            await rig.controller.tell(evidence)
        for seconds in (1.0, 30.0, 1.0, 1.0, 1.0):
            rig.clock.now += seconds
            await rig.controller.tell(TimePassed())
        await rig.controller.tell(TimePassed())  # after what the controller told itself
    assert rig.hands.shed_orders == [("hello", "b", 2)] * 2, "2 of 3, then the last, and nobody asks again"
    assert rig.controller.view().failbacks == {("hello", "b", "a"): 1}
