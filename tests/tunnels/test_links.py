"""Devices in a namespace of its own: made, found, renamed, given addresses; what is refused is said in words."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg

from gateway.errors import LinkError
from gateway.tunnels import links as links_module
from gateway.tunnels import path_filter, tun
from gateway.tunnels.links import KernelLinks, _rename
from gateway.tunnels.netlink import Netlink, refused
from tests.control.namespace import in_namespace, ip

pytestmark = pytest.mark.lab

DEADLINE = 30.0  # seconds
V4, V6 = ip_interface("10.9.0.2/24"), ip_interface("fd00:9::2/64")


@asynccontextmanager
async def kernel_links() -> AsyncIterator[KernelLinks]:
    netlink = Netlink()
    try:
        yield KernelLinks(netlink)
    finally:
        await netlink.close()
        await netlink.close()


def test_a_tun_is_made_once_and_outlives_who_made_it():
    async def scenario():
        async with kernel_links() as links:
            assert await links.find("vpn-a") is None
            await links.make_tun("vpn-a")
            made = await links.find("vpn-a")
            assert made is not None
            assert (made.name, made.kind, made.up, made.addresses) == ("vpn-a", "tun", False, ())
            await links.make_tun("vpn-a")
            assert await links.find("vpn-a") == made
            await links.remove("vpn-a")
            await links.remove("vpn-a")
            assert await links.find("vpn-a") is None

    in_namespace(scenario)


def test_a_tun_whose_maker_is_cancelled_is_ours_all_the_same(monkeypatch):
    """Else every later attempt would take it for somebody else's."""
    begun, goes_on = threading.Event(), threading.Event()

    def make_tun(name: str) -> None:
        begun.set()
        assert goes_on.wait(DEADLINE)
        tun.make_tun(name)

    monkeypatch.setattr(links_module, "make_tun", make_tun)

    async def scenario():
        async with kernel_links() as links, asyncio.TaskGroup() as group:
            making = group.create_task(links.make_tun("vpn-a"))
            assert await asyncio.to_thread(begun.wait, DEADLINE)
            making.cancel()
            with suppress(asyncio.CancelledError):
                await making
            goes_on.set()
            made = await links.find("vpn-a")
            assert made is not None
            assert made.ours
            await links.make_tun("vpn-a")
            await links.remove("vpn-a")

    in_namespace(scenario)


def test_the_reverse_path_filter_of_a_device():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            usual = await links.filter_paths("vpn-a", path_filter.STRICT)
            assert await links.filter_paths("vpn-a", usual) == path_filter.STRICT
            assert await links.filter_paths("vpn-a", 2) == usual
            assert _path_filter("vpn-a") == 2
            with pytest.raises(LinkError, match="cannot filter what comes by none"):
                await links.filter_paths("none", 1)

    in_namespace(scenario)


