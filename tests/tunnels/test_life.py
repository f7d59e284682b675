"""The life of a managed tunnel, in virtual time, with a client that does as it is told: the states are ours."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import LinkError
from gateway.model import (
    DriverState,
    DriverStatus,
    Endpoint,
    Failure,
    FailureReason,
    IPAddress,
    LineLevel,
    OpenVpnSpec,
    Secret,
    TunnelKind,
    TunnelSpec,
    VpnLine,
)
from gateway.tunnels.driver import Reports
from gateway.tunnels.life import ManagedDriver
from tests.tunnels.virtual import virtually

R, S = FailureReason, DriverState
A, B = Endpoint("10.0.0.1", 1194), Endpoint("10.0.0.2", 1194)
VIP = ip_address("10.10.20.6")


@dataclass
class Deed:
    """What the client does in one connection: it waits, comes up, stays, and fails."""

    reason: FailureReason = R.TIMED_OUT
    after: float = 0.1
    stays: float | None = None  # seconds up; None: it does not come up
    detail: str = "it said so"
    address: IPAddress = VIP


FOREVER = Deed(stays=1e9)


@dataclass
class Client:
    """A `client.Client` with a script; when that is over, each connection lasts."""

    script: list[Deed] = field(default_factory=list)
    interface: str = "zone-a"
    servers: list[Endpoint | None] = field(default_factory=list)
    running: int = 0
    closed: int = 0
    cancelled: int = 0
    leave: float = 0.0  # seconds to take its leave

    async def run(self, server, attempt):
        self.servers.append(server)
        deed = self.script.pop(0) if self.script else FOREVER
        self.running += 1
        assert self.running == 1, "one connection at a time"
        try:
            await asyncio.sleep(deed.after)
            if deed.stays is not None:
                attempt.said(LineLevel.INFO, "openvpn", "up with hunter2-hunter2")
                attempt.connected((deed.address,))
                attempt.counted(10, 20)
                await asyncio.sleep(deed.stays)
            return Failure(reason=deed.reason, detail=deed.detail)
        except asyncio.CancelledError:
            self.cancelled += 1
            await asyncio.sleep(self.leave)
            raise
        finally:
            self.running -= 1

    async def close(self):
        self.closed += 1


class Roads:
    def __init__(self) -> None:
        self.refuses: LinkError | None = None
        self.said: list[tuple[object, ...]] = []

    async def expect(self, tunnel, addresses):
        pass

    async def open(self, tunnel, interface, addresses):
        if self.refuses is not None:
            raise self.refuses
        self.said.append(("open", tunnel, interface, addresses))

    async def close(self, tunnel):
        self.said.append(("close", tunnel))


class Stage:
    """A driver with all that is around it."""

    def __init__(self, client: Client, *, autoconnect: bool = True, servers: tuple[Endpoint, ...] = (A, B)) -> None:
        self.spec = TunnelSpec(
            name="zone-a",
            kind=TunnelKind.OPENVPN,
            interface="zone-a",
            vpn=OpenVpnSpec(servers=servers, password=Secret("hunter2-hunter2")),
            autoconnect=autoconnect,
        )
        self.client, self.roads = client, Roads()
        self.statuses: list[DriverStatus] = []
        self.lines: list[VpnLine] = []
        self.heard: Callable[[DriverStatus], None] = lambda _: None
        self.reports = Reports(status=self._status, line=self.lines.append)
        self.world = {"clock": asyncio.get_running_loop().time, "chance": lambda: 0.0}
        self._changed = asyncio.Event()
        self.driver = ManagedDriver(self.spec, client, roads=self.roads, reports=self.reports, **self.world)

    def _status(self, status: DriverStatus) -> None:
        self.statuses.append(status)
        self.heard(status)
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[DriverStatus], bool], within: float = 10_000.0) -> DriverStatus:
        async with asyncio.timeout(within):
            while not condition(self.driver.status):
                changed = self._changed
                await changed.wait()
        return self.driver.status

    async def stands(self, state: DriverState) -> DriverStatus:
        return await self.until(lambda status: status.state is state)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            life = group.create_task(self.driver.run())
            yield
            life.cancel()


def test_it_connects_once_there_are_routes_and_says_so():
    async def scenario():
        stage = Stage(Client())
        async with stage.living():
            status = await stage.stands(S.CONNECTED)
            assert (status.server, status.addresses, status.attempts, status.failure) == (A, (VIP,), 1, None)
            assert stage.roads.said == [("open", "zone-a", "zone-a", (VIP,))]
            assert [each.state for each in stage.statuses][:2] == [S.CONNECTING, S.CONNECTING]
            assert any(line.text == "up with ******" and line.component == "openvpn" for line in stage.lines)
            assert any(line.text == "connected, as 10.10.20.6" for line in stage.lines)
        assert stage.driver.status.state is S.STOPPED
        assert stage.client.closed == 1
        assert stage.client.cancelled == 1

    virtually(scenario())


def test_the_next_server_is_tried_and_the_wait_grows_by_rounds():
    async def scenario():
        stage = Stage(Client([Deed()] * 6))
        async with stage.living():
            status = await stage.stands(S.CONNECTED)
            assert stage.client.servers == [A, B, A, B, A, B, A]
            assert (status.server, status.attempts) == (A, 7)
            waits = [round(s.retry_at - s.since, 3) for s in stage.statuses if s.retry_at is not None]
            assert len(waits) == 6
            assert sum(s.state is S.RECONNECTING for s in stage.statuses) >= 6
            assert 14.0 <= status.since <= 15.0  # twice 1 s, twice 2 s, twice 4 s

    virtually(scenario())


def test_a_refused_account_is_tried_slowly_and_loudly():
    async def scenario():
        stage = Stage(Client([Deed(reason=R.WRONG_PASSWORD, detail="no")] * 2), servers=(A,))
        async with stage.living():
            status = await stage.stands(S.AUTH_FAILED)
            assert status.failure == Failure(reason=R.WRONG_PASSWORD, detail="no", server=A)
            assert any(line.level is LineLevel.ERROR and "account was refused" in line.text for line in stage.lines)
            status = await stage.until(lambda s: s.retry_at is not None)
            assert status.retry_at is not None
            assert status.retry_at - status.since >= 60.0
            status = await stage.stands(S.CONNECTED)
            assert status.since >= 60.0 + 120.0

    virtually(scenario())


def test_connect_does_not_wait():
    async def scenario():
        stage = Stage(Client([Deed(reason=R.WRONG_PASSWORD)]))
        async with stage.living():
            await stage.until(lambda s: s.state is S.AUTH_FAILED and s.retry_at is not None)
            stage.driver.connect()
            assert (await stage.stands(S.CONNECTED)).since < 1.0
            stage.driver.connect()  # nothing: it is
            await asyncio.sleep(1.0)
            assert len(stage.client.servers) == 2

    virtually(scenario())


def test_connect_does_not_wait_for_what_a_connection_that_is_given_up_has_cost():
    async def scenario():
        stage = Stage(Client([Deed(stays=1.0)] * 4 + [FOREVER], leave=2.0), servers=(A,))
        async with stage.living():
            await stage.until(lambda s: s.attempts == 0 and s.retry_at is not None)  # it has failed, and will again
            await stage.until(lambda s: s.state is S.CONNECTED and len(stage.client.servers) == 5)
            stage.driver.reconnect("probes have been failing for 10 s")
            await asyncio.sleep(1.0)
            stage.driver.connect()
            asked = asyncio.get_running_loop().time()
            assert stage.client.running == 1, "its client takes its leave"
            assert (await stage.stands(S.CONNECTED)).since - asked < 1.5

    virtually(scenario())


def test_disconnect_ends_a_connection_without_a_failure():
    async def scenario():
        stage = Stage(Client())
        async with stage.living():
            await stage.stands(S.CONNECTED)
            stage.driver.disconnect()
            status = await stage.stands(S.STOPPED)
            assert (status.failure, status.addresses, status.server) == (None, (), None)
            assert stage.roads.said[-1] == ("close", "zone-a")
            await asyncio.sleep(1000.0)
            assert len(stage.client.servers) == 1
            stage.driver.connect()
            await stage.stands(S.CONNECTED)

    virtually(scenario())


def test_disconnect_cancels_an_attempt_under_way():
    async def scenario():
        stage = Stage(Client([Deed(after=1000.0)]))
        async with stage.living():
            await stage.until(lambda s: s.attempts == 1)
            await asyncio.sleep(5.0)
            stage.driver.disconnect()
            status = await stage.stands(S.STOPPED)
            assert status.failure is not None
            assert status.failure.reason is R.CANCELLED
            assert asyncio.get_running_loop().time() < 6.0

    virtually(scenario())


def test_disconnect_ends_the_wait_for_an_attempt():
    async def scenario():
        stage = Stage(Client([Deed()] * 5), servers=(A,))
        async with stage.living():
            await stage.until(lambda s: s.retry_at is not None)
            stage.driver.disconnect()
            status = await stage.stands(S.STOPPED)
            assert status.retry_at is None
            stage.driver.disconnect()  # nothing: it is

    virtually(scenario())


def test_it_may_wait_to_be_asked():
    async def scenario():
        stage = Stage(Client(), autoconnect=False)
        async with stage.living():
            await asyncio.sleep(100.0)
            assert stage.client.servers == []
            assert stage.statuses == []
            assert stage.driver.status.state is S.STOPPED
            stage.driver.connect()
            await stage.stands(S.CONNECTED)

    virtually(scenario())


def test_a_connection_that_does_not_carry_is_ended_and_the_next_server_tried():
    async def scenario():
        stage = Stage(Client())
        async with stage.living():
            await stage.stands(S.CONNECTED)
            stage.driver.reconnect("probes have been failing for 10 s")
            status = await stage.stands(S.RECONNECTING)
            assert status.failure == Failure(reason=R.OTHER, detail="probes have been failing for 10 s", server=A)
            stage.driver.reconnect("nothing: it is not connected")
            assert (await stage.stands(S.CONNECTED)).server == B

    virtually(scenario())


def test_a_connection_that_is_given_up_is_none_while_its_client_takes_its_leave():
    """Else a tunnel that works again in these seconds would be UP, only to fall with its client's end."""

    async def scenario():
        stage = Stage(Client(leave=2.0))
        async with stage.living():
            await stage.stands(S.CONNECTED)
            stage.driver.reconnect("probes have been failing for 10 s")
            assert stage.driver.status.state is S.RECONNECTING
            assert stage.client.running == 1
            await asyncio.sleep(1.9)
            stage.driver.reconnect("said twice")
            assert stage.client.servers == [A]
            status = await stage.stands(S.CONNECTED)
            assert (status.server, stage.client.cancelled) == (B, 1)

            stage.driver.reconnect("probes have been failing for 10 s")
            stage.driver.disconnect()
            status = await stage.stands(S.STOPPED)
            assert (status.failure.detail, stage.client.running) == ("probes have been failing for 10 s", 0)

    virtually(scenario())


