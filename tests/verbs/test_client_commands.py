"""`gateway connect` and `disconnect` as processes of their own."""

from dataclasses import replace

import pytest

from gateway.model import DriverState
from tests.admin.fakes import REFUSED, UP


@pytest.mark.parametrize(
    ("arguments", "asked", "says"),
    [
        (("connect", "zone-b"), ("connect", "zone-b"), "zone-b is connecting to 198.51.100.7:1194, 1 attempt so far\n"),
        (("disconnect", "zone-a"), ("disconnect", "zone-a"), "zone-a is stopped\n"),
    ],
)
async def test_they_say_where_the_client_stands_then(verb, fake, arguments, asked, says):
    done = await verb(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, says, "")
    [(*what, by)] = fake.operations.asked
    assert tuple(what) == asked
    assert by.startswith("uid ")


async def test_waiting_for_a_connection(verb, fake):
    fake.drivers = {"zone-b": replace(UP, tunnel="zone-b")}
    done = await verb("connect", "zone-b", "--wait", "20s")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("zone-b is connected to 198.51.100.7:1194 as 10.8.0.2")


async def test_waiting_in_vain(verb, fake):
    fake.drivers = {"zone-b": replace(REFUSED, retry_at=fake.now + 300.0)}
    done = await verb("connect", "zone-b", "--wait", "20s")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gateway: zone-b is not connected: wrong password at 198.51.100.7:1194: the server refused the account myuser\n"
    )


async def test_a_wait_that_is_no_duration_is_a_usage_error(verb, fake):
    done = await verb("connect", "zone-b", "--wait", "30")
    assert done.returncode == 2
    assert "--wait" in done.stderr
    assert "must be a duration" in " ".join(done.stderr.replace("│", " ").split())
    assert fake.operations.asked == []


@pytest.mark.parametrize("order", ["connect", "disconnect"])
async def test_a_refusal_is_a_failure_with_its_reason(verb, fake, order):
    fake.operations.refusal = "zone-a has no VPN client: somebody else makes its device"
    done = await verb(order, "zone-a")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"gateway: {fake.operations.refusal}\n"
    done = await verb(order, "zone-x")
    assert (done.returncode, done.stderr) == (1, "gateway: no tunnel 'zone-x': there are zone-a, zone-b\n")


async def test_a_word_of_the_server_does_nothing_to_the_terminal(verb, fake):
    failure = replace(REFUSED.failure, detail="\x1b[2Jno")
    fake.drivers = {
        "zone-b": replace(REFUSED, failure=failure, retry_at=fake.now + 300.0, state=DriverState.AUTH_FAILED)
    }
    for arguments in (("connect", "zone-b", "--wait", "20s"), ("status",)):
        done = await verb(*arguments)
        assert "\\x1b[2Jno" in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr
