"""A connection over a device that is none: what it makes of what it reads and hears, without waiting for hours."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from gateway.model import FailureReason, LineLevel, Secret
from gateway.tunnels.wireguard import connection
from gateway.tunnels.wireguard.connection import Connection
from gateway.tunnels.wireguard.device import Address, DeviceError, Peering, Reading
from gateway.tunnels.wireguard.speech import Said
from tests.lab.waiting import eventually
from tests.tunnels.ipsec.support import Ear
from tests.tunnels.wireguard.keys import PEER, PRIVATE

HERE, THERE = Address(ip_address("10.91.1.2"), 51820), Address(ip_address("10.91.1.3"), 51820)
MET = Reading(handshake=1_700_000_000.0, transmitted=180, received=92)
INITIATES = Said(failed=False, text="Sending handshake initiation")


class Device:
    """Says `reading`, or raises it; dies when `death` has a result."""

    def __init__(self) -> None:
        self.reading: Reading | DeviceError = Reading()
        self.death: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.told: list[object] = []

    async def begin(self, peering):
        self.told.append(peering.keepalive)

    async def move(self, public_key, address):
        assert public_key == PEER
        self.told.append(address)

    async def keep_alive(self, public_key, seconds):
        assert public_key == PEER
        self.told.append(seconds)

    async def read(self):
        if isinstance(self.reading, DeviceError):
            raise self.reading
        return self.reading

    async def ended(self):
        return await self.death


class Place:
    """Where the server is said to be."""

    def __init__(self) -> None:
        self.addresses = [HERE]
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        if not self.addresses:
            raise DeviceError(FailureReason.UNREACHABLE, "vpn.example cannot be resolved: no such name")
        return self.addresses


@pytest.fixture(autouse=True)
def _hurried(monkeypatch):
    for name in ("_LOOK", "_LOOK_FOR_FIRST", "_LATE", "_MOVE"):
        monkeypatch.setattr(connection, name, 0.001)
    monkeypatch.setattr(connection, "_FIRST_HANDSHAKE", 5.0)


@pytest.fixture
async def device():
    return Device()


@pytest.fixture
async def ear():
    return Ear()


@pytest.fixture
async def place():
    return Place()


@pytest.fixture
async def alive(device, ear, place):
    peering = Peering(private_key=Secret(PRIVATE), public_key=PEER, address=HERE)
    return Connection(device=device, peering=peering, own=(ip_address("10.9.0.2"),), whereabouts=place, attempt=ear)


@pytest.fixture
async def task(alive):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alive.run())
        yield task
        task.cancel()


async def _until(condition):
    async def asked():
        return condition()

    await eventually(asked, within=5, what="seen")


async def test_it_is_connected_by_the_first_handshake_for_which_alone_a_keepalive_is_set(device, ear, task):
    await _until(lambda: device.told)
    assert not ear.up.is_set()
    device.reading = MET
    await _until(ear.up.is_set)
    assert [each for each in device.told if isinstance(each, int)] == [25, 0]
    assert ear.addresses == ("10.9.0.2",)
    await _until(lambda: ear.counts)
    assert ear.counts[0] == (180, 92)
    assert not task.done()


async def test_handshakes_that_are_tried_again_and_again_end_it(device, ear, alive, task):
    device.reading = MET
    await _until(ear.up.is_set)
    for _ in range(4):
        assert not task.done()
        alive.hear(INITIATES)
    end = await task
    assert end.reason is FailureReason.TIMED_OUT
    assert "3 handshakes in a row got no answer" in str(end)


async def test_while_they_are_the_server_is_looked_for(device, ear, place, alive, task):
    device.reading = MET
    await _until(ear.up.is_set)
    asked = place.asked
    alive.hear(INITIATES)
    alive.hear(INITIATES)
    place.addresses = []
    await _until(lambda: "vpn.example cannot be resolved: no such name" in ear.text)
    place.addresses = [THERE]
    await _until(lambda: THERE in device.told)
    assert "the server is tried at 10.91.1.3:51820, not 10.91.1.2:51820" in ear.text
    assert place.asked > asked
    device.reading = Reading(handshake=MET.handshake, transmitted=300, received=200)
    await _until(lambda: ear.counts[-1] == (300, 200))
    assert not task.done()


async def test_a_device_that_refuses_ends_it(device, ear, task):
    device.reading = MET
    await _until(ear.up.is_set)
    device.reading = DeviceError(FailureReason.NOT_PERMITTED, "not any more")
    end = await task
    assert (end.reason, str(end)) == (FailureReason.NOT_PERMITTED, "not any more")


async def test_where_the_process_has_died_that_is_the_reason_and_not_that_it_is_silent(device, ear, task):
    device.reading = MET
    await _until(ear.up.is_set)
    device.reading = DeviceError(FailureReason.CLIENT_DIED, "it cannot be spoken to")
    await asyncio.sleep(0)
    device.death.set_result("wireguard-go was ended by SIGKILL")
    end = await task
    assert (end.reason, str(end)) == (FailureReason.CLIENT_DIED, "wireguard-go was ended by SIGKILL")


async def test_a_flood_of_lines_is_said_once_and_how_many_there_were(alive, ear, monkeypatch):
    now = 0.0
    monkeypatch.setattr(connection, "_now", lambda: now)
    for port in range(1000):
        alive.hear(Said(failed=False, text=f"Received invalid initiation message from 198.51.100.{port % 250}:{port}"))
        alive.hear(Said(failed=False, text=f"Received invalid response message from [2001:db8::{port:x}]:{port}"))
    alive.hear(Said(failed=False, text="Handshake did not complete after 5 seconds, retrying (try 2)"))
    alive.hear(Said(failed=False, text="Handshake did not complete after 5 seconds, retrying (try 3)"))
    assert [text for _, _, text in ear.lines] == [
        "Received invalid initiation message from 198.51.100.0:0",
        "Received invalid response message from [2001:db8::0]:0",
        "Handshake did not complete after 5 seconds, retrying (try 2)",
        "Handshake did not complete after 5 seconds, retrying (try 3)",
    ]
    now = 11.0
    alive.hear(Said(failed=False, text="Received invalid initiation message from 198.51.100.7:7"))
    assert ear.lines[-1] == (
        LineLevel.WARNING,
        "wireguard",
        "Received invalid initiation message from 198.51.100.7:7 (1000 times)",
    )
