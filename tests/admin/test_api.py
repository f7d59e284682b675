"""/api/v1 over the control socket and over TCP."""

import asyncio
import json

import pytest

from gateway.admin.api import Api
from gateway.model import AdminState, ControlView
from tests.admin.fakes import forward

CHANGES = [
    "/api/v1/tunnels/zone-a/enable",
    "/api/v1/tunnels/zone-a/disable",
    "/api/v1/tunnels/zone-a/drain",
    "/api/v1/tunnels/zone-a/drill",
    "/api/v1/failback/hello",
    "/api/v1/tunnels/zone-a/connect",
    "/api/v1/tunnels/zone-a/disconnect",
]


async def post(session, path: str, body: object = None, **headers: str) -> tuple[int, dict]:
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    async with session.post(path, data=data, headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


# ---------------------------------------------------------------- questions, anywhere


@pytest.fixture(params=["TCP", "Unix"])
def session(request, client, operator):
    return {"TCP": client, "Unix": operator}[request.param]


async def test_questions_are_answered_at_both_doors(session):
    async with session.get("/api/v1/status") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        document = await answer.json()
    assert [each["name"] for each in document["tunnels"]] == ["zone-a", "zone-b"]
    assert (document["version"], document["environment"], document["phase"]) == ("1.2.3", "test", "running")
    async with session.get("/api/v1/explain/hello") as answer:
        assert answer.status == 200
        assert (await answer.json())["forward"]["active"] == "zone-a"


async def test_one_tunnel_alone(session):
    async with session.get("/api/v1/tunnels/zone-b") as answer:
        assert (answer.status, answer.content_type) == (200, "application/json")
        document = await answer.json()
    async with session.get("/api/v1/status") as answer:
        assert document == (await answer.json())["tunnels"][1]
    async with session.get("/api/v1/tunnels/zone-x") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "no tunnel 'zone-x': there are zone-a, zone-b"


async def test_a_forward_that_there_is_not(session):
    async with session.get("/api/v1/explain/hallo") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "no forward 'hallo': there are hello, ldap"


async def test_the_loop_turns_while_the_status_of_ten_thousand_forwards_is_made(fake, operator):
    fake.view = ControlView(forwards=tuple(forward(f"forward-{number}") for number in range(10_000)))
    turns = 0
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.001)
                turns += 1

        turning = group.create_task(turn())
        async with operator.get("/api/v1/status") as answer:
            assert len((await answer.json())["forwards"]) == 10_000
        turning.cancel()
    assert turns > 20, "the loop stood still while the answer was made"


# ---------------------------------------------------------------- changes, at the control socket


@pytest.mark.parametrize(("verb", "admin"), [("enable", AdminState.ENABLED), ("disable", AdminState.DISABLED)])
async def test_enable_and_disable(fake, operator, verb, admin):
    status, document = await post(operator, f"/api/v1/tunnels/zone-a/{verb}")
    assert (status, document["name"], document["admin"]) == (200, "zone-a", admin)
    [(what, tunnel, asked, timeout, _)] = fake.operations.asked
    assert (what, tunnel, asked, timeout) == ("set_admin", "zone-a", admin, None)


@pytest.mark.parametrize(
    ("body", "seconds"), [(None, None), ({}, None), ({"timeout": "1m30s"}, 90.0), ({"timeout": "0s"}, 0.0)]
)
async def test_drain(fake, operator, body, seconds):
    status, document = await post(operator, "/api/v1/tunnels/zone-a/drain", body)
    assert (status, document["admin"]) == (200, "draining")
    assert fake.operations.asked[0][:4] == ("set_admin", "zone-a", AdminState.DRAINING, seconds)


@pytest.mark.parametrize(("body", "seconds"), [(None, 10.0), ({"for": "500ms"}, 0.5)])
async def test_drill(fake, operator, body, seconds):
    status, document = await post(operator, "/api/v1/tunnels/zone-a/drill", body)
    assert status == 200
    assert (document["tunnel"], document["seconds"], document["recovered"], document["restored"]) == (
        "zone-a", seconds, True, True,
    )  # fmt: skip
    assert [each["to_tunnel"] for each in document["forwards"]] == ["zone-b", "zone-b"]
    assert fake.operations.asked[0][:3] == ("drill", "zone-a", seconds)


@pytest.mark.parametrize(("verb", "state"), [("connect", "connecting"), ("disconnect", "stopped")])
async def test_connect_and_disconnect(fake, operator, verb, state):
    status, document = await post(operator, f"/api/v1/tunnels/zone-a/{verb}")
    assert (status, document["name"], document["driver"]["state"]) == (200, "zone-a", state)
    assert document["driver"]["server"] == "198.51.100.7:1194"
    assert fake.operations.asked[0][:2] == (verb, "zone-a")


