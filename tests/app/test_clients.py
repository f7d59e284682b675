from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.admin.book.activity import Activity, ActivityKind
from gateway.admin.book.book import Book
from gateway.app import clients as room
from gateway.app.clients import Clients
from gateway.app.connections import VpnConnections
from gateway.app.reconnecting import watch_connections
from gateway.control.controller import Controller
from gateway.control.operator import Operator
from gateway.errors import RefusedError
from gateway.model import (
    AdminSpec,
    AdminState,
    Cause,
    Config,
    DriverState,
    GatewaySpec,
    Health,
    TunnelKind,
    TunnelSpec,
    VpnLine,
)
from gateway.tunnels.driver import Reports
from tests.app.drivers import FakeDriver, Workshop
from tests.control.hands import RecordingHands
from tests.control.test_controller import DEADLINE, kernel
from tests.policy.scenes import GOOD, LINK_DOWN, forward, tunnel

MANAGED = replace(
    tunnel("a"),
    kind=TunnelKind.OPENVPN,
    reconnect_after=0.05,
    health=replace(tunnel("a").health, interval=0.02, timeout=0.01),
)
PLAIN = tunnel("b")
ME = "uid 0, pid 7"


class Notebook(Book):
    """A book of which the pages are lists."""

    def __init__(self) -> None:
        super().__init__(None)
        self.lines_said: list[VpnLine] = []
        self.activities_kept: list[Activity] = []

    def line(self, line: VpnLine) -> None:
        self.lines_said.append(line)

    def record(self, activity: Activity) -> None:
        self.activities_kept.append(activity)


