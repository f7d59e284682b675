from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.control.lookup import Answer
from gateway.control.resolver import Resolver, ResolverSettings, happy_order
from gateway.model import Endpoint
from gateway.policy.names import TunnelNames, Way
from tests.control.watching import eventually

FAST = ResolverSettings(refresh=0.005, retry_first=0.001, retry_most=0.005, deadline=0.2)


Found = Answer | Sequence[str] | Exception | None


class FakeNames:
    """A resolver whose zone a test writes; an exception in it is what the lookup raises, None that it hangs."""

    def __init__(self, **zone: Found) -> None:
        self.zone: dict[str, Found] = dict(zone)
        self.asked: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0

    async def __call__(self, host: str) -> Answer:
        self.asked[host] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.zone[host]
            if answer is None:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer if isinstance(answer, Answer) else Answer(addresses=tuple(answer))


Answers = list[Mapping[str, tuple[str, ...]]]


@asynccontextmanager
async def resolving(
    names: FakeNames, *hosts: str, settings: ResolverSettings = FAST
) -> AsyncIterator[tuple[Resolver, Answers]]:
    answers: Answers = []
    resolver = Resolver(lambda system, _: answers.append(system), settings=settings, lookup=names)
    resolver.watch(frozenset(hosts))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(resolver.run())
        try:
            yield resolver, answers
        finally:
            task.cancel()


async def test_the_complete_mapping_is_given_and_only_on_change():
    names = FakeNames(db=["10.0.0.5"], ldap=["10.0.0.6", "fd00::6"])
    async with resolving(names, "db", "ldap") as (_, answers):
        await eventually(lambda: bool(answers) and len(answers[-1]) == 2)
        assert answers[-1] == {"db": ("10.0.0.5",), "ldap": ("10.0.0.6", "fd00::6")}
        said = len(answers)
        await eventually(lambda: min(names.asked.values()) > 4)
        assert len(answers) == said
        names.zone["db"] = ["10.0.0.7"]
        await eventually(lambda: answers[-1]["db"] == ("10.0.0.7",))
        assert answers[-1]["ldap"] == ("10.0.0.6", "fd00::6")
        assert len(answers) == said + 1


async def test_rotation_is_no_change():
    names = FakeNames(db=["10.0.0.5", "10.0.0.6"])
    async with resolving(names, "db") as (_, answers):
        await eventually(lambda: bool(answers))
        names.zone["db"] = ["10.0.0.6", "10.0.0.5"]
        asked = names.asked["db"]
        await eventually(lambda: names.asked["db"] > asked + 2)
        assert answers == [{"db": ("10.0.0.5", "10.0.0.6")}]


@pytest.mark.parametrize(
    "trouble",
    [
        socket.gaierror(socket.EAI_AGAIN, "temporary failure"),
        socket.gaierror(socket.EAI_NONAME, "not known"),
        UnicodeError("label too long"),
        [],
        None,
    ],
    ids=["temporary", "unknown", "no-name", "empty", "hangs"],
)
async def test_the_last_good_answer_stays_and_the_trouble_is_logged_once(trouble: Exception | list[str] | None):
    names = FakeNames(db=["10.0.0.5"], ldap=["10.0.0.6"])
    with capture_logs() as logs:
        async with resolving(names, "db", "ldap") as (_, answers):
            await eventually(lambda: bool(answers) and len(answers[-1]) == 2)
            names.zone["db"] = trouble
            asked = names.asked["db"]
            await eventually(lambda: names.asked["db"] > asked + 3)
            assert answers[-1] == {"db": ("10.0.0.5",), "ldap": ("10.0.0.6",)}
            names.zone["ldap"] = ["10.0.0.8"]
            await eventually(lambda: answers[-1]["ldap"] == ("10.0.0.8",))
            names.zone["db"] = ["10.0.0.5"]
            await eventually(lambda: [entry["event"] for entry in logs].count("name.resolved") == 4)
    failed = [entry for entry in logs if entry["event"] == "name.failed"]
    assert [(entry["host"], entry["kept"]) for entry in failed] == [("db", ("10.0.0.5",))]
    assert failed[0]["error"]


async def test_a_name_that_never_resolved_is_not_in_the_mapping():
    names = FakeNames(db=socket.gaierror(socket.EAI_NONAME, "not known"), ldap=["10.0.0.6"])
    async with resolving(names, "db", "ldap") as (_, answers):
        await eventually(lambda: bool(answers) and names.asked["db"] > 3)
        assert answers == [{"ldap": ("10.0.0.6",)}]


async def test_hosts_come_and_go():
    names = FakeNames(db=["10.0.0.5"], ldap=["10.0.0.6"])
    async with resolving(names) as (resolver, answers):
        resolver.watch(frozenset({"db"}))
        await eventually(lambda: bool(answers) and "db" in answers[-1])
        resolver.watch(frozenset({"ldap"}))
        await eventually(lambda: "ldap" in answers[-1])
        assert answers[-1] == {"ldap": ("10.0.0.6",)}
        resolver.watch(frozenset())
        await eventually(lambda: answers[-1] == {})


