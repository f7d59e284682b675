"""Who is asked: few of many, whoever lives and whoever is stuck, from every lane in its turn."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from gateway.dataplane import tcp_info
from gateway.dataplane.ledger import Lane, Ledger
from gateway.dataplane.plan import Attempt
from gateway.dataplane.sample import choose, readings
from gateway.dataplane.session import Phase, Session
from gateway.model import ForwardSpec
from tests.dataplane.rig import Rig, eventually
from tests.dataplane.test_tcp_info import QUIET

TICK = 1000


class Scene:
    """A ledger with sessions that have no sockets: what the kernel would say of each is said by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lanes: int = 1) -> None:
        ledger = Ledger()
        self.tunnel = ledger.tunnel("a")
        self.lanes = [
            ledger.lane(ledger.forward(ForwardSpec(name=f"f{number}", ports=(), tunnels=("a",))), self.tunnel)
            for number in range(lanes)
        ]
        self.said: dict[Session, tcp_info.TcpInfo] = {}
        self.asked = 0
        monkeypatch.setattr(tcp_info, "read", self._read)

    def _read(self, session: Session) -> tcp_info.TcpInfo:
        self.asked += 1
        return self.said.get(session, QUIET)

    def sessions(self, count: int, *, quiet: int = 0, lane: int = 0, phase: Phase = Phase.RELAYING) -> list[Session]:
        """So many of one lane that have been quiet for so many seconds."""
        return [self._session(self.lanes[lane], quiet, phase) for _ in range(count)]

    def stuck(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self.said[session] = QUIET._replace(unacked=1, backoff=3, rto=1_600_000, busy_time=9_000_000)

    @staticmethod
    def _session(lane: Lane, quiet: int, phase: Phase) -> Session:
        session = Session()
        session.attempt = Attempt(lane, lane.path, "10.0.0.1", 1)  # type: ignore[arg-type]
        session.phase, session.last_active = phase, TICK - quiet
        session.down = type("Stub", (), {"source": session})()
        lane.sessions.add(session)
        return session


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_few_sessions_are_all_in_it_unless_they_have_been_quiet_for_long(scene: Scene) -> None:
    wanted = {*scene.sessions(3), *scene.sessions(3, quiet=1), *scene.sessions(1, quiet=8)}
    scene.sessions(5, quiet=9)
    scene.sessions(5, phase=Phase.DIALLING)
    assert set(choose(scene.tunnel, (), TICK)) == wanted


def test_of_many_a_bounded_number_both_active_and_quiet(scene: Scene) -> None:
    active, quiet = set(scene.sessions(5000)), set(scene.sessions(5000, quiet=2))
    chosen = choose(scene.tunnel, (), TICK)
    assert len(chosen) == len(set(chosen)) <= 80
    assert len(active & set(chosen)) >= 16
    assert len(quiet & set(chosen)) >= 16
    assert scene.asked == 0


def test_who_waits_stays_as_long_as_it_waits_however_many_others_come(scene: Scene) -> None:
    stuck = scene.sessions(3, quiet=1)
    chosen = choose(scene.tunnel, (), TICK)
    scene.stuck(stuck)
    scene.sessions(500)
    scene.sessions(500, quiet=1)
    for second in range(1, 100):
        chosen = choose(scene.tunnel, chosen, TICK + second)
        assert set(stuck) <= set(chosen)
    del scene.said[stuck[0]]
    assert not {stuck[0]} & set(choose(scene.tunnel, chosen, TICK + 100))


def test_who_waits_in_great_number_is_bounded_too_and_hides_nobody_who_lives(scene: Scene) -> None:
    stuck = scene.sessions(200, quiet=1)
    scene.stuck(stuck)
    chosen: list[Session] = []
    for second in range(5):
        alive = scene.sessions(16, quiet=-second)
        scene.asked = 0
        chosen = choose(scene.tunnel, chosen, TICK + second)
        assert len(chosen) <= 80
        assert scene.asked <= 80
        assert set(alive) & set(chosen)


def test_every_lane_has_its_share_and_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, lanes=200)
    scene.sessions(1000, quiet=1, lane=0)
    for lane in range(1, 200):
        scene.sessions(2, quiet=1, lane=lane)
    seen: set[int] = set()
    for second in range(7):
        chosen = choose(scene.tunnel, (), TICK + second)
        lanes = [id(session.attempt.lane) for session in chosen]
        assert len(lanes) == len(set(lanes)) == 32
        seen.update(lanes)
    assert len(seen) == 200


def test_a_session_that_is_over_or_rides_elsewhere_is_not_asked(scene: Scene) -> None:
    here, over, elsewhere, closed = scene.sessions(4)
    ledger = Ledger()
    other = ledger.lane(ledger.forward(ForwardSpec(name="f", ports=(), tunnels=())), ledger.tunnel("b"))
    over.phase = Phase.ENDED
    elsewhere.attempt = Attempt(other, None, "10.0.0.1", 1)  # type: ignore[arg-type]
    scene.said[closed] = QUIET._replace(state=7)
    assert readings(scene.tunnel, [here, over, elsewhere, closed]) == [(here, QUIET)]
    assert scene.asked == 2


async def test_the_engine_chooses_once_a_second_and_asks_the_upstreams(plain_rig: Rig) -> None:
    client, server = await plain_rig.session()
    await client.echo(server)
    await eventually(lambda: plain_rig.engine._samples.get("lo-a"))
    tunnel = plain_rig.engine._ledger.tunnel("lo-a")
    ((session, info),) = readings(tunnel, plain_rig.engine._samples["lo-a"])
    assert [session] == plain_rig.sessions
    assert info.bytes_acked == 1 + len(b"ping")
    client.reset()
    await plain_rig.idle()
    assert readings(tunnel, [session]) == []
