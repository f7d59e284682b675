"""When a session has been quiet for too long: the decision as a table, then the engine's carrying it out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dataplane.session import Phase
from gateway.dataplane.timeouts import overdue
from gateway.model import CloseReason
from tests.dataplane.rig import Rig

IDLE, HALF = CloseReason.IDLE, CloseReason.HALF_CLOSE_TIMEOUT


@pytest.mark.parametrize(
    ("quiet", "phase", "up_ended", "down_ended", "reason"),
    [
        (100, Phase.RELAYING, False, False, None),
        (101, Phase.RELAYING, False, False, IDLE),
        (10_000, Phase.DIALLING, False, False, None),  # the connect timeout's business
        (10_000, Phase.ENDED, False, False, None),
        (20, Phase.RELAYING, True, False, None),
        (21, Phase.RELAYING, True, False, HALF),
        (21, Phase.RELAYING, False, True, HALF),
        (21, Phase.RELAYING, False, False, None),
    ],
)
def test_overdue(quiet: int, phase: Phase, up_ended: bool, down_ended: bool, reason: CloseReason | None) -> None:
    session: Any = SimpleNamespace(
        phase=phase,
        last_active=1000,
        up=SimpleNamespace(ended=up_ended),
        down=SimpleNamespace(ended=down_ended),
        plan=SimpleNamespace(
            forward=SimpleNamespace(spec=SimpleNamespace(idle_timeout=100.0, half_close_timeout=20.0))
        ),
    )
    assert overdue(session, 1000 + quiet) is reason


async def test_an_idle_session_is_reset_and_a_busy_one_is_not(plain_rig: Rig) -> None:
    rig = plain_rig
    client, server = await rig.session(idle_timeout=1.0)
    busy_client, busy_server = await rig.session(idle_timeout=1.0)
    while rig.stats.closed == {}:
        await busy_client.echo(busy_server)
    assert rig.stats.closed == {("forward-0", IDLE): 1}
    await client.receive_until_reset()
    await server.receive_until_reset()
    await busy_client.echo(busy_server)


@pytest.mark.parametrize("first", ["client", "target"])
async def test_half_closed_for_too_long(plain_rig: Rig, first: str) -> None:
    rig = plain_rig
    client, server = await rig.session(half_close_timeout=1.0)
    ending, other = (client, server) if first == "client" else (server, client)
    await ending.send(b"bye")
    ending.finish_sending()
    assert await other.receive_all() == b"bye"
    await ending.receive_until_reset()
    await other.send_until_reset()
    assert rig.stats.closed == {("forward-0", HALF): 1}


async def test_half_closed_and_busy_lives_on(plain_rig: Rig) -> None:
    rig = plain_rig
    client, server = await rig.session(half_close_timeout=1.0)
    client.finish_sending()
    assert await server.receive() == b""
    started = rig.engine._relay.tick
    while rig.engine._relay.tick < started + 3:
        await server.send(b"still here")
        assert await client.receive_exactly(10) == b"still here"
    assert rig.engine.sessions == 1