@pytest.mark.parametrize("name", ["hello", "zone-b"])
async def test_failback_of_a_forward_or_of_a_tunnel(fake, operator, name):
    assert await post(operator, f"/api/v1/failback/{name}") == (200, {"name": name, "moved": ["hello"]})
    assert fake.operations.asked[0][:2] == ("failback", name)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("path", CHANGES)
async def test_what_would_do_harm_is_a_conflict(fake, operator, path):
    fake.operations.refusal = "it would leave ldap without any tunnel"
    assert await post(operator, path) == (409, {"error": "it would leave ldap without any tunnel"})


@pytest.mark.parametrize("verb", ["enable", "disable", "drain", "drill", "connect", "disconnect"])
async def test_a_tunnel_that_there_is_not(fake, operator, verb):
    says = "no tunnel 'zone-c': there are zone-a, zone-b"
    assert await post(operator, f"/api/v1/tunnels/zone-c/{verb}") == (404, {"error": says})
    assert fake.operations.asked == []


async def test_neither_a_tunnel_nor_a_forward(operator):
    status, document = await post(operator, "/api/v1/failback/zone-z")
    assert status == 404
    assert document["error"].startswith("no tunnel or forward 'zone-z': there are zone-")


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        (CHANGES[2], {"timeout": 25}, '"timeout": must be a duration'),
        (CHANGES[2], {"timeout": "soon"}, '"timeout": must be a duration'),
        (CHANGES[2], {"timeout": "8d"}, '"timeout": at most 7d'),
        (CHANGES[2], {"for": "1s"}, 'the key "for" is unknown: only "timeout" is'),
        (CHANGES[3], {"for": "0s"}, '"for": a drill lasts longer than nothing'),
        (CHANGES[3], {"for": "2h"}, '"for": at most 1h'),
        (CHANGES[0], {"timeout": "1s"}, 'the key "timeout" is unknown: none is known here'),
        (CHANGES[4], [], "the body is no JSON object"),
        (CHANGES[5], {"by": "me"}, 'the key "by" is unknown: none is known here'),
        (CHANGES[3], b"for=10s", "the body is no JSON"),
        (CHANGES[3], b"\xff\xfe", "the body is no JSON"),
        (CHANGES[3], b"[" * 60_000, "the body is no JSON"),
    ],
)
async def test_what_cannot_be_understood(fake, operator, path, body, says):
    status, document = await post(operator, path, body)
    assert status == 400
    assert document["error"].startswith(says)
    assert fake.operations.asked == []


async def test_an_outsized_body_is_not_read(fake, operator):
    status, _ = await post(operator, CHANGES[3], b" " * (64 * 1024 + 1))
    assert status == 413
    assert fake.operations.asked == []


@pytest.mark.parametrize("path", CHANGES)
async def test_browsers_change_nothing(fake, operator, path):
    status, document = await post(operator, path, Origin="http://localhost")
    assert (status, document["error"]) == (403, "a browser may change nothing here")
    assert fake.operations.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", CHANGES)
async def test_changes_are_posts(operator, method, path):
    async with operator.request(method, path) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json())["error"] == "Method Not Allowed"


async def test_questions_are_gets(operator):
    assert (await post(operator, "/api/v1/status"))[0] == 405


@pytest.mark.parametrize("path", CHANGES)
async def test_over_tcp_nothing_is_changed_and_the_socket_is_named(fake, control, client, path):
    status, document = await post(client, path)
    assert status == 403
    assert document["error"] == f"changes are made through the control socket only; here that is {control.path}"
    assert fake.operations.asked == []


async def test_over_tcp_without_a_control_socket_it_says_how_to_have_one(fake, client, control):
    await control.close()
    _, document = await post(client, CHANGES[0])
    assert document["error"].endswith("this gateway has none: see [admin] socket")


async def test_every_change_is_refused_over_tcp(fake):
    refused = {route.path for route in fake.api.refused_changes(lambda: None)}
    assert refused == {route.path for route in fake.api.changes(str)}


async def test_what_a_gateway_does_not_have_has_no_routes(fake):
    without = Api(fake.api._sources, fake.operations)
    paths = {route.path for route in (*without.questions(), *without.changes(str))}
    more = {route.path for route in (*fake.api.questions(), *fake.api.changes(str))} - paths
    assert more == {
        "/api/v1/tunnels/{name}/connect",
        "/api/v1/tunnels/{name}/disconnect",
        "/api/v1/logs",
        "/api/v1/logs/stream",
        "/api/v1/activity",
        "/api/v1/activity/stream",
    }


async def test_vpn_clients_and_certificates_are_in_the_status(operator):
    async with operator.get("/api/v1/status") as answer:
        zone_a, zone_b = (await answer.json())["tunnels"]
    assert (zone_a["driver"]["state"], zone_b["driver"]["state"]) == ("connected", "auth_failed")
    assert [each["expires_in_seconds"] for each in zone_a["certificates"]] == [3600, 7200, -60]
    assert zone_b["certificates"] == []
