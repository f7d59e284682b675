"""Rules and routes in a kernel: strict filters are content, nothing leaks, and all is as before at the end."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.control.netlink import NetlinkReader, RouteQuestion
from gateway.errors import LinkError
from gateway.model import LinkFacts, RoutesMode, TunnelKind, TunnelSpec
from gateway.observe.events import Event
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.routes import roads as roads_module
from gateway.tunnels.routes.kernel import RouteSocket
from gateway.tunnels.routes.roads import KernelRoads
from gateway.tunnels.routes.slots import FIRST, Slot
from tests.control.namespace import await_carrier, in_namespace, ip
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_NOWHERE = "No route to host"
HOST, HOST6 = ip_network("192.168.100.30/32"), ip_network("fd01::30/128")
NEXT = ip_network("192.168.100.40/32")
A, B, A6 = ip_address("10.10.1.2"), ip_address("10.10.2.2"), ip_address("fd00:1::2")


def spec(name: str, routes: RoutesMode = RoutesMode.MANAGED) -> TunnelSpec:
    return TunnelSpec(name=name, kind=TunnelKind.OPENVPN, interface=name, routes=routes)


def device(name: str, *addresses: str) -> None:
    ip(f"link add name {name} type veth peer name {name}-far", f"link set {name}-far up")
    ip(f"link set {name} up", *(f"addr add {each} dev {name}" for each in addresses if ":" not in each))
    ip(*(f"-6 addr add {each} dev {name} nodad" for each in addresses if ":" in each))
    await_carrier(name, f"{name}-far")  # a route says so while there is none


def picture() -> str:
    """All that routing is made of."""
    orders = ("rule", "-6 rule", "route show table all", "-6 route show table all")
    return "\n".join(
        subprocess.run(["ip", *order.split()], capture_output=True, text=True, check=True).stdout for order in orders
    )


def way(question: str) -> str:
    """The kernel's answer to `ip route get`, or its refusal."""
    found = subprocess.run(["ip", "route", "get", *question.split()], capture_output=True, text=True, check=False)
    return (found.stdout + found.stderr).strip()


@asynccontextmanager
async def kernel_roads(*specs: TunnelSpec) -> AsyncIterator[KernelRoads]:
    netlink = Netlink()
    roads = KernelRoads(specs, netlink)
    try:
        await roads.start()
        async with asyncio.TaskGroup() as group:
            worker = group.create_task(roads.run())
            yield roads
            worker.cancel()
    finally:
        await roads.stop()
        await roads.stop()
        await netlink.close()


@contextmanager
def unrouted(index: int):
    reader = NetlinkReader()
    try:
        yield lambda address: RouteQuestion(index, address) in reader.unrouted([RouteQuestion(index, address)])
    finally:
        reader.close()


def test_what_the_forwards_need_goes_through_the_device_and_the_rest_nowhere():
    async def scenario():
        device("main0", "172.16.0.2/24")
        ip("route add default via 172.16.0.1 dev main0")
        device("zone-a", "10.10.1.2/24", "fd00:1::2/64")
        before = picture()
        async with kernel_roads(spec("zone-a"), spec("zone-b")) as roads:
            roads.aim({"zone-a": frozenset({HOST, HOST6})})
            await roads.open("zone-a", "zone-a", (A, A6))
            assert "dev zone-a" in way("192.168.100.30 from 10.10.1.2")
            assert "src 10.10.1.2" in way("192.168.100.30 oif zone-a")
            assert _NOWHERE in way("1.1.1.1 from 10.10.1.2")
            assert "dev zone-a" in way("fd01::30 from fd00:1::2")
            assert "dev main0" in way("192.168.100.30")
            index = int(picture_of("zone-a"))
            with unrouted(index) as asks:
                assert not asks("192.168.100.30")
                assert asks("192.168.100.31")
        assert picture() == before

    in_namespace(scenario)


def picture_of(name: str) -> str:
    shown = subprocess.run(["ip", "-o", "link", "show", name], capture_output=True, text=True, check=True).stdout
    return shown.split(":")[0]


@pytest.mark.parametrize("strictness", [0, 1, 2])
def test_two_devices_to_one_network_work_under_any_filter(strictness):
    """Each device gets an answer: requests leave by it, and what comes back is let in."""
    helpers: list[subprocess.Popen[bytes]] = []

    async def scenario():
        _two_far_ends(strictness, helpers)
        async with kernel_roads(spec("zone-a"), spec("zone-b")) as roads:
            roads.aim({name: frozenset({HOST}) for name in ("zone-a", "zone-b")})
            for name, address in (("zone-a", A), ("zone-b", B)):
                await roads.open(name, name, (address,))
            for name in ("zone-a", "zone-b"):
                with pytest.raises(ConnectionRefusedError):  # somebody answers, if only that nobody listens
                    await _knock(name)

    try:
        in_namespace(scenario)
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()