def test_a_lasting_connection_wipes_out_what_was_before_it():
    async def scenario():
        stage = Stage(Client([Deed(), Deed(), Deed(), Deed(stays=61.0, reason=R.CLIENT_DIED)]), servers=(A,))
        async with stage.living():
            await stage.stands(S.CONNECTED)
            await stage.stands(S.RECONNECTING)
            fell = asyncio.get_running_loop().time()
            status = await stage.stands(S.CONNECTED)
            assert status.since - fell < 1.5
            assert status.attempts == 1

    virtually(scenario())


def test_without_routes_it_is_not_connected():
    async def scenario():
        stage = Stage(Client())
        stage.roads.refuses = LinkError("cannot route: CAP_NET_ADMIN is missing", 1)
        async with stage.living():
            status = await stage.until(lambda s: s.failure is not None)
            assert status.state is S.RECONNECTING
            assert status.failure == Failure(
                reason=R.NOT_PERMITTED, detail="cannot route: CAP_NET_ADMIN is missing", server=A
            )
            assert all(each.state is not S.CONNECTED for each in stage.statuses)
            stage.roads.refuses = None
            await stage.stands(S.CONNECTED)

    virtually(scenario())


def test_an_address_that_no_tunnel_can_have_is_a_failure():
    async def scenario():
        stage = Stage(Client([Deed(stays=1e9, address=ip_address("127.0.0.1"))]))
        async with stage.living():
            failure = (await stage.until(lambda s: s.failure is not None)).failure
            assert failure is not None
            assert failure.detail == "the server gives the address 127.0.0.1, which no tunnel can have"
            assert ("open", "zone-a", "zone-a", (ip_address("127.0.0.1"),)) not in stage.roads.said
            await stage.stands(S.CONNECTED)

    virtually(scenario())


