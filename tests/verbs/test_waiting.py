"""`gateway connect --wait`: until it is connected, or there is no hope left in the time."""

from dataclasses import replace

import pytest

from gateway.model import DriverState, DriverStatus
from gateway.verbs.asking import gateway_at
from gateway.verbs.errors import VerbError
from gateway.verbs.waiting import is_over, until_connected
from tests.admin.fakes import REFUSED, UP
from tests.verbs.test_clients import FAILURE, driver

FIRST = driver("connecting", attempts=1)


@pytest.mark.parametrize(
    ("first", "now", "over"),
    [
        (FIRST, FIRST, False),
        (FIRST, driver("connecting", attempts=2), False),
        (FIRST, driver("reconnecting", attempts=1, failure=FAILURE, retry_in_seconds=2.0), False),
        (FIRST, driver("reconnecting", attempts=1, failure=FAILURE, retry_in_seconds=30.0), True),
        (FIRST, driver("auth_failed", attempts=1, failure=FAILURE, retry_in_seconds=300.0), True),
        (FIRST, driver("stopped", attempts=1), True),
        # What is told is still of the attempt before.
        (driver("stopped"), driver("stopped"), False),
        (driver("auth_failed", attempts=3, failure=FAILURE, retry_in_seconds=300.0),
         driver("auth_failed", attempts=3, failure=FAILURE, retry_in_seconds=299.0), False),
    ],
)  # fmt: skip
def test_when_nothing_more_is_tried(first, now, over):
    assert is_over(first, now, 10.0) is over


@pytest.fixture
async def asking(socket):
    async with gateway_at(socket) as asking:
        yield asking


async def test_a_client_that_is_connected_is_not_waited_for(asking):
    began = {"name": "zone-a", "driver": (await asking.tunnel("zone-a"))["driver"]}
    assert (await until_connected(asking, began, 0.0)).startswith("zone-a is connected to 198.51.100.7:1194")


async def test_one_that_connects_meanwhile(asking, fake):
    began = await asking.connect("zone-b")
    fake.drivers = {"zone-b": replace(UP, tunnel="zone-b")}
    assert (await until_connected(asking, began, 20.0)).startswith("zone-b is connected")


async def test_one_that_is_refused_is_not_waited_for_any_longer(asking, fake):
    began = await asking.connect("zone-b")
    fake.drivers = {"zone-b": replace(REFUSED, retry_at=fake.now + 300.0)}
    with pytest.raises(VerbError, match=r"^zone-b is not connected: wrong password at .*: the server refused the acc"):
        await until_connected(asking, began, 100.0)


async def test_one_that_goes_on_trying_until_the_time_is_up(asking, fake):
    began = await asking.connect("zone-b")
    fake.drivers = {"zone-b": DriverStatus(tunnel="zone-b", state=DriverState.CONNECTING, since=150.0, attempts=1)}
    with pytest.raises(VerbError, match=r"^zone-b is not connected: still connecting$"):
        await until_connected(asking, began, 0.3)


async def test_one_that_was_taken_out_of_the_configuration(asking, fake):
    began = await asking.connect("zone-b")
    fake.drivers = {}
    with pytest.raises(VerbError, match="has no VPN client any more"):
        await until_connected(asking, began, 20.0)
