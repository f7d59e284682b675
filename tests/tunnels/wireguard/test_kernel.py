"""The kernel's device, with a kernel that is none: it keeps what it is told, and answers as in the messages' tests."""

from __future__ import annotations

import asyncio
import errno
import threading
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.errors import LinkError
from gateway.model import Endpoint, FailureReason, Secret, TunnelKind, TunnelSpec, WireguardSpec
from gateway.tunnels.tools import Link, Tools
from gateway.tunnels.wireguard import client, messages
from gateway.tunnels.wireguard.client import WireguardClient
from gateway.tunnels.wireguard.device import Address, DeviceError, Peering, Reading
from gateway.tunnels.wireguard.kernel import KernelDevice, lacks
from tests.tunnels.ipsec.support import Ear
from tests.tunnels.no_roads import NoRoads
from tests.tunnels.wireguard import test_messages as told
from tests.tunnels.wireguard.keys import PEER, PRIVATE, PUBLIC

PEERING = Peering(private_key=Secret(PRIVATE), public_key=PEER, address=Address(ip_address("10.91.1.2"), 51820))
ANOTHER = PEER


class Kernel:
    """Devices and family in one. `refusal` is raised by the next conversation."""

    def __init__(self, *found: Link) -> None:
        self.devices = {link.name: link for link in found}
        self.orders: list[bytes] = []
        self.done: list[str] = []
        self.answers = [told.answer(public_key=None)]
        self.refusal: int | None = None

    async def find(self, name):
        return self.devices.get(name)

    async def make(self, name, kind):
        self.done.append(f"make {kind}")
        self.devices[name] = _link(kind)

    async def remove(self, name):
        self.done.append("remove")
        self.devices.pop(name, None)

    async def configure(self, name, *, addresses, mtu):
        assert name in self.devices
        self.done.append(f"{', '.join(map(str, addresses))}, {mtu}")

    def __call__(self, family):
        assert family == "wireguard"
        return self

    def __enter__(self):
        if self.refusal is not None:
            raise OSError(self.refusal, "refused")
        return self

    def __exit__(self, *_):
        pass

    def order(self, message):
        self.orders.append(message)

    def dump(self, message):
        assert message == messages.ask("zone-d")
        return self.answers


def _link(kind):
    return Link(index=7, name="zone-d", kind=kind, mtu=1420, up=False)


def _device(kernel):
    return KernelDevice("zone-d", PUBLIC, kernel, kernel)


async def test_a_device_is_made_told_read_and_removed():
    kernel = Kernel()
    device = _device(kernel)
    await device.open()
    await device.begin(PEERING)
    kernel.answers = [told.answer(peer=told.MET)]
    assert await device.read() == Reading(handshake=1_700_000_000.5, transmitted=180, received=92)
    await device.move(PEER, PEERING.address)
    await device.keep_alive(PEER, 0)
    await device.forget()
    assert kernel.orders == [
        messages.begin("zone-d", PEERING),
        messages.move("zone-d", PEER, PEERING.address),
        messages.keep_alive("zone-d", PEER, 0),
        messages.forget("zone-d"),
    ]
    await device.open()  # for the next connection
    await device.close()
    await device.close()
    assert kernel.done == ["make wireguard", "remove"]


async def test_what_is_cancelled_and_goes_on_is_not_overtaken_by_what_takes_it_back():
    begun, goes_on = threading.Event(), threading.Event()

    class Slow(Kernel):
        def order(self, message):
            if message == messages.begin("zone-d", PEERING):
                begun.set()
                assert goes_on.wait(5.0)
            super().order(message)

    kernel = Slow()
    device = _device(kernel)
    async with asyncio.TaskGroup() as group:
        beginning = group.create_task(device.begin(PEERING))
        assert await asyncio.to_thread(begun.wait, 5.0)
        beginning.cancel()
        forgetting = group.create_task(device.forget())
        assert await asyncio.wait({forgetting}, timeout=0.05) == (set(), {forgetting})
        goes_on.set()
    assert kernel.orders == [messages.begin("zone-d", PEERING), messages.forget("zone-d")]