@pytest.mark.parametrize("stays", [None, 0.0], ids=["never up", "up for no time"])
@pytest.mark.parametrize("servers", [(A,), (A, B)])
def test_a_client_that_ends_at_once_does_not_spin(stays, servers):
    async def scenario():
        ends = Deed(after=0.0, stays=stays, reason=R.CLIENT_DIED)
        stage = Stage(Client([ends] * 10_000), servers=servers)
        async with stage.living():
            await asyncio.sleep(3600.0)
            assert 60 <= len(stage.client.servers) <= 75  # a minute each, after the first few
            assert len(stage.lines) < 400

    virtually(scenario())


def test_what_ends_or_is_ended_while_its_routes_are_made_was_never_connected():
    async def scenario():
        class Slow(Roads):
            async def open(self, tunnel, interface, addresses):
                await asyncio.sleep(1.0)
                await super().open(tunnel, interface, addresses)

        stage = Stage(Client([Deed(stays=0.5, reason=R.SERVER_ENDED)]))
        stage.driver = ManagedDriver(stage.spec, stage.client, roads=Slow(), reports=stage.reports, **stage.world)
        async with stage.living():
            assert (await stage.until(lambda s: s.failure is not None)).state is S.RECONNECTING
            await stage.until(lambda s: s.attempts == 2)
            await asyncio.sleep(0.5)
            stage.driver.disconnect()
            status = await stage.stands(S.STOPPED)
            assert status.failure is not None
            assert status.failure.reason is R.CANCELLED
            assert all(each.state is not S.CONNECTED for each in stage.statuses)

    virtually(scenario())


