"""Rules and routes in a kernel: strict filters are content, nothing leaks, and all is as before at the end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from ipaddress import ip_address, ip_network

import pytest

from gateway.control.netlink import NetlinkReader, RouteQuestion
from gateway.errors import LinkError
from gateway.model import LinkFacts, RoutesMode, TunnelKind, TunnelSpec
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.routes.roads import KernelRoads
from gateway.tunnels.routes.slots import Slot
from tests.control.namespace import in_namespace, ip
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_NOWHERE = "No route to host"
HOST, HOST6 = ip_network("192.168.100.30/32"), ip_network("fd01::30/128")
A, B, A6 = ip_address("10.10.1.2"), ip_address("10.10.2.2"), ip_address("fd00:1::2")


def spec(name: str, routes: RoutesMode = RoutesMode.MANAGED) -> TunnelSpec:
    return TunnelSpec(name=name, kind=TunnelKind.OPENVPN, interface=name, routes=routes)


def device(name: str, *addresses: str) -> None:
    ip(f"link add name {name} type veth peer name {name}-far", f"link set {name}-far up")
    ip(*(f"{'-6 ' if ':' in each else ''}addr add {each} dev {name}" for each in addresses), f"link set {name} up")


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


async def _until(condition: Callable[[], bool]) -> None:
    async def there() -> bool:
        return condition()

    await eventually(there, within=5.0, what="the route is as wanted")


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
        dead, netlink = KernelRoads([spec("zone-a")], Netlink()), Netlink()
        await dead.start()
        dead.aim({"zone-a": frozenset({HOST})})
        await dead.open("zone-a", "zone-a", (A,))
        async with kernel_roads(spec("zone-b")) as living:
            living.aim({"zone-b": frozenset({HOST})})
            await living.open("zone-b", "zone-b", (B,))
            assert "dev zone-a" in way("192.168.100.30 from 10.10.1.2"), "its owner lived"
            assert dead._slot is not None
            dead._slot.release()  # as the kernel does when a process dies
            async with kernel_roads(spec("zone-c")):
                assert "zone-a" not in way("192.168.100.30 from 10.10.1.2")
                assert "dev zone-b" in way("192.168.100.30 from 10.10.2.2"), "its owner lives"
        assert picture() == before
        await netlink.close()
        await dead._netlink.close()

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


def test_a_device_that_is_not_there_is_an_error():
    async def scenario():
        async with kernel_roads(spec("zone-a")) as roads:
            with pytest.raises(LinkError, match="find the device zone-a: No such device"):
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
