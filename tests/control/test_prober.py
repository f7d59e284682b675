"""The prober and the probes of its tunnels: what is asked, what is posted, and in which order."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from gateway.control.prober import Prober
from gateway.control.probes.answer import Answer
from gateway.model import Aim, Doubt, Endpoint, HealthSettings, Path, ProbeOutcome
from gateway.policy.evidence import Doubted, Heard, Probed
from tests.control.far import Far, Tap, aim, tcp_flags
from tests.control.namespace import in_namespace
from tests.control.probing import QUICK, Network, Posted, plan, running
from tests.control.watching import eventually, open_descriptors

PATH = Path(tunnel="a", interface="tun-a", ifindex=7)
WEB, DB = aim("tcp", "10.0.0.1", 80), aim("tcp", "10.0.0.2", 5432)
PASSED, FAILED, LOCAL = ProbeOutcome.PASSED, ProbeOutcome.FAILED, ProbeOutcome.LOCAL


held_up = time.sleep  # the loop, on purpose


def label(of: Aim) -> str:
    return of.spec.label


async def test_every_aim_is_asked_again_and_again_and_its_answers_posted():
    posted, network = Posted(), Network()
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB, DB)})
    async with running(prober):
        await posted.until(lambda: min(len(posted.probed(label(it))) for it in (WEB, DB)) >= 3)
    first = posted.probed(label(WEB))[0]
    assert (first.tunnel, first.target, first.outcome) == ("a", Endpoint("10.0.0.1", 80), PASSED)
    starts = [it.sent_at for it in posted.probed(label(WEB))]
    assert all(later - earlier > QUICK.interval / 2 for earlier, later in pairwise(starts[1:]))
    assert posted.of(Doubted) == []


async def test_silence_is_doubted_before_it_has_failed_and_asked_fast():
    posted, network = Posted(), Network(lambda *_: None)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB)})
    async with running(prober):
        await posted.until(lambda: len(posted.of(Probed)) >= 3)
    doubted = posted.all[0]
    assert isinstance(doubted, Doubted)
    assert (doubted.tunnel, doubted.doubt, doubted.target) == ("a", Doubt.UNANSWERED, Endpoint("10.0.0.1", 80))
    assert doubted.since == pytest.approx(posted.of(Probed)[0].sent_at, abs=0.01)
    assert len(posted.of(Doubted)) == 1
    assert len(network.asked) >= 3


async def test_traffic_is_looked_at_before_a_failure_is_posted():
    posted = Posted()
    prober = Prober(post=posted, look=posted, ask=Network(lambda *_: FAILED))
    prober.watch({"a": plan(PATH, WEB)})
    async with running(prober):
        await posted.until(lambda: posted.of(Probed))
    assert posted.all[0] == "a"
    assert posted.all.index("a") < posted.all.index(posted.of(Probed)[0])


async def test_a_dial_that_worked_is_posted_instead_of_a_probe():
    posted, network = Posted(), Network()
    prober = Prober(post=posted, ask=network, dialled=lambda _tunnel, _target: time.monotonic() - 0.001)
    web = aim("http", "10.0.0.1", 80)  # asks for more than a handshake
    prober.watch({"a": plan(PATH, DB, web)})
    async with running(prober):
        await posted.until(lambda: len(posted.of(Heard)) >= 3 and posted.of(Probed))
    assert set(network.labels()) == {label(web)}
    assert {(it.tunnel, it.target) for it in posted.of(Heard)} == {("a", Endpoint("10.0.0.2", 5432))}


async def test_without_a_path_nothing_is_asked_and_nothing_more_is_posted():
    posted, network = Posted(), Network(lambda *_: None)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB), "b": plan(None, DB)})
    async with running(prober):
        await eventually(lambda: network.waiting > 0)
        prober.watch({"a": plan(None, WEB), "b": plan(None, DB)})
        before = len(posted.all)
        await eventually(lambda: network.waiting == 0)
        prober.suspect("a", Endpoint("10.0.0.1", 80), time.monotonic())
        prober.watch({})
        assert len(posted.all) == before
    assert set(network.labels()) == {label(WEB)}


async def test_an_answer_that_is_here_when_the_path_goes_is_not_posted():
    answers: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def ask(_aim: Aim, _path: Path, _seconds: float) -> Answer:
        return await answers

    posted = Posted()
    prober = Prober(post=posted, ask=ask)
    prober.watch({"a": plan(PATH, WEB, settings=HealthSettings())})
    async with running(prober):
        for _ in range(5):
            await asyncio.sleep(0)
        answers.set_result(Answer(outcome=PASSED, sent_at=0.0, at=0.1))
        prober.watch({"a": plan(None, WEB)})
        for _ in range(5):
            await asyncio.sleep(0)
    assert posted.all == []


async def test_another_path_starts_over_at_once():
    posted, network = Posted(), Network()
    slow = HealthSettings(interval=60.0)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB, settings=slow)})
    async with running(prober):
        await posted.until(lambda: len(posted.of(Probed)) == 1)
        for path in (replace(PATH, ifindex=8), replace(PATH, ifindex=8, source_address=ip_address("10.1.0.2"))):
            prober.watch({"a": plan(path, WEB, settings=slow)})
            await posted.until(lambda path=path: network.asked[-1][2] == path)
    assert len(network.asked) == 3


async def test_what_does_not_change_is_not_disturbed():
    posted, network = Posted(), Network()
    slow = HealthSettings(interval=60.0)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB, settings=slow), "b": plan(PATH, WEB, settings=slow)})
    async with running(prober):
        await posted.until(lambda: len(posted.of(Probed)) == 2)
        ramped = replace(PATH, weight=5, ramp_from=1.0, mss=1200)
        prober.watch({"a": plan(ramped, WEB, DB, settings=slow), "b": plan(PATH, WEB, settings=slow)})
        await posted.until(lambda: posted.probed(label(DB)))
    assert Counter(network.labels()) == {label(WEB): 2, label(DB): 1}
    assert network.asked[-1][2] == ramped, "with the segment size that is valid now"


async def test_what_is_no_aim_any_more_is_not_posted():
    posted, network = Posted(), Network(lambda it, _: None if it == WEB else PASSED)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB, DB)})
    async with running(prober):
        await eventually(lambda: network.waiting > 0)
        prober.watch({"a": plan(PATH, DB)})
        before = len(posted.of(Doubted))
        await posted.until(lambda: network.waiting == 0 and len(posted.probed(label(DB))) >= 4)
        assert posted.probed(label(WEB)) == []
        assert len(posted.of(Doubted)) == before


async def test_an_aim_without_an_address_is_asked_when_it_has_one():
    posted, network = Posted(), Network()
    unknown = aim("tcp", "db.example.com", 5432, addresses=())
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, unknown, WEB)})
    async with running(prober):
        await posted.until(lambda: len(posted.probed(label(WEB))) >= 2)
        assert posted.probed(label(unknown)) == []
        prober.watch({"a": plan(PATH, replace(unknown, addresses=("10.0.0.2",)), WEB)})
        await posted.until(lambda: posted.probed(label(unknown)))


async def test_the_next_address_is_asked_where_one_does_not_answer():
    posted = Posted()
    network = Network(lambda it, _: PASSED if it.addresses[0] == "10.0.0.3" else None)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, replace(DB, addresses=("10.0.0.2", "10.0.0.3")))})
    async with running(prober):
        await posted.until(lambda: len(posted.probed(label(DB), PASSED)) >= 4)
    assert [address for _, address, _ in network.asked][-2:] == ["10.0.0.3", "10.0.0.3"], "and is stayed with"
    assert len(posted.of(Doubted)) == 1


async def test_a_target_is_asked_when_traffic_suspects_it():
    posted, network = Posted(), Network()
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB, targets=(DB,), settings=HealthSettings())})
    async with running(prober):
        await posted.until(lambda: posted.probed(label(WEB)))
        prober.suspect("a", Endpoint("10.0.0.2", 5432), time.monotonic())
        prober.suspect("a", Endpoint("10.0.0.9", 1), time.monotonic())
        prober.suspect("b", Endpoint("10.0.0.2", 5432), time.monotonic())
        await posted.until(lambda: posted.probed(label(DB)), within=0.5)
    assert set(network.labels()) == {label(WEB), label(DB)}


async def test_trouble_of_our_own_is_said_and_counts_for_nothing():
    posted, network = Posted(), Network(lambda *_: LOCAL)
    prober = Prober(post=posted, ask=network)
    prober.watch({"a": plan(PATH, WEB)})
    with capture_logs() as logs:
        async with running(prober):
            await posted.until(lambda: len(posted.of(Probed)) >= 3)
    assert {it.outcome for it in posted.of(Probed)} == {LOCAL}
    assert posted.of(Doubted) == []
    assert [(it["event"], it["tunnel"], it["error"]) for it in logs] == [("probe.prevented", "a", "local")]
    assert prober.stats().failures == {}


async def test_certificates_and_counts_are_kept():
    noted: list[tuple[str, str, float]] = []
    posted = Posted()

    async def ask(_aim: Aim, _path: Path, _seconds: float) -> Answer:
        at = time.monotonic()
        return Answer(outcome=ProbeOutcome.ANSWERED, sent_at=at - 0.002, at=at, rtt=0.001, expiry_at_unix=1e9)

    prober = Prober(post=posted, ask=ask, note_expiry=lambda *it: noted.append(it))
    prober.watch({"a": plan(PATH, WEB)})
    async with running(prober):
        await posted.until(lambda: len(posted.of(Probed)) >= 2)
    assert posted.of(Probed)[0].rtt == 0.001
    assert noted[0] == ("a", label(WEB), 1e9)
    stats = prober.stats()
    assert stats.expiries == {("a", label(WEB)): 1e9}
    assert sum(stats.durations["a", label(WEB)].counts) == stats.failures["a", label(WEB)] == len(posted.of(Probed))


async def test_a_defect_is_not_hidden():
    async def ask(_aim: Aim, _path: Path, _seconds: float) -> Answer:
        raise ZeroDivisionError

    prober = Prober(post=Posted(), ask=ask)
    prober.watch({"a": plan(PATH, WEB)})
    with pytest.RaisesGroup(pytest.RaisesGroup(ZeroDivisionError)):
        async with asyncio.timeout(5.0):
            await prober.run()


async def test_an_answer_that_is_here_while_we_are_late_is_no_silence():
    """The loop is held up from after the question until after the moment of doubt."""
    posted = Posted()
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    settings = HealthSettings(interval=60.0, timeout=5.0, suspect_after=0.05)

    async def ask(_aim: Aim, _path: Path, _seconds: float) -> Answer:
        sent_at = time.monotonic()
        await answer
        return Answer(outcome=PASSED, sent_at=sent_at, at=sent_at + 0.001)

    def late() -> None:
        time.sleep(0.2)
        asyncio.get_running_loop().call_soon(answer.set_result, None)

    prober = Prober(post=posted, ask=ask)
    prober.watch({"a": plan(PATH, WEB, settings=settings)})
    async with running(prober):
        asyncio.get_running_loop().call_later(0.01, late)
        await posted.until(lambda: posted.all)
    assert posted.of(Doubted) == []


# ---------------------------------------------------------------- through real tunnels


@pytest.mark.lab
def test_default_settings_make_a_black_hole_certain_in_time():
    async def scenario():
        posted = Posted()
        with Far() as far, far.listener("0.0.0.0") as listener:
            path = far.link("tun-a", 1)
            port = listener.getsockname()[1]
            prober = Prober(post=posted)
            settings = HealthSettings()
            prober.watch({"a": plan(path, aim("tcp", "10.1.0.1", port), settings=settings)})
            before = open_descriptors()
            async with running(prober):
                await posted.until(lambda: posted.of(Probed))
                far.drop("meta l4proto tcp")
                died_at = time.monotonic()
                await posted.until(lambda: posted.probed(f"tcp://10.1.0.1:{port}", FAILED)[settings.fall - 1 :])
                failures = posted.probed(f"tcp://10.1.0.1:{port}", FAILED)
                verdict_at = max(time.monotonic(), min(it.sent_at for it in failures) + settings.down_after)
                assert verdict_at - died_at <= settings.interval + settings.down_after + 0.25
                assert len(posted.of(Doubted)) == 1
                far.heal()
                await posted.until(lambda: posted.all[-1].outcome is PASSED)
            await eventually(lambda: open_descriptors() == before)

    in_namespace(scenario)


@pytest.mark.lab
def test_a_live_target_hears_of_no_probe_and_a_held_up_loop_makes_no_doubt():
    async def scenario():
        posted = Posted()
        with Far() as far, far.listener("0.0.0.0") as listener:
            path = far.link("tun-a", 1)
            port = listener.getsockname()[1]
            prober = Prober(post=posted)
            settings = HealthSettings(interval=0.2, timeout=0.15, suspect_after=0.1, down_after=0.5)
            prober.watch({"a": plan(path, aim("tcp", "10.1.0.1", port), settings=settings)})
            with far.call(Tap, "tun-a-far") as tap:
                async with running(prober):
                    for wanted in range(1, 6):
                        await posted.until(lambda wanted=wanted: len(posted.of(Probed)) >= wanted)
                        held_up(0.17 * (wanted % 3))
                flags = Counter(tcp_flags(packet) for packet in tap.taken())
            assert {it.outcome for it in posted.of(Probed)} == {PASSED}
            assert posted.of(Doubted) == []
            assert flags["S"] == flags["SA"] >= 5
            with pytest.raises(BlockingIOError):
                listener.accept()

    in_namespace(scenario)