def test_whoever_is_told_may_disconnect_at_once():
    """Also while an attempt is being announced: nothing that is asked gets lost."""

    async def scenario():
        stage = Stage(Client())
        stage.heard = lambda status: stage.driver.disconnect() if status.attempts == 1 else None
        async with stage.living():
            await stage.stands(S.STOPPED)
            await asyncio.sleep(100.0)
            assert stage.driver.status.state is S.STOPPED
            assert stage.client.running == 0

    virtually(scenario())


def test_its_end_with_the_gateway_is_said():
    async def scenario():
        stage = Stage(Client())
        async with stage.living():
            await stage.stands(S.CONNECTED)
        assert stage.lines[-1].text == "disconnected: the gateway ends"
        assert stage.statuses[-1].state is S.STOPPED
        assert stage.roads.said[-1] == ("close", "zone-a")

    virtually(scenario())


def test_bytes_alone_are_reported_once_a_second():
    async def scenario():
        class Chatty(Client):
            async def run(self, server, attempt):  # noqa: ARG002 - a client's
                attempt.connected((VIP,))
                for number in range(1000):
                    await asyncio.sleep(0.01)
                    attempt.counted(number, 2 * number)
                return Failure(reason=R.SERVER_ENDED, detail="")

        stage = Stage(Chatty())
        async with stage.living():
            await stage.stands(S.CONNECTED)
            before = len(stage.statuses)
            await asyncio.sleep(9.0)
            assert 8 <= len(stage.statuses) - before <= 10
            assert stage.driver.status.received == 2 * stage.driver.status.transmitted > 1000

    virtually(scenario())