@pytest.mark.parametrize("public_key", [PUBLIC, None])
async def test_what_an_earlier_life_has_left_is_made_anew(public_key):
    kernel = Kernel(_link("wireguard"))
    kernel.answers = [told.answer(public_key=public_key)]
    await _device(kernel).open()
    assert kernel.done == ["remove", "make wireguard"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("wireguard", f"a WireGuard device with another key \\(its public key is {ANOTHER}\\)"),
        ("veth", "a device called zone-d exists and is a veth device"),
        ("", "a device called zone-d exists and is a physical device"),
    ],
)
async def test_what_is_somebody_elses_is_left_alone(kind, text):
    kernel = Kernel(_link(kind))
    kernel.answers = [told.answer(public_key=ANOTHER)]
    device = _device(kernel)
    with pytest.raises(DeviceError, match=text) as caught:
        await device.open()
    assert caught.value.reason is FailureReason.CONFIGURATION
    await device.close()
    assert kernel.done == []
    assert "zone-d" in kernel.devices


async def test_closing_raises_nothing():
    class Stubborn(Kernel):
        async def remove(self, name):
            raise LinkError(f"remove the device {name}: busy", errno.EBUSY)

    device = _device(Stubborn())
    await device.open()
    await device.close()


async def test_a_device_that_somebody_has_deleted_is_made_again():
    kernel = Kernel()
    device = _device(kernel)
    await device.open()
    kernel.devices.clear()
    await device.open()
    assert kernel.done == ["make wireguard"] * 2


@pytest.mark.parametrize(
    ("number", "reason", "text"),
    [
        (errno.ENODEV, FailureReason.CLIENT_DIED, "somebody has deleted the device zone-d"),
        (errno.EPERM, FailureReason.NOT_PERMITTED, "Operation not permitted: CAP_NET_ADMIN is missing"),
        (errno.EINVAL, FailureReason.OTHER, "the kernel's WireGuard refuses to set up zone-d: Invalid argument"),
    ],
)
async def test_what_the_kernel_refuses(number, reason, text):
    kernel = Kernel()
    kernel.refusal = number
    with pytest.raises(DeviceError, match=text) as caught:
        await _device(kernel).begin(PEERING)
    assert caught.value.reason is reason


async def test_it_has_no_process_that_could_end():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await _device(Kernel()).ended()


def test_a_kernel_without_wireguard_is_told_from_one_that_refuses():
    assert lacks(LinkError("no such kind", errno.EOPNOTSUPP))
    assert not lacks(LinkError("not permitted", errno.EPERM))


async def test_a_whole_connection_over_it(monkeypatch):
    """The client as it is, with this kernel: connected, the device kept for the next connection, gone at the end."""
    kernel = Kernel()
    kernel.answers = [told.answer(peer=told.MET)]
    monkeypatch.setattr(client, "KernelDevice", partial(KernelDevice, converse=kernel))
    vpn = WireguardSpec(
        servers=(Endpoint("127.0.0.1", 51820),),
        private_key=Secret(PRIVATE),
        peer_public_key=PEER,
        addresses=("10.9.0.2/24",),
    )
    spec = TunnelSpec(name="zone-d", kind=TunnelKind.WIREGUARD, interface="zone-d", vpn=vpn)
    gateway = WireguardClient(spec, Tools(links=kernel, roads=NoRoads(), runtime=Path("/nowhere")))
    for _ in range(2):
        async with asyncio.TaskGroup() as group:
            ear = Ear()
            run = group.create_task(gateway.run(None, ear))
            async with asyncio.timeout(5):
                await ear.up.wait()
            run.cancel()
        assert kernel.orders[-1] == messages.forget("zone-d")
    assert kernel.done == ["make wireguard", *["10.9.0.2/24, 1420"] * 2]
    await gateway.close()
    assert kernel.done[-1] == "remove"
    peering = replace(PEERING, address=Address(ip_address("127.0.0.1"), 51820), keepalive=25)
    assert kernel.orders[:2] == [messages.begin("zone-d", peering), messages.keep_alive("zone-d", PEER, 0)]
