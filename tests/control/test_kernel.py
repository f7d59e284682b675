"""The watcher against the real kernel, on uvloop, in namespaces of its own; and its order of work against a fake."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from time import perf_counter

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from gateway.control.hints import HintSocket
from gateway.control.kernel import KernelWatcher, WatchSettings
from gateway.control.netlink import LOOKUP_BATCH, NetlinkReader, RouteQuestion
from gateway.control.reader import Reader
from gateway.errors import KernelUnavailableError
from gateway.model import KernelSnapshot, LinkFacts
from tests.control.namespace import Tun, in_namespace, ip
from tests.control.watching import Seen, eventually, running

ROUTED = ("tun-a", "10.20.0.7")
FAR = ("tun-a", "192.168.100.30")
FAR6 = ("tun-a", "fd20::30")


def watch(*names: str, lookups: Iterable[tuple[str, str]] = ()) -> tuple[KernelWatcher, Seen]:
    seen = Seen()
    watcher = KernelWatcher(seen)
    watcher.watch(frozenset(names), frozenset(lookups))
    return watcher, seen


def events(logs: list[EventDict], name: str) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] == name]


# ---------------------------------------------------------------- the real kernel


@pytest.mark.lab
def test_the_first_snapshot_is_complete_and_canonical():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24", "fd00:0:0::00:1/64")) as tun:
            watcher, seen = watch("tun-a", "tun-b", lookups=[ROUTED, FAR, FAR6, ("tun-b", "10.1.1.1")])
            async with running(watcher):
                await seen.until(lambda snapshot: len(snapshot.links["tun-a"].addresses) == 2)
            assert seen.link("tun-a") == LinkFacts(
                index=tun.index, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2", "fd00::1")
            )
            assert seen.link("tun-b") is None
            assert seen.snapshots[0].unrouted == {FAR, FAR6}

    in_namespace(scenario)


@pytest.mark.lab
def test_link_down_and_up():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            watcher, seen = watch("tun-a", lookups=[FAR])
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                tun.up(on=False)
                down = await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
                assert not down.links["tun-a"].carrier
                assert not down.unrouted, "the routes of a device that is down are no matter of their own"
                tun.up(on=True)
                await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier and snapshot.unrouted == {FAR})

    in_namespace(scenario)


@pytest.mark.lab
def test_a_tun_device_without_its_process_has_no_carrier():
    async def scenario():
        tun = Tun("tun-a", "10.20.0.2/24")
        watcher, seen = watch("tun-a")
        async with running(watcher):
            await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier)
            tun.abandon()
            lost = await seen.until(lambda snapshot: not snapshot.links["tun-a"].carrier)
            assert lost.links["tun-a"].up
            with closing(Tun("tun-a")):
                await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier)
                ip("link del tun-a")

    in_namespace(scenario)


@pytest.mark.lab
def test_a_second_carrier_loss_is_seen_before_the_kernel_tells_of_it():
    async def scenario():
        with closing(Tun("tun-a")) as first, closing(Tun("tun-b")) as second:
            watcher, seen = watch("tun-a", "tun-b")
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.links["tun-b"].carrier)
                first.carrier(on=False)
                await seen.until(lambda snapshot: not snapshot.links["tun-a"].carrier, within=2)
                second.carrier(on=False)  # linkwatch holds its event back for the rest of a second
                await seen.until(lambda snapshot: not snapshot.links["tun-b"].carrier, within=0.5)

    in_namespace(scenario)


@pytest.mark.lab
def test_a_device_made_again_is_followed_to_its_new_index():
    async def scenario():
        with ExitStack() as held:
            gone = Tun("tun-a", "10.20.0.2/24")
            old = gone.index
            watcher, seen = watch("tun-a")
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.links["tun-a"].index == old)
                gone.close()
                await seen.until(lambda snapshot: "tun-a" not in snapshot.links)
                new = held.enter_context(closing(Tun("tun-a", "10.20.0.2/24"))).index
                assert new != old
                await seen.until(lambda snapshot: "tun-a" in snapshot.links and snapshot.links["tun-a"].index == new)

    in_namespace(scenario)


@pytest.mark.lab
def test_an_address_removed():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24", "10.21.0.2/24")):
            watcher, seen = watch("tun-a")
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.links["tun-a"].addresses == ("10.20.0.2", "10.21.0.2"))
                ip("addr del 10.20.0.2/24 dev tun-a")
                await seen.until(lambda snapshot: snapshot.links["tun-a"].addresses == ("10.21.0.2",))

    in_namespace(scenario)


@pytest.mark.lab
def test_a_route_removed_and_added_concerns_its_pair_only():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")), closing(Tun("tun-b", "10.30.0.2/24")):
            other = ("tun-b", FAR[1])
            ip(f"route add {FAR[1]} dev tun-a", f"route add {FAR[1]} dev tun-b metric 5")
            watcher, seen = watch("tun-a", "tun-b", lookups=[ROUTED, FAR, other])
            async with running(watcher):
                await seen.until(lambda snapshot: not snapshot.unrouted)
                ip(f"route del {FAR[1]} dev tun-a")
                await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                ip(f"route add {FAR[1]} dev tun-a")
                await seen.until(lambda snapshot: not snapshot.unrouted)
                assert {snapshot.unrouted for snapshot in seen.snapshots} == {frozenset(), frozenset({FAR})}

    in_namespace(scenario)


@pytest.mark.lab
def test_a_change_of_rules_is_a_hint():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")):
            ip(f"route add {FAR[1]} dev tun-a table 77")
            watcher, seen = watch("tun-a", lookups=[FAR])
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                ip("rule add oif tun-a lookup 77 priority 150")
                await seen.until(lambda snapshot: not snapshot.unrouted)

    in_namespace(scenario)


@pytest.mark.lab
def test_it_converges_after_an_overflow_which_is_logged_once():
    async def scenario():
        opened: list[HintSocket] = []

        def open_tiny(on_hint: Callable[[], None]) -> HintSocket:
            opened.append(HintSocket(on_hint, receive_buffer=1))
            return opened[-1]

        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            seen = Seen()
            watcher = KernelWatcher(seen, open_hints=open_tiny)
            watcher.watch(frozenset({"tun-a"}), frozenset({FAR}))
            with capture_logs() as logs:
                async with running(watcher):
                    await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                    for number in range(2):
                        burst = [f"addr add 10.22.{number}.{host}/32 dev lo" for host in range(1, 200)]
                        ip(*burst, f"addr add 10.23.{number}.1/32 dev tun-a")  # the loop stands still meanwhile
                        await seen.until(lambda snapshot, n=number: len(snapshot.links["tun-a"].addresses) == 2 + n)
                        await eventually(lambda n=number: opened[0].dropped > 100 * n)
                    tun.up(on=False)
                    await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
            assert len(events(logs, "netlink.overflow")) == 1

    in_namespace(scenario)


class CountingReader(NetlinkReader):
    readings = 0

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        CountingReader.readings += 1
        return super().links(interfaces)


@pytest.mark.lab
def test_what_concerns_other_devices_is_no_news():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            ip("link add veth-x type veth peer name veth-y")
            seen = Seen()
            watcher = KernelWatcher(seen, open_reader=CountingReader)
            watcher.watch(frozenset({"tun-a"}), frozenset({ROUTED}))
            async with running(watcher):
                await seen.until(lambda snapshot: "tun-a" in snapshot.links)
                news, readings = len(seen.snapshots), CountingReader.readings
                ip("link set veth-x up", "addr add 10.99.0.1/24 dev veth-x", "link del veth-x")
                await eventually(lambda: CountingReader.readings >= readings + 2)
                assert len(seen.snapshots) == news
                tun.up(on=False)
                await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
                assert len(seen.snapshots) == news + 1

    in_namespace(scenario)


@pytest.mark.lab
def test_what_is_watched_can_change_at_any_time():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")), closing(Tun("tun-b")):
            watcher, seen = watch()
            async with running(watcher):
                await seen.until(lambda snapshot: not snapshot.links)
                watcher.watch(frozenset({"tun-a"}), frozenset({FAR}))
                await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                watcher.watch(frozenset({"tun-b"}), frozenset())
                snapshot = await seen.until(lambda snapshot: set(snapshot.links) == {"tun-b"})
                assert not snapshot.unrouted

    in_namespace(scenario)


@pytest.mark.lab
def test_an_event_is_published_within_milliseconds(record_property: Callable[[str, object], None]):
    latencies: list[float] = []

    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            seen = Seen()
            watcher = KernelWatcher(seen, settings=WatchSettings(debounce=0.0))
            watcher.watch(frozenset({"tun-a"}), frozenset())
            async with running(watcher):
                await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier)
                for _ in range(20):
                    start = perf_counter()
                    tun.up(on=False)
                    await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
                    latencies.append(perf_counter() - start)
                    tun.up(on=True)
                    await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier)

    in_namespace(scenario)
    record_property("median_ms", statistics.median(latencies) * 1e3)
    assert min(latencies) < 0.005, "what it costs when the machine is not busy with something else"


@pytest.mark.lab
def test_without_netlink_it_polls_and_says_so_once_and_goes_back():
    blocked = True

    def open_hints(on_hint: Callable[[], None]) -> HintSocket:
        if blocked:
            raise KernelUnavailableError("no netlink here")
        return HintSocket(on_hint)

    def open_reader() -> Reader:
        if blocked:
            raise KernelUnavailableError("no netlink here")
        return NetlinkReader()

    async def scenario():
        nonlocal blocked
        with closing(Tun("tun-a", "10.20.0.2/24")) as tun:
            seen = Seen()
            watcher = KernelWatcher(
                seen, settings=WatchSettings(poll=0.01), open_hints=open_hints, open_reader=open_reader
            )
            watcher.watch(frozenset({"tun-a"}), frozenset({FAR}))
            with capture_logs() as logs:
                async with running(watcher):
                    first = await seen.until(lambda snapshot: "10.20.0.2" in snapshot.links["tun-a"].addresses)
                    assert first.links["tun-a"].index == tun.index
                    assert not first.unrouted
                    tun.up(on=False)
                    await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
                    tun.up(on=True)
                    await seen.until(lambda snapshot: snapshot.links["tun-a"].carrier)
                    assert [entry["part"] for entry in events(logs, "netlink.unavailable")] == ["hints", "reader"]
                    blocked = False
                    await seen.until(lambda snapshot: snapshot.unrouted == {FAR})
                    await eventually(lambda: len(events(logs, "netlink.reopened")) == 2)
            assert {entry["part"] for entry in events(logs, "netlink.reopened")} == {"hints", "reader"}
            assert not events(logs, "netlink.opened")

    in_namespace(scenario)


# ---------------------------------------------------------------- the order of work

UP = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.20.0.2",))
DOWN = LinkFacts(index=7, up=False, carrier=False, mtu=1500, addresses=("10.20.0.2",))


class FakeKernel:
    """A reader whose route answers can be held up, and the hints to go with it."""

    def __init__(self) -> None:
        self.facts = {"tun-a": UP}
        self.lookups = 0
        self.gate = threading.Event()
        self.gate.set()
        self.held_up = threading.Event()
        self.failures: list[OSError] = []
        self.opened = 0

    def open_reader(self) -> FakeKernel:
        self.opened += 1
        return self

    def open_hints(self, on_hint: Callable[[], None]) -> HintSocket:
        self.hint = on_hint
        return HintSocket(on_hint)

    def links(self, interfaces: Iterable[str]) -> dict[str, LinkFacts]:
        if self.failures:
            raise self.failures.pop()
        return {name: facts for name, facts in self.facts.items() if name in interfaces}

    def unrouted(self, questions: Sequence[RouteQuestion]) -> set[RouteQuestion]:
        if not self.gate.is_set():
            self.held_up.set()
        assert self.gate.wait(10)
        self.lookups += len(questions)
        return {question for question in questions if question.address.endswith(".0")}

    def close(self) -> None:
        pass


MANY = frozenset(("tun-a", f"10.{number // 256}.{number % 256}.0") for number in range(10 * LOOKUP_BATCH))


def fake_watcher(kernel: FakeKernel, **settings: float) -> tuple[KernelWatcher, Seen]:
    seen = Seen()
    watcher = KernelWatcher(
        seen, settings=WatchSettings(**settings), open_hints=kernel.open_hints, open_reader=kernel.open_reader
    )
    watcher.watch(frozenset({"tun-a"}), MANY)
    return watcher, seen


async def test_a_device_that_falls_does_not_wait_for_the_lookups():
    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel, debounce=0.0, chase_for=0.0)
    async with running(watcher):
        await seen.until(lambda snapshot: snapshot.unrouted == MANY)
        before = kernel.lookups
        kernel.gate.clear()
        kernel.hint()
        await eventually(kernel.held_up.is_set)  # in the first slice of a pass
        kernel.facts = {"tun-a": DOWN}
        kernel.hint()
        kernel.gate.set()
        snapshot = await seen.until(lambda snapshot: not snapshot.links["tun-a"].up)
        assert kernel.lookups - before == LOOKUP_BATCH
        assert not snapshot.unrouted


async def test_the_last_known_routes_stay_until_a_pass_is_complete():
    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel)
    async with running(watcher):
        await seen.until(lambda snapshot: snapshot.unrouted == MANY)
        kernel.gate.clear()
        kernel.facts = {"tun-a": LinkFacts(index=7, up=True, carrier=True, mtu=1400)}
        kernel.hint()
        snapshot = await seen.until(lambda snapshot: snapshot.links["tun-a"].mtu == 1400)
        assert snapshot.unrouted == MANY
        kernel.gate.set()


async def test_hints_without_end_do_not_keep_a_pass_from_its_end():
    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel, debounce=0.0)

    def another() -> bool:
        watcher.watch(frozenset({"tun-a"}), MANY)
        return bool(seen.snapshots)

    async with running(watcher):
        await eventually(another)
        assert seen.last.unrouted == MANY


async def test_a_change_without_any_hint_is_found_by_the_resync():
    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel, resync=0.05, chase_for=0.0)
    async with running(watcher):
        await seen.until(lambda snapshot: snapshot.links["tun-a"].up)
        kernel.facts = {}
        await seen.until(lambda snapshot: not snapshot.links)


async def test_a_reader_that_fails_is_opened_anew():
    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel)
    async with running(watcher):
        await seen.until(lambda snapshot: snapshot.links["tun-a"].up)
        kernel.failures = [OSError(105, "no buffer space")]
        kernel.facts = {}
        with capture_logs() as logs:
            kernel.hint()
            await seen.until(lambda snapshot: not snapshot.links)
        assert kernel.opened == 2
        assert [entry["part"] for entry in events(logs, "netlink.reopened")] == ["reader"]


async def test_hints_that_broke_are_opened_anew():
    kernel = FakeKernel()
    opened: list[HintSocket] = []

    def open_hints(on_hint: Callable[[], None]) -> HintSocket:
        opened.append(HintSocket(on_hint))
        return opened[-1]

    seen = Seen()
    watcher = KernelWatcher(seen, open_hints=open_hints, open_reader=kernel.open_reader)
    watcher.watch(frozenset({"tun-a"}), frozenset())
    with capture_logs() as logs:
        async with running(watcher):
            await seen.until(lambda snapshot: snapshot.links["tun-a"].up)
            opened[0].failure = OSError(9, "bad descriptor")
            opened[0].close()
            kernel.facts = {}
            watcher.watch(frozenset({"tun-a"}), frozenset())
            await seen.until(lambda snapshot: not snapshot.links)
    assert len(opened) == 2
    assert [entry["event"] for entry in logs] == ["netlink.opened", "netlink.unavailable", "netlink.reopened"]


async def test_when_nobody_answers_the_last_snapshot_stays(monkeypatch: pytest.MonkeyPatch):
    def silent() -> Reader:
        raise OSError(24, "too many open files")

    kernel = FakeKernel()
    watcher, seen = fake_watcher(kernel, poll=0.01)
    async with running(watcher):
        await seen.until(lambda snapshot: snapshot.unrouted == MANY)
        monkeypatch.setattr(watcher._thread, "_open_fallback", silent)
        with capture_logs() as logs:
            asks: list[str] = []

            def fail() -> Reader:
                asks.append("again")
                raise KernelUnavailableError("too many open files")

            monkeypatch.setattr(watcher._thread, "_open_reader", fail)
            kernel.failures = [OSError(24, "too many open files")]
            kernel.hint()
            await eventually(lambda: len(asks) > 6)
        assert seen.last.unrouted == MANY
        assert [entry["instead"] for entry in events(logs, "netlink.unavailable")] == ["nobody"]


async def test_what_the_callback_raises_ends_it():
    def refuse(_snapshot: KernelSnapshot) -> None:
        raise LookupError("a bug in the control plane")

    with pytest.raises(LookupError):
        await KernelWatcher(refuse, open_reader=FakeKernel().open_reader).run()