def test_what_is_said_after_the_end_is_heard_and_not_counted():
    async def scenario():
        attempts = []

        class Late(Client):
            async def run(self, server, attempt):
                attempts.append(attempt)
                return await super().run(server, attempt)

        stage = Stage(Late([Deed()]))
        async with stage.living():
            await stage.stands(S.CONNECTED)
            attempts[0].counted(99, 99)
            attempts[0].said(LineLevel.INFO, "openvpn", "late")
            assert stage.driver.status.transmitted == 10
            assert stage.lines[-1].text == "late"

    virtually(scenario())


def test_a_defect_of_the_client_is_not_kept_quiet():
    async def scenario():
        class Broken(Client):
            async def run(self, server, attempt):  # noqa: ARG002 - a client's
                raise ZeroDivisionError

        stage = Stage(Broken())
        with pytest.raises(ExceptionGroup) as caught:
            await stage.driver.run()
        assert caught.group_contains(ZeroDivisionError)
        assert stage.client.closed == 1

    virtually(scenario())


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, "Too many open files"), RuntimeError("can't start new thread")]
)
def test_trouble_of_the_machine_ends_an_attempt_and_no_more(error):
    async def scenario():
        class Troubled(Client):
            async def run(self, server, attempt):
                if not self.servers:
                    self.servers.append(server)
                    raise ExceptionGroup("tasks of a client", [error])
                return await super().run(server, attempt)

        stage = Stage(Troubled())
        async with stage.living():
            failure = (await stage.until(lambda s: s.failure is not None)).failure
            assert (failure.reason, failure.detail) == (R.OTHER, str(error))
            await stage.stands(S.CONNECTED)

    virtually(scenario())


def test_whoever_takes_leave_is_cut_short_by_the_second_who_ends_it():
    async def scenario():
        stage = Stage(Client(leave=1000.0))
        async with asyncio.TaskGroup() as group:
            living = group.create_task(stage.driver.run())
            await stage.stands(S.CONNECTED)
            living.cancel()
            await asyncio.sleep(1.0)
            assert stage.client.running == 1
            living.cancel()
        assert (stage.client.running, stage.client.closed) == (0, 1)
        assert asyncio.get_running_loop().time() < 3.0

    virtually(scenario())


def test_secrets_in_a_failure_are_masked():
    async def scenario():
        stage = Stage(Client([Deed(detail="it was hunter2-hunter2")]))
        async with stage.living():
            status = await stage.until(lambda s: s.failure is not None)
            assert status.failure is not None
            assert status.failure.detail == "it was ******"
        assert not any("hunter2" in line.text for line in stage.lines)

    virtually(scenario())


_DEEDS = st.builds(
    Deed,
    reason=st.sampled_from([R.TIMED_OUT, R.WRONG_PASSWORD, R.CLIENT_DIED, R.SERVER_ENDED]),
    after=st.sampled_from([0.0, 0.1, 5.0]),
    stays=st.sampled_from([None, None, 0.0, 30.0, 100.0]),
)
_ORDERS = st.lists(
    st.tuples(st.sampled_from(["connect", "disconnect", "reconnect"]), st.sampled_from([0.0, 0.05, 3.0, 70.0, 400.0])),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_DEEDS, max_size=8), _ORDERS, st.booleans())
def test_whatever_happens_it_does_in_the_end_what_was_wanted_last(script, orders, autoconnect):
    async def scenario():
        stage = Stage(Client(list(script)), autoconnect=autoconnect)
        wanted = autoconnect
        async with stage.living():
            for order, pause in orders:
                match order:
                    case "connect":
                        stage.driver.connect()
                        wanted = True
                    case "disconnect":
                        stage.driver.disconnect()
                        wanted = False
                    case _:
                        stage.driver.reconnect("it does not carry")
                await asyncio.sleep(pause)
            await asyncio.sleep(20_000.0)
            assert stage.driver.status.state is (S.CONNECTED if wanted else S.STOPPED)
            assert stage.client.running == wanted
        assert stage.client.running == 0
        for old, new in zip(stage.statuses, stage.statuses[1:], strict=False):
            assert new.state is not S.CONNECTED or old.state is not S.STOPPED, "only what was tried is connected"

    virtually(scenario())
