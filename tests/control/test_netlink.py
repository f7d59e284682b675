"""Questions to the real kernel, in namespaces of their own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from gateway.control.netlink import LOOKUP_BATCH, NetlinkReader, RouteQuestion
from gateway.errors import KernelUnavailableError
from gateway.model import LinkFacts
from tests.control.namespace import Tun, in_namespace, ip


@contextmanager
def reader_and_tun(*addresses: str) -> Iterator[tuple[NetlinkReader, Tun]]:
    with closing(Tun("tun-a", *addresses)) as tun, closing(NetlinkReader()) as reader:
        yield reader, tun


@pytest.mark.lab
def test_devices_as_they_are_and_those_that_are_not():
    async def scenario():
        with reader_and_tun("10.20.0.2/24", "10.20.0.3/24", "169.254.10.2/30") as (reader, tun):
            ip("link set tun-a mtu 1380")
            found = reader.links(["tun-a", "nowhere", "a-name-longer-than-a-device-may-have"])
            assert found == {
                "tun-a": LinkFacts(
                    index=tun.index,
                    up=True,
                    carrier=True,
                    mtu=1380,
                    addresses=("10.20.0.2", "169.254.10.2", "10.20.0.3"),  # a subnet's second one comes last
                )
            }

    in_namespace(scenario)


@pytest.mark.lab
def test_the_own_end_of_a_point_to_point_address():
    async def scenario():
        with reader_and_tun() as (reader, _):
            ip("addr add 10.8.0.6 peer 10.8.0.5 dev tun-a", "addr add fd08::6 peer fd08::5 dev tun-a nodad")
            assert reader.links(["tun-a"])["tun-a"].addresses == ("10.8.0.6", "fd08::6")

    in_namespace(scenario)


@pytest.mark.lab
def test_tentative_and_link_local_addresses_are_left_out():
    async def scenario():
        ip("link add veth-x type veth peer name veth-y", "link set veth-x up")
        with closing(NetlinkReader()) as reader:
            ip(
                "addr add fd00::1/64 dev veth-x",
                "addr add fd00::2/64 dev veth-x nodad",
                "addr add fe80::7/64 dev veth-x",
            )
            assert reader.links(["veth-x"])["veth-x"].addresses == ("fd00::2",), "without a peer, detection cannot end"

    in_namespace(scenario)


@pytest.mark.lab
def test_carrier_of_a_tun_device_follows_its_process():
    async def scenario():
        tun = Tun("tun-a")
        with closing(NetlinkReader()) as reader:
            assert reader.links(["tun-a"])["tun-a"].carrier
            tun.carrier(on=False)
            facts = reader.links(["tun-a"])["tun-a"]
            assert facts.up
            assert not facts.carrier
            tun.carrier(on=True)
            assert reader.links(["tun-a"])["tun-a"].carrier
            tun.abandon()
            assert not reader.links(["tun-a"])["tun-a"].carrier
            ip("link del tun-a")
            assert reader.links(["tun-a"]) == {}

    in_namespace(scenario)


@pytest.mark.lab
def test_a_device_that_is_down_has_no_carrier():
    async def scenario():
        with reader_and_tun("10.20.0.2/24") as (reader, tun):
            tun.up(on=False)
            facts = reader.links(["tun-a"])["tun-a"]
            assert (facts.up, facts.carrier, facts.addresses) == (False, False, ("10.20.0.2",))

    in_namespace(scenario)


ROUTES = [
    ("10.20.0.9", True),  # on the link
    ("10.20.0.2", True),  # the device's own
    ("10.30.0.1", True),
    ("10.31.0.1", False),
    ("10.40.0.1", False),  # unreachable
    ("10.41.0.1", False),  # prohibit
    ("127.0.0.1", False),  # not by way of this device
    ("fd30::1", True),
    ("fd31::1", False),
    ("fd40::1", False),
]


@pytest.mark.lab
def test_a_default_route_of_another_device_is_no_route():
    async def scenario():
        with reader_and_tun("10.20.0.2/24", "fd20::2/64") as (reader, tun), closing(Tun("tun-b", "10.50.0.2/24")):
            ip(
                "route add default dev tun-b",
                "route add 10.30.0.0/16 dev tun-a",
                "route add fd30::/64 dev tun-a",
                "route add unreachable 10.40.0.0/16",
                "route add prohibit 10.41.0.0/16",
                "route add unreachable fd40::/64",
            )
            questions = [RouteQuestion(tun.index, address) for address, _ in ROUTES]
            none = {question.address for question in reader.unrouted(questions)}
            assert none == {address for address, routed in ROUTES if not routed}

    in_namespace(scenario)


@pytest.mark.lab
def test_many_questions_get_their_own_answers():
    async def scenario():
        with reader_and_tun("10.20.0.2/24") as (reader, tun):
            questions = [RouteQuestion(tun.index, f"10.20.{n // 250}.{n % 250 + 1}") for n in range(20 * LOOKUP_BATCH)]
            assert reader.unrouted(questions) == set(questions[250:])

    in_namespace(scenario)


@pytest.mark.lab
def test_a_device_that_is_gone_says_nothing_of_its_routes():
    async def scenario():
        with closing(NetlinkReader()) as reader:
            assert reader.unrouted([RouteQuestion(4711, "10.1.1.1")]) == set()

    in_namespace(scenario)


@pytest.mark.lab
def test_an_answer_to_a_question_given_up_is_not_taken_for_another():
    async def scenario():
        with reader_and_tun("10.20.0.2/24") as (reader, tun):
            stale = RouteQuestion(tun.index, "10.99.0.1")
            reader._send(26, b"")  # RTM_GETROUTE, malformed: an error comes back that nobody waits for
            assert reader.unrouted([stale, RouteQuestion(tun.index, "10.20.0.9")]) == {stale}
            reader._send(26, b"")
            assert "tun-a" in reader.links(["tun-a"])

    in_namespace(scenario)


def test_no_netlink_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "NETLINK_ROUTE", 999)
    with pytest.raises(KernelUnavailableError, match="not supported"):
        NetlinkReader()


def test_a_socket_that_cannot_be_used_is_closed(monkeypatch: pytest.MonkeyPatch):
    def deaf(_self: NetlinkReader, _interfaces: object) -> dict[str, LinkFacts]:
        raise TimeoutError(errno.EAGAIN, "no answer")

    monkeypatch.setattr(NetlinkReader, "links", deaf)
    with pytest.raises(KernelUnavailableError, match="does not answer"):
        NetlinkReader()