async def _knock(device: str) -> None:
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        asking.setblocking(False)
        async with asyncio.timeout(2.0):
            await asyncio.get_running_loop().sock_connect(asking, ("192.168.100.30", 9))


def _two_far_ends(strictness: int, helpers: list[subprocess.Popen[bytes]]) -> None:
    """Devices zone-a and zone-b, each to a namespace of its own in which 192.168.100.30 is."""
    for each in ("all", "default"):
        subprocess.run(["sysctl", "-qw", f"net.ipv4.conf.{each}.rp_filter={strictness}"], check=True)
    for number, name in ((1, "zone-a"), (2, "zone-b")):
        helper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 30"], stdout=subprocess.PIPE)
        helpers.append(helper)
        assert helper.stdout is not None
        with helper.stdout as said:
            assert said.readline() == b"ready\n"
        ip(f"link add name {name} type veth peer name far{number}", f"link set far{number} netns {helper.pid}")
        ip(f"addr add 10.10.{number}.2/24 dev {name}", f"link set {name} up")
        for order in (
            f"link set far{number} up",
            f"addr add 10.10.{number}.1/24 dev far{number}",
            "link set lo up",
            "addr add 192.168.100.30/32 dev lo",
        ):
            subprocess.run(["nsenter", f"--net=/proc/{helper.pid}/ns/net", "ip", *order.split()], check=True)
        await_carrier(name)


async def _until(condition: Callable[[], bool]) -> None:
    async def there() -> bool:
        return condition()

    await eventually(there, within=5.0, what="the route is as wanted")


def test_an_address_of_the_machine_is_no_tunnels():
    """With a rule for all that comes from there, a VPN server could cut the machine off."""

    async def scenario():
        device("zone-a", "10.10.1.2/24")
        device("eth9", "203.0.113.4/24")
        ip("addr add 203.0.113.4/32 dev zone-a", "route add default via 203.0.113.1 dev eth9")
        async with kernel_roads(spec("zone-a")) as roads:
            with pytest.raises(LinkError, match="it is this machine's own, on eth9"):
                await roads.open("zone-a", "zone-a", (A, ip_address("203.0.113.4")))
            assert "dev eth9" in way("198.51.100.9 from 203.0.113.4")
            await roads.open("zone-a", "zone-a", (A,))

    in_namespace(scenario)


def test_what_a_killed_gateway_has_left_takes_no_address_away():
    """Its device keeps the address, and the same server gives it to the next gateway's tunnel, of whatever name."""

    async def scenario():
        device("zone-old", "10.10.1.2/24")
        ip("link set zone-old alias tunnel-gateway")
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            await roads.open("zone-a", "zone-a", (A,))

    in_namespace(scenario)


def test_routes_come_back_with_the_device():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            index = int(picture_of("zone-a"))
            up = LinkFacts(index=index, up=True, carrier=True, mtu=1500, addresses=("10.10.1.2",))
            ip("link set zone-a down")
            assert "dev zone-a table" not in way("192.168.100.30 oif zone-a")
            roads.seen({"zone-a": LinkFacts(index=index, up=False, carrier=False, mtu=1500)})
            ip("link set zone-a up")
            roads.seen({"zone-a": up})
            await _until(lambda: "table" in way("192.168.100.30 oif zone-a"))
            ip("link del zone-a")
            roads.seen({})
            device("zone-a", "10.10.1.2/24")
            await roads.open("zone-a", "zone-a", (A,))
            assert "table" in way("192.168.100.30 oif zone-a")

    in_namespace(scenario)


def test_destinations_that_change_while_a_tunnel_is_being_opened_are_kept():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            for change, lead in ((roads.expect("zone-a", (A,)), HOST), (roads.open("zone-a", "zone-a", (A,)), NEXT)):
                async with asyncio.TaskGroup() as group:
                    changing = group.create_task(change)
                    await asyncio.sleep(0)
                    assert not changing.done(), "it asks the kernel"
                    roads.aim({"zone-a": frozenset({lead})})
                assert roads._roads["zone-a"].destinations == {lead}
            assert "dev zone-a" in way(f"{NEXT.network_address} from 10.10.1.2")

    in_namespace(scenario)


