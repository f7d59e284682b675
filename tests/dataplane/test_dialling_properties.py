"""Dialling as a property, on random walks: clients come and go, tunnels and targets rise and fall, time passes.

After each step the books must balance: who waits, who is dialled, who is raced, and whose every descriptor is. At the
end nobody is left hanging, and nothing is left open.
"""

from __future__ import annotations

import asyncio
import random
import socket
from contextlib import ExitStack, suppress

import pytest

from gateway.dataplane.hedging import Race
from gateway.dataplane.session import UNCONNECTED, Phase, Session
from gateway.model import ConnectResult, Endpoint, HedgeResult, WhenDown
from tests.dataplane.rig import (
    DEADLINE,
    OPTIONS,
    Peer,
    Rig,
    eventually,
    free_port,
    open_descriptors,
    running_rig,
    seeded,
)
from tests.dataplane.test_hedging import SOURCES, silent, way

HOSTS = ("::1", "127.0.0.1")


def check_the_books(rig: Rig) -> None:
    engine = rig.engine
    dialler, holds, stats = engine._dialer, engine._holds, rig.stats
    laned = rig.sessions
    assert len(laned) == len(set(laned)), "a session is in one lane"
    assert engine.sessions == stats.sessions == len(laned) + len(holds.held)
    assert engine.sessions == sum(entry.active for entry in engine._ledger.forwards.values())
    for lane in engine._ledger.lanes():
        assert all(session.attempt.lane is lane for session in lane.sessions)
        assert all(race.attempt.lane is lane for race in lane.races)
    assert {it for it in laned if it.phase is Phase.DIALLING} == set(dialler.dialling)
    races = dialler.hedging.under_way.keys()
    assert races == {race for lane in engine._ledger.lanes() for race in lane.races}
    for race in races:
        _check_race(rig, race)
    assert set(holds.held).isdisjoint(laned)
    assert holds._ready.keys() | holds._again.keys() <= holds.held.keys()
    assert holds._ready.keys().isdisjoint(holds._again)
    for session in (*laned, *holds.held):
        _check_session(rig, session)


def _check_race(rig: Rig, race: Race) -> None:
    session = race.session
    assert session.race is race
    assert session.phase is Phase.DIALLING
    assert race.attempt.lane is not session.attempt.lane
    assert rig.engine.sources[race.source.fileno()] is race


def _check_session(rig: Rig, session: Session) -> None:
    sources = rig.engine.sources
    assert sources[session.up.source.fileno()] is session.up
    if session.phase is Phase.HELD:
        assert session.down.source is UNCONNECTED
        assert session.race is None
    else:
        assert sources[session.down.source.fileno()] is session.down
    assert session.phase is not Phase.RELAYING or session.race is None


