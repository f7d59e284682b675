from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.control.resolver import Resolver, ResolverSettings, happy_order
from tests.control.watching import eventually

FAST = ResolverSettings(refresh=0.005, retry_first=0.001, retry_most=0.005, deadline=0.2)


class FakeNames:
    """A resolver whose zone a test writes; an exception in it is what the lookup raises, None that it hangs."""

    def __init__(self, **zone: Sequence[str] | Exception | None) -> None:
        self.zone: dict[str, Sequence[str] | Exception | None] = dict(zone)
        self.asked: Counter[str] = Counter()
        self.at_once = self.most_at_once = 0

    async def __call__(self, host: str) -> Sequence[str]:
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
        return answer


Answers = list[Mapping[str, tuple[str, ...]]]


@asynccontextmanager
async def resolving(
    names: FakeNames, *hosts: str, settings: ResolverSettings = FAST
) -> AsyncIterator[tuple[Resolver, Answers]]:
    answers: Answers = []
    resolver = Resolver(answers.append, settings=settings, lookup=names)
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
    resolver = Resolver(lambda _: None)
    assert [resolver._retry_after(failures) for failures in (1, 2, 3, 5, 6, 10_000)] == [1, 2, 4, 16, 30, 30]


async def test_what_the_callback_raises_ends_it():
    def refuse(_names: Mapping[str, tuple[str, ...]]) -> None:
        raise LookupError("a bug in the control plane")

    resolver = Resolver(refuse, settings=FAST, lookup=FakeNames(db=["10.0.0.5"]))
    resolver.watch(frozenset({"db"}))
    with pytest.raises(ExceptionGroup) as caught:
        await resolver.run()
    assert caught.group_contains(LookupError)


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