class Rig:
    """VPN clients on paper, with a real controller and operator."""

    def __init__(self, *tunnels: TunnelSpec, make: Callable[[TunnelSpec, Reports], FakeDriver] = FakeDriver) -> None:
        specs = tunnels or (MANAGED, PLAIN)
        forwards = (forward("hello", *(spec.name for spec in specs)),)
        config = Config(path="f", gateway=GatewaySpec(), admin=AdminSpec(), tunnels=specs, forwards=forwards)
        self.book = Notebook()
        self.workshop = Workshop(make)
        self.hands = RecordingHands()
        self.controller = Controller(forwards, specs, hands=self.hands)
        self.clients = Clients(
            config, runtime=None, book=self.book, post=self.controller.post, make_driver=self.workshop
        )
        operator = Operator(self.controller, sessions_on=lambda _: 0, dial=self._dial)
        self.connections = VpnConnections(
            self.clients, operator, admin=lambda name: self.controller.state().tunnels[name].admin
        )
        self.killed = asyncio.Event()

    @property
    def a(self) -> FakeDriver:
        return self.workshop.made["a"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            control = group.create_task(self.controller.run())
            async with self.clients.running(self.killed):
                await asyncio.sleep(0)  # the drivers begin
                await self.controller.tell(kernel(a=GOOD, b=GOOD))
                yield
            control.cancel()

    async def until(self, health: Health, cause: Cause | None = None) -> None:
        def is_so() -> bool:
            found = self.controller.state().tunnels["a"].health
            return found.health is health and cause in {None, found.cause}

        await self.hands.until(is_so)

    async def _dial(self, *_: object) -> bool:
        return True


async def test_what_a_client_reports_is_evidence_activity_and_status():
    rig = Rig()
    async with rig.running():
        assert rig.controller.view().tunnels[0].health is Health.UP
        rig.a.says("hello")
        rig.a.fails("no route to host")
        await rig.until(Health.DOWN, Cause.DRIVER)
        view = rig.controller.view().tunnels[0]
        assert view.evidence == "its VPN client is not connected: unreachable (198.51.100.7:1194): no route to host"
        assert rig.clients.statuses()["a"].state is DriverState.RECONNECTING
        assert rig.clients.statuses().keys() == {"a"}
    assert [it.text for it in rig.book.lines_said] == ["hello"]
    assert [it.kind for it in rig.book.activities_kept] == [ActivityKind.CONNECTED, ActivityKind.DISCONNECTED]
    assert rig.clients.tally().failures


async def test_bytes_alone_are_no_evidence():
    rig = Rig()
    async with rig.running():
        weighed: list[object] = []
        rig.clients._post = weighed.append
        rig.a.becomes(DriverState.CONNECTED, transmitted=10, received=20)
        assert rig.clients.statuses()["a"].received == 20
        assert weighed == []


async def test_one_that_is_not_to_connect_by_itself_says_how_it_does():
    rig = Rig(replace(MANAGED, autoconnect=False), PLAIN)
    async with rig.running():
        await rig.controller.tell(kernel(a=GOOD, b=GOOD))
        view = rig.controller.view().tunnels[0]
        assert (view.health, view.cause) == (Health.DOWN, Cause.DRIVER)
        assert "gateway connect a" in view.evidence
        assert rig.clients.statuses()["a"].state is DriverState.STOPPED


# ---------------------------------------------------------------- the end


async def test_at_the_end_they_take_their_leave():
    rig = Rig()
    async with rig.running():
        pass
    assert rig.a.status.state is DriverState.STOPPED


@pytest.mark.parametrize("is_killed", [False, True])
async def test_who_does_not_leave_in_time_is_cut_short(is_killed: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(room, "_LEAVE", 60.0 if is_killed else 0.05)
    monkeypatch.setattr(room, "_LEAVE_AT_ONCE", 0.05)
    rig = Rig(make=lambda spec, reports: FakeDriver(spec, reports, stubborn=2))
    with capture_logs() as logs:
        async with rig.running():
            if is_killed:
                rig.killed.set()
    assert [it["tunnels"] for it in logs if it["event"] == "tunnel.given_up"] == [["tunnel a"]]
    assert rig.a.status.state is DriverState.STOPPED


async def test_who_leaves_in_the_last_moment_is_not_given_up(monkeypatch: pytest.MonkeyPatch):
    """The time is over, and when that is noticed they all have left."""
    monkeypatch.setattr(room, "_LEAVE", 0.0)
    rig = Rig()
    with capture_logs() as logs:
        async with rig.running():
            rig.killed.set()
    assert "tunnel.given_up" not in {it["event"] for it in logs}


async def test_a_defect_of_a_client_ends_the_gateway():
    class Defective(FakeDriver):
        async def run(self) -> None:
            raise ZeroDivisionError

    rig = Rig(make=Defective)
    with pytest.raises(ExceptionGroup) as raised:
        async with rig.running():
            await asyncio.get_running_loop().create_future()
    assert raised.group_contains(ZeroDivisionError)


# ---------------------------------------------------------------- connect and disconnect


async def test_disconnect_takes_the_tunnel_out_and_stops_its_client_and_connect_undoes_both():
    rig = Rig()
    async with rig.running():
        status = await rig.connections.disconnect("a", by=ME)
        assert status.state is DriverState.STOPPED
        tunnel = rig.controller.view().tunnels[0]
        assert tunnel.admin is AdminState.DISABLED
        assert rig.hands.aborts == [("a", frozenset({"hello"}))]
        status = await rig.connections.connect("a", by=ME)
        assert status.state is DriverState.CONNECTED
        assert rig.controller.view().tunnels[0].admin is AdminState.ENABLED
    assert [(it.kind, it.by) for it in rig.book.activities_kept[:3]] == [
        (ActivityKind.CONNECTED, "gateway"),
        (ActivityKind.DISCONNECTED, ME),
        (ActivityKind.CONNECTED, ME),
    ]


async def test_disconnect_cancels_an_attempt():
    rig = Rig(make=lambda spec, reports: FakeDriver(spec, reports, prompt=False))
    async with rig.running():
        assert rig.a.status.state is DriverState.CONNECTING
        assert (await rig.connections.disconnect("a", by=ME)).state is DriverState.STOPPED


async def test_who_asks_for_what_is_so_already_is_not_named_for_what_comes_later():
    rig = Rig()
    async with rig.running():
        await rig.connections.connect("a", by=ME)
        rig.a.fails("the server is gone")
    assert [it.by for it in rig.book.activities_kept] == ["gateway", "gateway"]


async def test_an_answer_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch):
    class Slow(FakeDriver):
        def disconnect(self) -> None:
            self.asked.append("disconnect")

    monkeypatch.setattr("gateway.app.connections._STOPPED", 0.01)
    rig = Rig(make=Slow)
    async with rig.running():
        assert (await rig.connections.disconnect("a", by=ME)).state is DriverState.CONNECTED


async def test_an_interface_is_connected_by_whoever_made_it():
    rig = Rig()
    async with rig.running():
        for ask in (rig.connections.connect, rig.connections.disconnect):
            with pytest.raises(RefusedError, match="has no VPN client: whoever makes its device, tun-b, connects it"):
                await ask("b", by=ME)
        assert rig.controller.view().tunnels[1].admin is AdminState.ENABLED


async def test_a_disabled_tunnel_stays_connected():
    rig = Rig()
    async with rig.running():
        operator = rig.connections._operator
        await operator.set_admin("a", AdminState.DISABLED, timeout=None, by=ME)
        assert rig.a.asked == ["connect"]
        assert rig.a.status.state is DriverState.CONNECTED


# ---------------------------------------------------------------- not believed


async def test_a_client_that_is_connected_in_vain_is_told_to_connect_anew_once():
    rig = Rig()
    async with rig.running(), asyncio.TaskGroup() as group:
        watch = group.create_task(watch_connections(rig.controller.state, rig.clients.drivers, every=0.005))
        await rig.controller.tell(kernel(a=LINK_DOWN, b=GOOD))
        with capture_logs() as logs:
            await rig.a.complained.wait()
            for _ in range(3):
                await asyncio.sleep(0.005)  # it looks again
        watch.cancel()
    assert [it["event"] for it in logs] == ["tunnel.reconnecting"]
    assert rig.a.asked == [
        "connect",
        "reconnect: connected, but down for 0.05 s and more (link_down): tun-a is set down",
    ]


async def test_without_clients_nobody_is_watched():
    rig = Rig(PLAIN)
    async with asyncio.timeout(DEADLINE):
        await watch_connections(rig.controller.state, rig.clients.drivers)
