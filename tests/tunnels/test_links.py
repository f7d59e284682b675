"""Devices in a namespace of its own: made, found, renamed, given addresses; what is refused is said in words."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address, ip_interface
from pathlib import Path

import pytest
from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST
from pyroute2.netlink.nlsocket import NetlinkRequest
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from gateway.errors import LinkError
from gateway.tunnels.links import KernelLinks
from gateway.tunnels.netlink import Netlink, refused
from tests.control.namespace import in_namespace, ip

pytestmark = pytest.mark.lab

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


def test_what_is_refused_is_said_in_words():
    async def scenario():
        async with kernel_links() as links:
            ip("link add name dummy0 type veth peer name dummy1")
            with pytest.raises(LinkError, match="cannot make the tun device dummy0: there is a device of that name"):
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


def test_a_wireguard_device_is_asked_for_by_its_kind(sent):
    async def scenario():
        async with kernel_links() as links:
            with suppress(LinkError):  # a kernel may not have it
                await links.make("zone-d", "wireguard")

    in_namespace(scenario)
    (message,) = sent
    assert message["header"]["flags"] == NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL
    assert message.get("IFLA_IFNAME") == "zone-d"
    assert message.get("IFLA_LINKINFO").get("IFLA_INFO_KIND") == "wireguard"


def test_an_xfrm_device_is_asked_for_with_its_if_id_and_parent(sent):
    async def scenario():
        async with kernel_links() as links:
            with suppress(LinkError):
                await links.make("zone-b", "xfrm", if_id=42, parent=1)

    in_namespace(scenario)
    (message,) = sent
    info = message.get("IFLA_LINKINFO")
    assert message.get("IFLA_IFNAME") == "zone-b"
    assert info.get("IFLA_INFO_KIND") == "xfrm"
    data = info.get("IFLA_INFO_DATA")
    assert (data.get("IFLA_XFRM_IF_ID"), data.get("IFLA_XFRM_LINK")) == (42, 1)


def test_there_may_be_no_device_file(monkeypatch, tmp_path):
    from gateway.tunnels import tun  # noqa: PLC0415 - what is patched

    monkeypatch.setattr(tun, "_DEVICE", str(tmp_path / "tun"))
    with pytest.raises(LinkError, match="a container must be given the device"):
        tun.make_tun("vpn-a")
    Path(tmp_path, "tun").touch()
    with pytest.raises(LinkError, match="cannot make the tun device vpn-a"):
        tun.make_tun("vpn-a")