async def test_few_lookups_run_at_once():
    hosts = [f"host{number}" for number in range(20)]
    names = FakeNames(**dict.fromkeys(hosts, None))
    settings = ResolverSettings(deadline=0.01, retry_first=0.01, concurrency=3)
    async with resolving(names, *hosts, settings=settings):
        await eventually(lambda: len(names.asked) == 20)
    assert names.most_at_once == 3


async def test_many_answers_share_a_mapping():
    """Each mapping costs work on all forwards: ten thousand names, one by one, kept the loop busy for minutes."""
    hosts = [f"host{number}" for number in range(100)]
    names = FakeNames(**{host: [f"10.0.0.{number}"] for number, host in enumerate(hosts)})
    settings = ResolverSettings(concurrency=1, pause_per_host=0.001)
    async with resolving(names, *hosts, settings=settings) as (_, answers):
        await eventually(lambda: bool(answers) and len(answers[-1]) == 100)
    assert len(answers) < 10


def test_retries_back_off():
    resolver = Resolver(lambda *_: None)
    assert [resolver._retry_after(failures) for failures in (1, 2, 3, 5, 6, 10_000)] == [1, 2, 4, 16, 30, 30]


async def test_what_the_callback_raises_ends_it():
    def refuse(*_names: Mapping[object, tuple[str, ...]]) -> None:
        raise LookupError("a bug in the control plane")

    resolver = Resolver(refuse, settings=FAST, lookup=FakeNames(db=["10.0.0.5"]))
    resolver.watch(frozenset({"db"}))
    with pytest.raises(ExceptionGroup) as caught:
        await resolver.run()
    assert caught.group_contains(LookupError)


# ---------------------------------------------------------------- for how long an answer is good


def test_an_answer_is_good_for_its_ttl_within_bounds():
    resolver = Resolver(lambda *_: None)

    def good_for(ttl: float | None, *missing: int) -> float:
        return resolver._good_for(Answer(addresses=("10.0.0.5",), ttl=ttl, missing=frozenset(missing)))

    assert [good_for(ttl) for ttl in (None, 0, 5, 60, 300, 86_400)] == [30, 5, 5, 60, 300, 300]
    assert [good_for(ttl, 6) for ttl in (0, 20, 86_400)] == [5, 20, 30], "a part is missing: not for long"


async def test_a_family_that_got_no_answer_keeps_its_addresses_and_one_without_addresses_does_not():
    settings = ResolverSettings(ttl_least=0.001, retry_most=0.005, refresh=0.005)
    names = FakeNames(db=["10.0.0.5", "fd00::5"])
    async with resolving(names, "db", settings=settings) as (_, answers):
        await eventually(lambda: bool(answers))
        names.zone["db"] = Answer(addresses=("fd00::6",), ttl=0, missing=frozenset({4}))
        await eventually(lambda: answers[-1]["db"] == ("fd00::6", "10.0.0.5"))
        names.zone["db"] = Answer(addresses=("fd00::6",), ttl=0)
        await eventually(lambda: answers[-1]["db"] == ("fd00::6",))


# ---------------------------------------------------------------- through tunnels

USABLE = Way(servers=(Endpoint("10.20.0.53", 53),), interface="tun-a", ifindex=7)
GONE = replace(USABLE, ifindex=None)


class Tunnels:
    """A resolver of `system` and of `tunnel`, and what it said last. `ways` are those in which something was asked."""

    def __init__(self, system: FakeNames, tunnel: FakeNames, settings: ResolverSettings = FAST) -> None:
        self.ways: list[Way] = []
        self.said: list[tuple[Mapping[str, tuple[str, ...]], Mapping[tuple[str, str], tuple[str, ...]]]] = []
        self._tunnel = tunnel
        self.resolver = Resolver(
            lambda system, through: self.said.append((system, through)),
            settings=settings,
            lookup=system,
            lookup_through=self._asked,
        )

    def _asked(self, way: Way) -> FakeNames:
        self.ways.append(way)
        return self._tunnel

    def watch(self, *hosts: str, way: Way, system: frozenset[str] = frozenset()) -> None:
        self.resolver.watch(system, {"a": TunnelNames(hosts=frozenset(hosts), way=way)})

    @property
    def through(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        return self.said[-1][1] if self.said else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.resolver.run())
            try:
                yield
            finally:
                task.cancel()


async def test_what_is_asked_through_a_tunnel_is_asked_there_only_and_said_apart():
    system, tunnel = FakeNames(db=["192.0.2.5"], www=["192.0.2.6"]), FakeNames(db=["10.0.0.5"], ldap=["10.0.0.6"])
    tunnels = Tunnels(system, tunnel)
    tunnels.watch("db", "ldap", way=USABLE, system=frozenset({"db", "www"}))
    async with tunnels.running():
        await eventually(lambda: bool(tunnels.said) and sum(map(len, tunnels.said[-1])) == 4)
        assert tunnels.said[-1] == (
            {"db": ("192.0.2.5",), "www": ("192.0.2.6",)},
            {("a", "db"): ("10.0.0.5",), ("a", "ldap"): ("10.0.0.6",)},
        )
        assert tunnels.ways == [USABLE] * 2
        before = tunnels.said[-1][0]
        tunnel.zone["db"] = ["10.0.0.7"]
        await eventually(lambda: tunnels.through["a", "db"] == ("10.0.0.7",))
        assert tunnels.said[-1][0] is before, "what did not change is the mapping that was given before"
    assert set(system.asked) == {"db", "www"}