class Walk:
    """One random walk. Each target echoes what comes to it, is silent, or refuses, as the walk has it."""

    def __init__(self, rig: Rig, chance: random.Random, **settings: object) -> None:
        self.rig = rig
        self.chance = chance
        self.port = free_port()
        self.clients: list[Peer] = []
        self.hosts = {host: ExitStack() for host in HOSTS}
        rig.addresses = {"db.corp": HOSTS}
        for host in HOSTS:
            self.answers(host)
        self.at = rig.forward(
            Endpoint("db.corp", self.port),
            tunnels=tuple(SOURCES),
            **{"hedge_after": 0.01, "connect_timeout": 0.06, "hold_timeout": 5.0, "hold_max": 30} | settings,
        )

    # ------------------------------------------------------------ steps

    def answers(self, host: str) -> None:
        target = self.rig.target(host, self.port)
        loop = asyncio.get_running_loop()
        peers: dict[socket.socket, None] = {}

        def accept() -> None:
            with suppress(BlockingIOError):
                while True:
                    sock = target.sock.accept()[0]
                    sock.setblocking(False)
                    peers[sock] = None
                    loop.add_reader(sock, echo, sock)

        def echo(sock: socket.socket) -> None:
            try:
                data = sock.recv(4096)
                sock.send(data)
            except OSError:
                data = b""
            if not data:
                end(sock)

        def end(sock: socket.socket) -> None:
            loop.remove_reader(sock)
            del peers[sock]
            sock.close()

        def close() -> None:
            loop.remove_reader(target.sock)
            target.close()
            for sock in list(peers):
                end(sock)

        loop.add_reader(target.sock, accept)
        self.hosts[host].callback(close)

    def falls_silent(self, host: str) -> None:
        self.hosts[host].close()
        self.hosts[host].enter_context(silent(Endpoint(host, self.port)))

    def refuses(self, host: str) -> None:
        self.hosts[host].close()

    async def step(self) -> None:
        chance = self.chance
        match chance.choice(("come", "come", "come", "go", "table", "table", "target", "wait", "wait", "end")):
            case "come":
                client = await self.rig.connect(self.at)
                self.clients.append(client)
                with suppress(ConnectionError):
                    client.sock.send(b"%04d" % (len(self.clients) - 1))
            case "go" if self.clients:
                client = chance.choice(self.clients)
                if client.sock.fileno() >= 0:
                    client.reset()
            case "end" if self.clients:
                client = chance.choice(self.clients)
                with suppress(OSError):
                    client.finish_sending()
            case "table":
                self.offer(*chance.sample(list(SOURCES), chance.randint(0, len(SOURCES))))
            case "target":
                host = chance.choice(HOSTS)
                self.refuses(host)
                chance.choice((self.answers, self.answers, self.falls_silent, self.refuses))(host)
            case _:
                await asyncio.sleep(chance.choice((0, 0, 0.005, 0.02)))
        check_the_books(self.rig)

    def offer(self, *tunnels: str) -> None:
        changes = {"ifindex": 1 << 20} if self.chance.random() < 0.1 else {}
        self.rig.offer(*(way(self.rig, tunnel, **changes) for tunnel in tunnels))
        self.rig.apply()

    async def end(self) -> None:
        """All is well from now on: whoever has not been reset is served, each with what is its own."""
        for host in HOSTS:
            self.hosts[host].close()
            self.answers(host)
        self.rig.offer(*(way(self.rig, tunnel) for tunnel in SOURCES))
        self.rig.apply()
        await eventually(lambda: not self.rig.engine._dialer.dialling and not self.rig.engine._holds.held)
        check_the_books(self.rig)
        for number, client in enumerate(self.clients):
            if client.sock.fileno() >= 0:
                await self._is_served_or_reset(client, b"%04d" % number)
        for host in HOSTS:
            self.hosts[host].close()
        await self.rig.idle()
        assert not self.rig.engine._dialer.hedging.under_way
        assert sum(self.rig.stats.connections.values()) == len(self.rig.ended)

    async def _is_served_or_reset(self, client: Peer, word: bytes) -> None:
        async with asyncio.timeout(DEADLINE):
            with suppress(ConnectionError, EOFError):
                assert await client.receive_exactly(len(word)) == word
        client.close()


async def _walk(option: str, seed: int, steps: int, **settings: object) -> None:
    before = open_descriptors()
    async with running_rig(OPTIONS[option]) as rig:
        walk = Walk(rig, seeded(f"{option} {seed}"), **settings)
        for _ in range(steps):
            await walk.step()
        await walk.end()
    assert open_descriptors() == before


@pytest.mark.parametrize("seed", range(6))
async def test_the_books_balance_and_nobody_is_left_hanging(seed: int) -> None:
    await _walk("all-on", seed, 250)


@pytest.mark.parametrize("option", ["no-reuse", "busy-poll"])
async def test_the_books_balance_with_other_options(option: str) -> None:
    await _walk(option, 0, 250)


@pytest.mark.parametrize("seed", range(2))
async def test_the_books_balance_where_clients_are_refused(seed: int) -> None:
    await _walk("all-on", seed, 250, hold_timeout=0.0, when_down=WhenDown.REFUSE)


@pytest.mark.matrix
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 140))
async def test_the_books_balance_at_length(seed: int) -> None:
    await _walk("all-on", seed, 2000)


async def test_the_walk_goes_everywhere() -> None:
    """Or it would prove nothing."""
    seen: set[object] = set()
    for seed in range(4):
        async with running_rig(OPTIONS["all-on"]) as rig:
            walk = Walk(rig, seeded(seed))
            for _ in range(250):
                await walk.step()
            await walk.end()
            stats = rig.stats
            seen |= {key[-1] for part in (stats.hedges, stats.holds, stats.connections) for key in part}
            seen |= {key[-1] for key in stats.dial_failures}
    assert seen >= {HedgeResult.WON, HedgeResult.FAILED, ConnectResult.OK, ConnectResult.DIAL_FAILED}
    assert {"served", "left", "not_proven", "tunnel_down", "refused", "timed_out"} <= {str(each) for each in seen}
