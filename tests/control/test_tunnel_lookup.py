"""Names through a tunnel: real questions to a real server behind a device, on uvloop, in namespaces of their own."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from gateway.control.lookup import Answer
from gateway.control.resolver import Resolver, ResolverSettings
from gateway.control.tunnel_lookup import Reply, TunnelLookup, combine
from gateway.model import Endpoint
from gateway.policy.names import TunnelNames, Way
from tests.control.name_server import AAAA, REFUSED, SERVFAIL, A, NameServer, Records
from tests.control.namespace import in_namespace, ip
from tests.control.watching import DEADLINE, eventually, open_descriptors

NEAR = ("10.20.0.2/24", "fd20::2/64")
FAR = ("10.20.0.53/24", "10.20.0.54/24", "fd20::53/64")
FIRST, SECOND, SERVER6 = Endpoint("10.20.0.53", 53), Endpoint("10.20.0.54", 53), Endpoint("fd20::53", 53)


def inside() -> NameServer:
    return NameServer("tun-a", near=NEAR, far=FAR)


def way(*servers: Endpoint, leading: int = 4) -> Way:
    return Way(servers=servers or (FIRST,), interface="tun-a", ifindex=socket.if_nametoindex("tun-a"), leading=leading)


# ---------------------------------------------------------------- one lookup

BOTH = Records(v4=("10.0.0.5", "10.0.0.6"), v6=("fd00::5",), ttl=77)

ANSWERS: Mapping[str, tuple[Records, Answer]] = {
    "both families": (BOTH, Answer(addresses=("10.0.0.5", "10.0.0.6", "fd00::5"), ttl=77)),
    "IPv4 only": (Records(v4=("10.0.0.5",), ttl=1), Answer(addresses=("10.0.0.5",), ttl=1)),
    "IPv6 only": (Records(v6=("fd00::5",), ttl=0), Answer(addresses=("fd00::5",), ttl=0)),
    "an alias that is good for less": (
        replace(BOTH, alias=("real.corp", 9)),
        Answer(addresses=("10.0.0.5", "10.0.0.6", "fd00::5"), ttl=9),
    ),
    "IPv6 in trouble": (
        replace(BOTH, codes={AAAA: SERVFAIL}),
        Answer(addresses=("10.0.0.5", "10.0.0.6"), ttl=77, missing=frozenset({6})),
    ),
    "IPv4 in trouble": (
        replace(BOTH, codes={A: REFUSED}),
        Answer(addresses=("fd00::5",), ttl=77, missing=frozenset({4})),
    ),
    "truncated": (
        replace(BOTH, truncated=True),
        Answer(addresses=("10.0.0.5", "10.0.0.6", "fd00::5"), ttl=77),
    ),
}


@pytest.mark.lab
def test_answers():
    async def scenario():
        with inside() as names:
            for label, (records, expected) in ANSWERS.items():
                names.zone["db.corp"] = records
                assert await TunnelLookup(way())("db.corp") == expected, label
            names.zone["db.corp"] = BOTH
            by_ipv6 = await TunnelLookup(way(SERVER6, leading=6))("db.corp")
            assert by_ipv6.addresses == ("fd00::5", "10.0.0.5", "10.0.0.6")

    in_namespace(scenario)


TROUBLES: Mapping[str, tuple[Records | None, str]] = {
    "unknown": (None, "there is no such name"),
    "without addresses": (Records(), "the name has no address"),
    "in trouble": (Records(codes={A: SERVFAIL, AAAA: SERVFAIL}), "10.20.0.53:53: SERVFAIL"),
    "in trouble for one, and without the other": (Records(codes={A: REFUSED}), "10.20.0.53:53: REFUSED"),
    "too large to say": (Records(truncated=True), "10.20.0.53:53: the answer is too large"),
}


@pytest.mark.lab
def test_names_without_an_answer():
    async def scenario():
        with inside() as names:
            for label, (records, why) in TROUBLES.items():
                names.zone = {} if records is None else {"db.corp": records}
                with pytest.raises(OSError, match=f"^{re.escape(why)}$"):
                    await TunnelLookup(way())("db.corp")
                assert names.asked, label
                names.asked.clear()

    in_namespace(scenario)


@pytest.mark.lab
def test_a_silent_server_is_passed_over_and_silence_ends():
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = BOTH
            names.silent = frozenset({FIRST.host})
            lookup = TunnelLookup(way(FIRST, SECOND), budget=0.6)
            assert (await lookup("db.corp")).addresses == ("10.0.0.5", "10.0.0.6", "fd00::5")
            assert {asked.server for asked in names.asked} == {FIRST.host, SECOND.host}
            names.silent = frozenset({FIRST.host, SECOND.host})
            with pytest.raises(OSError, match=r"10\.20\.0\.54:53: no answer in time"):
                async with asyncio.timeout(DEADLINE):
                    await lookup("db.corp")

    in_namespace(scenario)


@pytest.mark.lab
def test_a_server_in_trouble_is_passed_over():
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = BOTH
            nobody = Endpoint("10.20.0.53", 5353)
            answer = await TunnelLookup(way(nobody, SECOND))("db.corp")
            assert answer.addresses == ("10.0.0.5", "10.0.0.6", "fd00::5")
            assert {asked.server for asked in names.asked} == {SECOND.host}

    in_namespace(scenario)


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
async def test_what_is_no_host_name(host: str):
    with pytest.raises(ValueError, match="is no host name"):
        await TunnelLookup(Way(servers=(FIRST,), interface="lo", ifindex=1))(host)


def test_failure_outweighs_absence_and_each_reason_is_said_once():
    failed, none = Reply(failed=True, why="SERVFAIL"), Reply(why="the name has no address")
    for replies, why in (((failed, none), "SERVFAIL"), ((none, none), none.why), ((failed, failed), "SERVFAIL")):
        with pytest.raises(OSError, match=f"^{why}$"):
            combine(dict(zip((4, 6), replies, strict=True)), leading=4)


# ---------------------------------------------------------------- followed by the resolver


class Following:
    """A resolver of names through tunnel `a`, and what it says. `system` are the questions that the system gets."""

    def __init__(self, settings: ResolverSettings) -> None:
        self.said: list[Mapping[tuple[str, str], tuple[str, ...]]] = []
        self.system: list[str] = []
        self.resolver = Resolver(
            lambda _, through: self.said.append(through), settings=settings, lookup=self._ask_the_system
        )

    async def _ask_the_system(self, host: str) -> Answer:
        self.system.append(host)
        return Answer(addresses=("192.0.2.1",))

    def watch(self, way: Way, hosts: Sequence[str]) -> None:
        self.resolver.watch(frozenset(), {"a": TunnelNames(hosts=frozenset(hosts), way=way)})

    def knows(self, host: str) -> tuple[str, ...]:
        return self.said[-1].get(("a", host), ()) if self.said else ()


@asynccontextmanager
async def following(*hosts: str, settings: ResolverSettings) -> AsyncIterator[Following]:
    """Runs for the body; afterwards nobody has asked the system, and no socket and no thread is left."""
    it = Following(settings)
    it.watch(way(), hosts)
    descriptors, threads = open_descriptors(), threading.active_count()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(it.resolver.run())
        try:
            yield it
        finally:
            task.cancel()
    assert it.system == []
    assert open_descriptors() == descriptors
    assert threading.active_count() == threads


@pytest.mark.lab
def test_an_answer_is_asked_for_again_when_its_ttl_ends():
    async def scenario():
        settings = ResolverSettings(ttl_least=0.1)
        with inside() as names:
            names.zone["short.corp"] = Records(v4=("10.0.0.5",), v6=("fd00::5",), ttl=1)
            names.zone["bounded.corp"] = Records(v4=("10.0.0.6",), ttl=0)
            names.zone["long.corp"] = Records(v4=("10.0.0.7",), ttl=3600)
            async with following("short.corp", "bounded.corp", "long.corp", settings=settings) as it:
                await eventually(lambda: len(names.times("short.corp")) == 2)
                names.zone["short.corp"] = Records(v4=("10.0.0.8",), ttl=1)
                await eventually(lambda: it.knows("short.corp") == ("10.0.0.8",))
            times = names.times("short.corp")
            assert len(times) >= 3
            assert all(later - sooner >= 1.0 for sooner, later in pairwise(times))
            bounded = names.times("bounded.corp")
            assert len(bounded) > 3
            assert all(later - sooner >= 0.1 for sooner, later in pairwise(bounded))
            assert len(names.times("long.corp")) == 1

    in_namespace(scenario)


@pytest.mark.lab
def test_a_ttl_without_end_is_bounded():
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = Records(v4=("10.0.0.5",), ttl=86_400)
            async with following("db.corp", settings=ResolverSettings(ttl_least=0.01, ttl_most=0.02)):
                await eventually(lambda: len(names.times("db.corp")) > 3)

    in_namespace(scenario)


@pytest.mark.lab
def test_the_last_good_answer_stays_when_the_server_dies():
    async def scenario():
        settings = ResolverSettings(ttl_least=0.02, retry_first=0.02, retry_most=0.02, deadline=0.4)
        with inside() as names:
            names.zone["db.corp"] = replace(BOTH, ttl=0)
            with capture_logs() as logs:
                async with following("db.corp", settings=settings) as it:
                    await eventually(lambda: bool(it.knows("db.corp")))
                    for zone, silent in (
                        (names.zone, frozenset({FIRST.host})),
                        ({}, frozenset[str]()),
                        ({"db.corp": Records(codes={A: SERVFAIL, AAAA: SERVFAIL})}, frozenset[str]()),
                    ):
                        names.zone, names.silent = zone, silent
                        asked = len(names.times("db.corp"))
                        await eventually(lambda asked=asked: len(names.times("db.corp")) > asked + 2)
                    assert it.knows("db.corp") == ("10.0.0.5", "fd00::5", "10.0.0.6")
                    names.zone = {"db.corp": Records(v4=("10.0.0.9",), ttl=0)}
                    await eventually(lambda: it.knows("db.corp") == ("10.0.0.9",))
            assert [(entry["event"], entry["host"], entry["tunnel"]) for entry in logs] == [
                ("name.resolved", "db.corp", "a"),
                ("name.failed", "db.corp", "a"),
                ("name.resolved", "db.corp", "a"),
            ]
            assert len(it.said) == 2

    in_namespace(scenario)


@pytest.mark.lab
def test_a_device_made_again_is_asked_through_at_once_and_nothing_is_asked_in_between():
    async def scenario():
        with inside() as names:
            names.zone["db.corp"] = Records(v4=("10.0.0.5",), ttl=3600)
            async with following("db.corp", settings=ResolverSettings()) as it:
                await eventually(lambda: it.knows("db.corp") == ("10.0.0.5",))
                old = way()
                ip("link del tun-a")
                it.watch(replace(old, ifindex=None), ["db.corp"])
                names.zone["db.corp"] = Records(v4=("10.0.0.6",), ttl=3600)
                names.connect()
                assert len(names.times("db.corp")) == 1
                it.watch(way(), ["db.corp"])
                await eventually(lambda: it.knows("db.corp") == ("10.0.0.6",))

    in_namespace(scenario)