async def test_without_its_device_nothing_is_asked_the_last_answer_stays_and_each_change_is_logged_once():
    system, tunnel = FakeNames(), FakeNames(db=["10.0.0.5"])
    tunnels = Tunnels(system, tunnel)
    with capture_logs() as logs:
        tunnels.watch("db", way=USABLE)
        async with tunnels.running():
            await eventually(lambda: ("a", "db") in tunnels.through)
            tunnels.watch("db", way=GONE)
            await eventually(lambda: any(entry["event"] == "name.failed" for entry in logs))
            asked = tunnel.asked["db"]
            tunnels.watch("db", way=replace(GONE, interface="tun-b"))  # changed, and still not usable
            await eventually(lambda: tunnels.resolver._followed["a", "db"][0] != GONE)
            task = tunnels.resolver._followed["a", "db"][1]
            await eventually(task.done)
            assert tunnel.asked["db"] == asked
            assert tunnels.through == {("a", "db"): ("10.0.0.5",)}
            again = replace(USABLE, ifindex=8)
            tunnels.watch("db", way=again)
            await eventually(lambda: tunnel.asked["db"] > asked)
            await eventually(lambda: len(logs) == 3)
    assert tunnels.ways == [USABLE, again], "a device made anew is asked anew"
    assert not system.asked
    assert [(entry["event"], entry["host"], entry["tunnel"]) for entry in logs] == [
        ("name.resolved", "db", "a"),
        ("name.failed", "db", "a"),
        ("name.resolved", "db", "a"),
    ]
    assert logs[1]["kept"] == ("10.0.0.5",)
    assert logs[1]["error"] == "tun-a cannot be used"
    assert len(tunnels.said) == 1


async def test_the_same_way_again_asks_nothing_anew():
    tunnel = FakeNames(db=Answer(addresses=("10.0.0.5",), ttl=3600), ldap=["10.0.0.6"])
    tunnels = Tunnels(FakeNames(), tunnel)
    tunnels.watch("db", way=USABLE)
    async with tunnels.running():
        await eventually(lambda: ("a", "db") in tunnels.through)
        tunnels.watch("db", "ldap", way=replace(USABLE))
        await eventually(lambda: ("a", "ldap") in tunnels.through)
    assert tunnel.asked["db"] == 1


async def test_a_tunnel_that_is_silent_keeps_nobody_else_waiting():
    settings = ResolverSettings(deadline=3600, concurrency=2)
    hosts = [f"host{number}" for number in range(3)]
    tunnels = Tunnels(FakeNames(db=["192.0.2.5"]), FakeNames(**dict.fromkeys(hosts, None)), settings)
    tunnels.watch(*hosts, way=USABLE)
    async with tunnels.running():
        await eventually(lambda: len(tunnels.resolver._slots) == 1 and tunnels.resolver._slots["a"].locked())
        tunnels.watch(*hosts, way=USABLE, system=frozenset({"db"}))
        await eventually(lambda: bool(tunnels.said))
        assert tunnels.said[-1][0] == {"db": ("192.0.2.5",)}


# ---------------------------------------------------------------- order

ORDERS = {
    "none": ([], ()),
    "as it came": (["10.0.0.2", "10.0.0.1"], ("10.0.0.2", "10.0.0.1")),
    "alternating, IPv6 first": (
        ["fd00::1", "fd00::2", "fd00::3", "10.0.0.1"],
        ("fd00::1", "10.0.0.1", "fd00::2", "fd00::3"),
    ),
    "alternating, IPv4 first": (["10.0.0.1", "10.0.0.2", "fd00::1"], ("10.0.0.1", "fd00::1", "10.0.0.2")),
    "canonical, once each": (["FD00:0::1", "fd00::1", "::ffff:10.0.0.1", "10.0.0.1"], ("fd00::1", "10.0.0.1")),
}


@pytest.mark.parametrize(("found", "ordered"), ORDERS.values(), ids=ORDERS.keys())
def test_order(found: list[str], ordered: tuple[str, ...]):
    assert happy_order(found) == ordered


@given(st.lists(st.ip_addresses().map(str), unique=True))
def test_ordering_loses_nothing_and_keeps_each_family_in_order(found: list[str]):
    ordered = happy_order(found)
    for family in (4, 6):
        of_family = [address for address in happy_order(found) if (":" in address) == (family == 6)]
        plain = [address for text in found for address in happy_order([text]) if (":" in address) == (family == 6)]
        assert of_family == list(dict.fromkeys(plain))
    fours = sum(":" not in address for address in ordered)
    both = 2 * min(fours, len(ordered) - fours)
    assert all((":" in a) != (":" in b) for a, b in pairwise(ordered[:both]))