def test_who_is_opened_when_all_is_over_is_told_so_and_nothing_is_left():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        before = picture()
        async with kernel_roads(spec("zone-a")) as roads:
            async with asyncio.TaskGroup() as group:
                opening = group.create_task(_refusal_of(roads.open("zone-a", "zone-a", (A,))))
                await asyncio.sleep(0)
                await roads.stop()
            assert "not set up" in opening.result()
        assert picture() == before

    in_namespace(scenario)


async def _refusal_of(change: Awaitable[None]) -> str:
    with pytest.raises(LinkError) as refusal:
        await change
    return str(refusal.value)


def test_destinations_that_change_are_followed():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            await roads.open("zone-a", "zone-a", (A,))
            assert _NOWHERE in way("192.168.100.30 from 10.10.1.2")
            roads.aim({"zone-a": frozenset({HOST})})
            await _until(lambda: "dev zone-a" in way("192.168.100.30 from 10.10.1.2"))
            roads.aim({})
            await _until(lambda: _NOWHERE in way("192.168.100.30 from 10.10.1.2"))

    in_namespace(scenario)


def test_what_a_killed_gateway_left_is_removed_and_what_a_living_one_has_is_not():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        device("zone-b", "10.10.2.2/24")
        before = picture()
        netlink = Netlink()
        dead = KernelRoads([spec("zone-a")], netlink)
        await dead.start()
        dead.aim({"zone-a": frozenset({HOST})})
        await dead.open("zone-a", "zone-a", (A,))
        async with kernel_roads(spec("zone-b")) as living:
            living.aim({"zone-b": frozenset({HOST})})
            await living.open("zone-b", "zone-b", (B,))
            assert "dev zone-a" in way("192.168.100.30 from 10.10.1.2"), "its owner lived"
            assert dead._slot is not None
            dead._slot.release()  # as the kernel does when a process dies
            await netlink.ask("close a socket", lambda _: dead._hang_up())
            async with kernel_roads(spec("zone-c")):
                assert "zone-a" not in way("192.168.100.30 from 10.10.1.2")
                assert "dev zone-b" in way("192.168.100.30 from 10.10.2.2"), "its owner lives"
        assert picture() == before
        await netlink.close()

    in_namespace(scenario)


def test_tunnels_that_manage_their_own_routes_are_left_alone():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        before = picture()
        async with kernel_roads(spec("zone-a", RoutesMode.NONE)) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            await roads.close("zone-a")
            assert picture() == before

    in_namespace(scenario)


def test_what_is_there_already_is_not_asked_for_again(monkeypatch):
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        asked = []
        read = RouteSocket.read
        monkeypatch.setattr(RouteSocket, "read", lambda self, table: asked.append(table) or read(self, table))
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            facts = LinkFacts(
                index=int(picture_of("zone-a")), up=True, carrier=True, mtu=1500, addresses=("10.10.1.2",)
            )
            roads.seen({"zone-a": facts})
            await _until(lambda: "zone-a" in roads._laid)
            await roads.open("zone-a", "zone-a", (A,))
            asked.clear()
            await roads.open("zone-a", "zone-a", (A,))
            roads.aim({"zone-a": frozenset({HOST})})
            roads.seen({"zone-a": facts})
            assert not roads._changed.is_set()
            assert asked == []
            await roads.close("zone-a")
            await roads.open("zone-a", "zone-a", (A,))
            assert len(asked) == 1

    in_namespace(scenario)


def _look_all_the_time(monkeypatch) -> None:
    monkeypatch.setattr(roads_module, "_LOOK", 0.02)
    monkeypatch.setattr(roads_module, "_SHARE", 1.0)


def test_what_somebody_removes_is_put_back_and_said(monkeypatch):
    _look_all_the_time(monkeypatch)

    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            complete = sorted(picture().splitlines())
            with capture_logs() as said:
                ip("rule del oif zone-a priority 150", f"route flush table {FIRST}")
                await _until(lambda: sorted(picture().splitlines()) == complete and said != [])
            assert [each["event"] for each in said] == [Event.ROUTES_RESTORED]

    in_namespace(scenario)


def test_what_has_just_lost_its_route_is_put_back_without_waiting_for_the_next_look():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            index = int(picture_of("zone-a"))
            links = {"zone-a": LinkFacts(index=index, up=True, carrier=True, mtu=1500, addresses=("10.10.1.2",))}
            roads.seen(links)
            await _until(lambda: "zone-a" in roads._laid)
            complete = sorted(picture().splitlines())
            lost = frozenset({("zone-a", "192.168.100.30")})
            with capture_logs() as said:
                ip(f"route flush table {FIRST}")
                roads.seen(links, lost)
                await _until(lambda: sorted(picture().splitlines()) == complete and said != [])
            assert [each["event"] for each in said] == [Event.ROUTES_RESTORED]
            roads.seen(links, lost)
            assert not roads._changed.is_set(), "that is no news"

    in_namespace(scenario)


def test_a_look_that_took_for_ever_does_not_put_off_the_next(monkeypatch):
    """A machine that stood still, say."""
    monkeypatch.setattr(roads_module, "_LOOK", 0.01)
    monkeypatch.setattr(roads_module, "_LONGEST", 0.02)
    monkeypatch.setattr(roads_module, "_SHARE", 1e-9)

    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            for _ in range(2):
                ip(f"route flush table {FIRST}")
                await _until(lambda: "table" in way("192.168.100.30 oif zone-a"))

    in_namespace(scenario)


def test_what_stays_refused_is_said_once_and_tried_again(monkeypatch):
    _look_all_the_time(monkeypatch)

    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")) as roads:
            await roads.open("zone-a", "zone-a", (A,))
            with capture_logs() as said:
                ip("addr del 10.10.1.2/24 dev zone-a")
                roads.aim({"zone-a": frozenset({HOST})})
                await _until(lambda: said != [])
                ip("addr add 10.10.1.2/24 dev zone-a")
                await _until(lambda: "dev zone-a" in way("192.168.100.30 from 10.10.1.2"))
            (refusal,) = said
            assert refusal["event"] == Event.ROUTES_REFUSED
            assert refusal["error"] == f"cannot add the route to {HOST} from 10.10.1.2: Invalid argument"

    in_namespace(scenario)


def test_an_address_that_is_expected_leads_nowhere_before_the_tunnel_is_open():
    """What an earlier connection's peers still send is answered by the kernel, with the address as its only guide."""

    async def scenario():
        device("main0", "172.16.0.2/24")
        ip("route add default via 172.16.0.1 dev main0")
        device("zone-a")
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.expect("zone-a", (A,))
            ip(f"addr add {A}/32 dev zone-a")
            assert _NOWHERE in way(f"192.168.100.30 from {A}")
            with pytest.raises(LinkError, match="no tunnel can have"):
                await roads.expect("zone-a", (ip_address("127.0.0.1"),))
            with pytest.raises(LinkError, match="this machine's own"):
                await roads.expect("zone-a", (ip_address("172.16.0.2"),))
            assert "dev main0" in way("192.168.100.30 from 172.16.0.2")
            await roads.open("zone-a", "zone-a", (A,))
            assert "dev zone-a" in way(f"192.168.100.30 from {A}")
            await roads.expect("zone-a", (A,))  # as it is: nothing is taken back
            assert "dev zone-a" in way(f"192.168.100.30 from {A}")
            await roads.expect("unknown", (B,))

    in_namespace(scenario)


def test_nothing_leaves_when_the_device_has_gone():
    async def scenario():
        device("main0", "172.16.0.2/24")
        device("zone-a", "10.10.1.2/32")
        ip("route add default via 172.16.0.1 dev main0")
        assert "dev main0" in way("192.168.100.30 from 10.10.1.2"), "it would leave"
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST})})
            await roads.open("zone-a", "zone-a", (A,))
            assert "dev zone-a" in way("192.168.100.30 from 10.10.1.2")
            ip("link del zone-a", "addr add 10.10.1.2/32 dev lo")
            await roads.close("zone-a")
            assert _NOWHERE in way("192.168.100.30 from 10.10.1.2")

    in_namespace(scenario)


def test_a_fixed_source_address_is_guarded_from_the_start():
    async def scenario():
        ip("addr add 10.99.0.1/32 dev lo")
        fixed = replace(spec("zone-a"), source_address=ip_address("10.99.0.1"))
        async with kernel_roads(fixed):
            assert _NOWHERE in way("192.168.100.30 from 10.99.0.1")

    in_namespace(scenario)


def _switch_ipv6_off() -> None:
    """As in containers, mostly."""
    subprocess.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"], check=True)


def test_ipv6_may_be_switched_off():
    async def scenario():
        _switch_ipv6_off()
        device("zone-a", "10.10.1.2/24")
        before = picture()
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": frozenset({HOST, HOST6})})
            await roads.open("zone-a", "zone-a", (A,))
            assert "dev zone-a" in way("192.168.100.30 from 10.10.1.2")
        assert picture() == before

    in_namespace(scenario)


