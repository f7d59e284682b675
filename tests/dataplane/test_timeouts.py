"""When a session has been quiet for too long: the decision as a table, then the engine's carrying it out."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.dataplane import engine as engine_module
from gateway.dataplane.session import Phase
from gateway.dataplane.timeouts import overdue
from gateway.model import CloseReason
from tests.dataplane.rig import Rig, eventually

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


async def test_a_look_that_comes_late_finds_nobody_quiet_for_longer(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: looks a little more than a second apart came to count as two, at times, and the busy were reset."""
    rig = plain_rig
    client, server = await rig.session(idle_timeout=1.0)
    await client.echo(server)
    rig.engine._sweep_timer.cancel()
    for moment in (1014.9995, 1016.0005, 1017.0015):
        monkeypatch.setattr(engine_module, "monotonic", lambda moment=moment: moment)
        await client.echo(server)
        rig.engine._sweep_timer.cancel()
        rig.engine._sweep()
        assert rig.stats.closed == {}


async def test_a_look_after_a_standstill_first_hears_who_has_spoken(
    plain_rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = plain_rig
    client, server = await rig.session(idle_timeout=1.0)
    other, _ = await rig.session()
    await client.echo(server)
    usual, stood_still = rig.engine._serve, []

    def serve(events: list[tuple[int, int]]) -> None:
        usual(events)
        if not stood_still:
            stood_still.append(True)
            client.sock.send(b"meanwhile")
            time.sleep(1.1)

    seconds_pass(rig, 0)  # so it is overdue at the next look, unless it speaks before
    monkeypatch.setattr(rig.engine, "_serve", serve)
    await other.send(b"x")
    assert await server.receive() == b"meanwhile"
    await eventually(lambda: stood_still)
    assert rig.stats.closed == {}


def seconds_pass(rig: Rig, seconds: int) -> None:
    """As if all sessions had been quiet for `seconds` more, and the engine's look at them were due."""
    for session in rig.sessions:
        session.last_active -= seconds
    rig.engine._sweep_timer.cancel()
    rig.engine._sweep()


@pytest.mark.parametrize("first", ["client", "target"])
async def test_half_closed_for_too_long(rig: Rig, first: str) -> None:
    client, server = await rig.session(half_close_timeout=60.0, idle_timeout=3600.0)
    ending, other = (client, server) if first == "client" else (server, client)
    await ending.send(b"bye")
    ending.finish_sending()
    assert await other.receive_all() == b"bye"
    seconds_pass(rig, 50)
    assert rig.engine.sessions == 1
    seconds_pass(rig, 20)
    await ending.receive_until_reset()
    await other.send_until_reset()
    assert rig.stats.closed == {("forward-0", HALF): 1}


async def test_half_closed_and_busy_lives_on(rig: Rig) -> None:
    client, server = await rig.session(half_close_timeout=60.0)
    client.finish_sending()
    assert await server.receive() == b""
    for _ in range(3):
        seconds_pass(rig, 50)
        await server.send(b"still here")
        assert await client.receive_exactly(10) == b"still here"
    assert rig.engine.sessions == 1
    seconds_pass(rig, 70)
    assert rig.stats.closed == {("forward-0", HALF): 1}


async def test_a_session_is_idle_for_its_own_forwards_time(rig: Rig) -> None:
    await rig.session(idle_timeout=60.0)
    await rig.session(idle_timeout=600.0)
    await eventually(lambda: len(rig.stats.connect_seconds) == 1 and sum(rig.stats.connections.values()) == 2)
    seconds_pass(rig, 100)
    assert rig.stats.closed == {("forward-0", IDLE): 1}
