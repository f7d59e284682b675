"""Two tunnels, and a far side that sends the answers of one of them back by the other."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from gateway.control.asymmetry import AsymmetryWatch
from gateway.control.probes import tcp
from gateway.model import LinkFacts, Path, ProbeOutcome
from tests.control.far import DEADLINE, Far, aim, sysctl
from tests.control.namespace import in_namespace, ip
from tests.control.watching import eventually, open_descriptors

TARGETS = ("192.168.100.30", "fd99::30")


def two_tunnels(far: Far) -> tuple[Path, Path]:
    """Tunnels tun-a and tun-b, and the targets beyond both."""
    paths = far.link("tun-a", 1), far.link("tun-b", 2)
    far.call(ip, *(f"addr add {target} dev lo" for target in TARGETS))
    sysctl("net.ipv4.conf.all.rp_filter", "0")
    ip("route add 192.168.100.30 dev tun-a", "-6 route add fd99::30 via fd01::1 dev tun-a")
    return paths


def answer_by_the_other(far: Far) -> None:
    """Have the far side route tun-a's addresses into tun-b."""
    far.call(
        ip,
        "route add 10.1.0.2/32 via 10.2.0.2 dev tun-b-far",
        "-6 route add fd01::2/128 via fd02::2 dev tun-b-far",
    )
    for device in ("all", "tun-a-far", "tun-b-far"):
        far.call(sysctl, f"net.ipv4.conf.{device}.rp_filter", "0")


def facts(path: Path, number: int) -> LinkFacts:
    return LinkFacts(
        index=path.ifindex, up=True, carrier=True, mtu=1500, addresses=(f"10.{number}.0.2", f"fd0{number}::2")
    )


OWN = frozenset({"10.1.0.2", "fd01::2"})


@pytest.mark.lab
@pytest.mark.parametrize("target", TARGETS)
def test_an_answer_that_comes_back_by_another_tunnel_is_warned_about_once(target: str):
    async def scenario():
        with Far() as far:
            path, other = two_tunnels(far)
            answer_by_the_other(far)
            before = open_descriptors()
            with (
                far.listener(target) as listener,
                closing(AsymmetryWatch()) as watch,
                capture_logs() as logs,
            ):
                watch.suspect("tun-a", OWN, {"tun-a": facts(path, 1), "tun-b": facts(other, 2)})
                question = aim("tcp", target, listener.getsockname()[1])
                async with asyncio.timeout(DEADLINE):
                    while not logs:
                        await tcp.ask(question, path, 0.2)
                watch.suspect("tun-a", OWN, {"tun-b": facts(other, 2)})
                for _ in range(3):
                    await tcp.ask(question, path, 0.05)
                assert [it["event"] for it in logs] == ["path.asymmetric"]
                assert (logs[0]["tunnel"], logs[0]["arrived_on"]) == ("tun-a", "tun-b")
                assert ip_address(logs[0]["address"]) == ip_address("fd01::2" if ":" in target else "10.1.0.2")
                assert "rp_filter" in logs[0]["check"]
            assert open_descriptors() == before

    in_namespace(scenario)


@pytest.mark.lab
def test_answers_of_the_other_tunnels_own_dials_are_none_of_it():
    async def scenario():
        with Far() as far:
            path, other = two_tunnels(far)
            with (
                far.listener("0.0.0.0") as listener,
                closing(AsymmetryWatch()) as watch,
                capture_logs() as logs,
            ):
                watch.suspect("tun-a", OWN, {"tun-b": facts(other, 2)})
                for _ in range(10):
                    for through, host in ((other, "10.2.0.1"), (path, "10.1.0.1"), (path, "192.168.100.30")):
                        answer = await tcp.ask(aim("tcp", host, listener.getsockname()[1]), through, DEADLINE)
                        assert answer.outcome is ProbeOutcome.PASSED
                assert logs == []

    in_namespace(scenario)


@pytest.mark.lab
def test_nothing_is_open_while_nothing_is_suspect():
    async def scenario():
        with Far() as far:
            path, other = two_tunnels(far)
            before = open_descriptors()
            watch = AsymmetryWatch()
            assert open_descriptors() == before
            both = {"tun-a": facts(path, 1), "tun-b": facts(other, 2)}
            watch.suspect("tun-a", OWN, both)
            watch.suspect("tun-a", OWN, both)
            assert len(open_descriptors()) == len(before) + 1, "one device, said twice"
            watch.suspect("tun-b", frozenset({"10.2.0.2"}), both)
            assert len(open_descriptors()) == len(before) + 2
            watch.calm("tun-a")
            watch.calm("tun-a")
            assert len(open_descriptors()) == len(before) + 1
            watch.suspect("tun-b", frozenset({"10.2.0.2"}), {})
            assert open_descriptors() == before, "there is no other any more"
            watch.suspect("tun-a", OWN, {"tun-b": facts(path, 1)})
            assert open_descriptors() == before, "it has the same addresses"
            watch.suspect("tun-a", OWN, both)
            watch.close()
            assert open_descriptors() == before

    in_namespace(scenario)


@pytest.mark.lab
def test_a_device_that_goes_takes_its_ear_with_it():
    async def scenario():
        with Far() as far:
            _, other = two_tunnels(far)
            before = open_descriptors()
            with closing(AsymmetryWatch()) as watch, capture_logs() as logs:
                watch.suspect("tun-a", OWN, {"tun-b": facts(other, 2)})
                assert open_descriptors() != before
                ip("link del tun-b")
                await eventually(lambda: open_descriptors() == before)
                watch.suspect("tun-a", OWN, {"tun-b": facts(other, 2)})
                assert open_descriptors() == before
                assert {(it["event"], it["log_level"]) for it in logs} == {("path.watch_unavailable", "debug")}

    in_namespace(scenario)


async def test_without_permission_nothing_is_noticed_and_little_said(monkeypatch: pytest.MonkeyPatch):
    def forbid() -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("gateway.control.asymmetry.packet_socket", forbid)
    with closing(AsymmetryWatch()) as watch, capture_logs() as logs:
        watch.suspect("tun-a", OWN, {"tun-b": LinkFacts(index=1, up=True, carrier=True, mtu=1500)})
    assert [(it["event"], it["log_level"]) for it in logs] == [("path.watch_unavailable", "debug")]