def test_tunnels_with_the_same_address_are_named_once():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        device("zone-b", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a"), spec("zone-b")) as roads:
            with capture_logs() as said:
                for name in ("zone-a", "zone-b", "zone-b"):
                    await roads.close(name)
                    await roads.open(name, name, (A,))
            expected = {"event": Event.ROUTES_AMBIGUOUS, "tunnels": ["zone-a", "zone-b"], "address": str(A)}
            assert [each for each in said if each["event"] == Event.ROUTES_AMBIGUOUS] == [
                expected | {"log_level": "warning"}
            ]

    in_namespace(scenario)


def test_without_the_capability_the_error_names_it_and_opening_fails_with_it():
    async def scenario():
        _drop_capabilities()
        netlink = Netlink()
        roads = KernelRoads([spec("zone-a"), spec("zone-b", RoutesMode.NONE)], netlink)
        with pytest.raises(LinkError, match="CAP_NET_ADMIN is missing"):
            await roads.start()
        with pytest.raises(LinkError, match="CAP_NET_ADMIN is missing") as caught:
            await roads.open("zone-a", "zone-a", (A,))
        assert caught.value.number == errno.EPERM
        await roads.open("zone-b", "zone-b", (A,))
        await roads.close("zone-a")
        await roads.stop()
        unmanaged = KernelRoads([spec("zone-b", RoutesMode.NONE)], netlink)
        await unmanaged.start()
        await netlink.close()
        Slot().release()

    in_namespace(scenario)


def _drop_capabilities() -> None:
    """Of this thread, and those that it will start."""
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, capset(2)
    assert ctypes.CDLL(None).capset(header, bytes(24)) == 0


def test_a_thousand_destinations_are_laid_and_removed_in_a_moment():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        many = frozenset(ip_network(f"10.{number // 100}.{number % 100}.4/32") for number in range(1000))
        async with kernel_roads(spec("zone-a")) as roads:
            roads.aim({"zone-a": many})
            async with asyncio.timeout(2.0):  # it takes 0.1 s
                await roads.open("zone-a", "zone-a", (A,))
            assert way("10.9.99.4 oif zone-a").startswith("10.9.99.4 dev zone-a table")
            async with asyncio.timeout(2.0):
                await roads.stop()

    in_namespace(scenario)


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


def test_descriptors_do_not_become_more():
    async def scenario():
        device("zone-a", "10.10.1.2/24")
        async with kernel_roads(spec("zone-a")):
            pass
        before = _descriptors()
        for _ in range(20):
            async with kernel_roads(spec("zone-a")) as roads:
                roads.aim({"zone-a": frozenset({HOST})})
                await roads.open("zone-a", "zone-a", (A,))
        assert _descriptors() == before

    in_namespace(scenario)


def test_a_device_that_is_not_there_is_an_error():
    async def scenario():
        async with kernel_roads(spec("zone-a")) as roads:
            with pytest.raises(LinkError, match='tunnel "zone-a" needs: there is no device zone-a'):
                await roads.open("zone-a", "zone-a", (A,))
            with pytest.raises(LinkError, match="there is no device"):
                await roads.open("zone-a", "zone-a", (A,))
            device("zone-a", "10.10.1.2/24")
            await roads.open("zone-a", "zone-a", (A,))

    in_namespace(scenario)


def test_slots_tell_gateways_apart():
    async def scenario():
        first, second = Slot(), Slot()
        assert (first.number, second.number) == (0, 1)
        assert first.is_stale(first.table(3))
        assert not first.is_stale(second.table(0))
        assert not first.is_stale(254)
        taken = second.table(0)
        second.release()
        second.release()
        assert first.is_stale(taken)
        with pytest.raises(LinkError, match="at most 256"):
            first.table(256)
        first.release()

    in_namespace(scenario)


def test_a_server_cannot_give_out_a_target():
    async def scenario():
        device("zone-a", "10.10.1.2/24", "192.168.100.30/32")
        async with kernel_roads(spec("zone-a"), spec("zone-b")) as roads:
            roads.aim({"zone-b": frozenset({HOST})})
            with pytest.raises(LinkError, match=r"cannot have the address 192\.168\.100\.30: a tunnel leads to it"):
                await roads.open("zone-a", "zone-a", (ip_address("192.168.100.30"),))

    in_namespace(scenario)