def _path_filter(name: str) -> int:
    return int(Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").read_text())


def test_a_device_that_somebody_else_has_made_is_not_touched():
    async def scenario():
        async with kernel_links() as links:
            ip("tuntap add vpn-a mode tun", "addr add 10.77.0.1/24 dev vpn-a")
            theirs = await links.find("vpn-a")
            assert theirs is not None
            assert not theirs.ours
            await links.make_tun("ipsec0")
            ours = await links.find("ipsec0")
            assert ours is not None
            assert ours.ours
            for making in (
                links.make_tun("vpn-a"),
                links.make("vpn-a", "xfrm", if_id=7),
                links.rename(ours.index, "vpn-a"),
            ):
                with pytest.raises(LinkError, match="vpn-a exists and is a tun device that the gateway has not made"):
                    await making
            assert await links.find("vpn-a") == theirs

    in_namespace(scenario)


def test_a_device_has_exactly_the_addresses_it_is_given():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            await links.configure("vpn-a", addresses=[V4, V6], mtu=1400)
            device = await links.find("vpn-a")
            assert device is not None
            assert (device.up, device.mtu, set(device.addresses)) == (True, 1400, {V4, V6})
            assert await links.holding(V4.ip) == device
            assert await links.holding(V6.ip) == device
            assert await links.holding(ip_address("10.9.0.3")) is None
            other = ip_interface("10.9.0.7/32")
            await links.configure("vpn-a", addresses=[other, V6])
            await links.configure("vpn-a")
            device = await links.find("vpn-a")
            assert device is not None
            assert (device.mtu, set(device.addresses)) == (1400, {other, V6})

    in_namespace(scenario)


def test_a_device_is_renamed_while_it_is_up():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("ipsec0")
            await links.configure("ipsec0", addresses=[V4, V6])
            before = await links.find("ipsec0")
            assert before is not None
            await links.rename(before.index, "zone-b")
            await links.rename(before.index, "zone-b")
            after = await links.find("zone-b")
            assert after is not None
            assert (after.index, after.up, set(after.addresses)) == (before.index, True, {V4, V6})
            assert await links.find("ipsec0") is None

    in_namespace(scenario)


class _BeforeLinux62:
    """An IPRoute whose kernel does not rename a device that is up."""

    def __init__(self, ipr: IPRoute) -> None:
        self._ipr = ipr

    def __getattr__(self, name: str) -> object:
        return getattr(self._ipr, name)

    def link(self, command: str, **words: object) -> object:
        if command == "set" and "ifname" in words:
            (device,) = self._ipr.link("get", index=words["index"])
            if device["flags"] & IFF_UP:
                raise NetlinkError(errno.EBUSY)
        return self._ipr.link(command, **words)


def test_a_kernel_that_renames_no_device_that_is_up_gets_it_down_for_a_moment():
    async def scenario():
        netlink = Netlink()
        links = KernelLinks(netlink)
        await links.make_tun("ipsec0")
        await links.configure("ipsec0", addresses=[V4, V6])
        before = await links.find("ipsec0")
        assert before is not None
        await netlink.ask("rename", lambda ipr: _rename(_BeforeLinux62(ipr), before.index, "zone-b"))
        after = await links.find("zone-b")
        await netlink.close()
        assert after is not None
        assert (after.index, after.up, set(after.addresses)) == (before.index, True, {V4, V6})

    in_namespace(scenario)


def test_addresses_that_go_with_another_of_their_network_are_given_again():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            first, second = ip_interface("10.9.0.2/24"), ip_interface("10.9.0.3/24")
            await links.configure("vpn-a", addresses=[first, second])
            await links.configure("vpn-a", addresses=[second])
            device = await links.find("vpn-a")
            assert device is not None
            assert device.addresses == (second,)

    in_namespace(scenario)


def test_the_other_end_of_a_device_is_no_address_of_its():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            ip("addr add 10.10.20.6 peer 10.10.20.5 dev vpn-a")
            device = await links.find("vpn-a")
            assert device is not None
            assert device.addresses == (ip_interface("10.10.20.6/32"),)
            assert await links.holding(ip_address("10.10.20.6")) == device
            assert await links.holding(ip_address("10.10.20.5")) is None

    in_namespace(scenario)


def _switch_ipv6_off(name: str) -> None:
    subprocess.run(["sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1"], check=True)


def test_without_ipv6_it_is_that_which_is_missing_and_no_capability():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            _switch_ipv6_off("vpn-a")
            with pytest.raises(LinkError, match="fd00:9::2/64: IPv6 is disabled on it"):
                await links.configure("vpn-a", addresses=[V4, V6])

    in_namespace(scenario)


def test_what_is_refused_is_said_in_words():
    async def scenario():
        async with kernel_links() as links:
            ip("link add name dummy0 type veth peer name dummy1")
            with pytest.raises(LinkError, match="dummy0 exists and is a veth device that the gateway has not made"):
                await links.make_tun("dummy0")
            with pytest.raises(LinkError, match="cannot configure the device nonesuch: No such device"):
                await links.configure("nonesuch", mtu=1400)
            with pytest.raises(LinkError, match="cannot rename device 9999") as caught:
                await links.rename(9999, "x")
            assert caught.value.number == errno.ENODEV

    in_namespace(scenario)
    assert str(refused("make the device x", errno.EPERM)) == "cannot make the device x: CAP_NET_ADMIN is missing"


@pytest.mark.parametrize("kind", ["wireguard", "xfrm"])
def test_a_kernel_without_the_kind_says_so(kind):
    async def scenario():
        async with kernel_links() as links:
            try:
                await links.make("new0", kind, if_id=7 if kind == "xfrm" else None)
            except LinkError as error:
                assert error.number == errno.EOPNOTSUPP  # noqa: PT017 - kernels that have it are well, too
            else:
                device = await links.find("new0")
                assert device is not None
                assert device.kind == kind

    in_namespace(scenario)


def test_two_hundred_changes_leave_nothing_open():
    async def scenario():
        async with kernel_links() as links:
            await links.make_tun("vpn-a")
            await links.find("vpn-a")
            before = _descriptors()
            for number in range(200):
                await links.configure("vpn-a", addresses=[ip_interface(f"10.9.0.{1 + number % 200}/24")])
                await links.remove("nonesuch")
                await links.make_tun("vpn-a")
            assert _descriptors() == before

    in_namespace(scenario)


def _descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


# ---------------------------------------------------------------- kinds that may not be here: the message itself


@pytest.fixture
def sent(monkeypatch) -> list[ifinfmsg]:
    """Every message that asks for a new device, as it went to the kernel, decoded again from its bytes."""
    seen: list[ifinfmsg] = []
    prepare = NetlinkRequest.prepare

    async def spy(request):
        await prepare(request)
        if request.msg["header"]["type"] == RTM_NEWLINK:
            decoded = ifinfmsg(bytes(request.msg.data))
            decoded.decode()
            seen.append(decoded)

    monkeypatch.setattr(NetlinkRequest, "prepare", spy)
    return seen


IPROUTE2 = {
    "ip link add zone-d type wireguard": (
        "40000000 10000506 00000000 00000000 00000000 00000000 00000000 00000000"
        "0b000300 7a6f6e65 2d640000 14001200 0d000100 77697265 67756172 64000000"
    ),
    "ip link add zone-b type xfrm dev lo if_id 42": (
        "4c000000 10000506 00000000 00000000 00000000 00000000 00000000 00000000"
        "0b000300 7a6f6e65 2d620000 20001200 08000100 7866726d"
        "14000200 08000200 2a000000 08000100 01000000"
    ),
}
"""What iproute2 6.1 sends for these, as strace shows it; sequence number 0. Index 1 is lo's."""


def _told(message: ifinfmsg) -> object:
    info = message.get("IFLA_LINKINFO")
    data = info.get("IFLA_INFO_DATA")
    return (
        message["header"]["type"],
        message["header"]["flags"],
        message.get("IFLA_IFNAME"),
        info.get("IFLA_INFO_KIND"),
        None if data is None else sorted((name, value) for name, value in data["attrs"]),
        [name for name, _ in message["attrs"]],
    )


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        ("ip link add zone-d type wireguard", {"name": "zone-d", "kind": "wireguard"}),
        (
            "ip link add zone-b type xfrm dev lo if_id 42",
            {"name": "zone-b", "kind": "xfrm", "if_id": 42, "parent": 1},
        ),
    ],
)
def test_the_kernel_is_asked_for_what_iproute2_asks_it_for(sent, command, asked):
    async def scenario():
        async with kernel_links() as links:
            with suppress(LinkError):  # a kernel may not have it
                await links.make(**asked)

    in_namespace(scenario)
    theirs = ifinfmsg(bytes.fromhex(IPROUTE2[command]))
    theirs.decode()
    (ours,) = sent
    assert _told(ours) == _told(theirs)


def test_there_may_be_no_device_file(monkeypatch, tmp_path):
    from gateway.tunnels import tun  # noqa: PLC0415 - what is patched

    monkeypatch.setattr(tun, "_DEVICE", str(tmp_path / "tun"))
    with pytest.raises(LinkError, match="a container must be given the device"):
        tun.make_tun("vpn-a")
    Path(tmp_path, "tun").touch()
    with pytest.raises(LinkError, match="cannot make the tun device vpn-a"):
        tun.make_tun("vpn-a")
