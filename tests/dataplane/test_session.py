"""What a session is at its beginning, also when it was another one before."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.dataplane import session as session_module
from gateway.dataplane.session import UNCONNECTED, Phase, Pump, Session, Sessions
from gateway.model import CloseReason
from tests.dataplane.rig import Rig

SET_BY_THE_DIALER = {"attempt", "dial_batch"}


def begun(sessions: Sessions, plan: object, client: object) -> Session:
    return sessions.take(cast("Any", plan), cast("Any", client), ("192.0.2.1", 5), 12.5, 12)


def fields(thing: Session | Pump) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in thing.__slots__ if hasattr(thing, name)}


def test_a_session_begins_dialling_with_its_two_pumps_facing_each_other() -> None:
    plan, client = object(), object()
    session = begun(Sessions(), plan, client)
    up, down = session.up, session.down
    assert session.phase is Phase.DIALLING
    assert (up.twin, down.twin) == (down, up)
    assert up.session is down.session is session
    assert up.source is client
    assert down.source is UNCONNECTED
    assert (session.plan, session.client, session.tried, session.watched) == (plan, ("192.0.2.1", 5), (), False)
    assert session.accepted_at == session.dialled_at == 12.5
    assert session.last_active == 12
    for pump in (up, down):
        assert (pump.moved, pump.full_reads, pump.held, pump.ended, pump.read_on) == (0, 0, None, False, False)


def test_a_session_that_was_used_before_is_as_new() -> None:
    sessions = Sessions()
    used = begun(sessions, object(), object())
    used.tried = (cast("Any", object()),)
    used.watched = True
    used.phase = Phase.RELAYING
    used.dial_batch = 77
    used.dialled_at += 3
    used.last_active += 3
    for pump in (used.up, used.down):
        pump.source = cast("Any", object())
        pump.moved = pump.full_reads = 9
        pump.read_on = pump.ended = True
    sessions.put_away(used)
    assert used.phase is Phase.ENDED
    assert used.up.source is used.down.source is UNCONNECTED
    plan, client = object(), object()
    again, new = begun(sessions, plan, client), begun(Sessions(), plan, client)
    assert again is used
    same = fields(new).keys() - {"up", "down"}
    assert {name: getattr(again, name) for name in same} == {name: getattr(new, name) for name in same}
    assert fields(again).keys() - fields(new).keys() <= SET_BY_THE_DIALER
    for ours, theirs in ((again.up, new.up), (again.down, new.down)):
        for name in fields(theirs).keys() - {"session", "twin"}:
            assert getattr(ours, name) == getattr(theirs, name), name


def test_no_more_are_put_away_than_a_burst_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "_MOST_IDLE", 3)
    sessions = Sessions()
    for session in [begun(sessions, object(), object()) for _ in range(5)]:
        sessions.put_away(session)
    assert len(sessions._idle) == 3


def test_the_stand_in_for_an_upstream_can_do_nothing() -> None:
    assert UNCONNECTED.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        UNCONNECTED.send(b"x")


def test_a_session_has_no_dict() -> None:
    """A few hundred bytes each, thousands of them."""
    session = begun(Sessions(), object(), object())
    assert not hasattr(session, "__dict__")
    assert not hasattr(session.up, "__dict__")


async def test_an_ended_session_with_work_left_over_does_no_harm_to_the_one_that_takes_it_over(rig: Rig) -> None:
    """Its pump is among those that go on in the next turn, and belongs to another session by then."""
    target = rig.target()
    at = rig.forward(target.endpoint)
    client, server = await rig.pair(at, target)
    await client.echo(server)
    (session,) = rig.sessions
    rig.engine._relay.unfinished = {session.up: None, session.down: None}
    rig.engine.finish(session, CloseReason.ERROR)
    following, following_server = await rig.pair(at, target)
    assert rig.sessions == [session]
    await following.echo(following_server)
    following.finish_sending()
    assert await following_server.receive() == b""
    following_server.finish_sending()
    assert await following.receive() == b""
    await rig.idle()
    assert rig.stats.closed == {("forward-0", CloseReason.ERROR): 1, ("forward-0", CloseReason.EOF): 1}
