from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from errno import EPERM
from ipaddress import ip_address, ip_network

import pytest
from structlog.testing import capture_logs

from gateway.app import ways
from gateway.app.ways import Ways
from gateway.errors import LinkError
from gateway.model import (
    AdminSpec,
    Config,
    Endpoint,
    ForwardSpec,
    GatewaySpec,
    IPAddress,
    IPNetwork,
    RoutesMode,
    TunnelKind,
    TunnelSpec,
)
from tests.policy.scenes import GOOD, LINK_DOWN, forward, tunnel

DEADLINE = 30.0
ADDRESS = ip_address(GOOD.addresses[0])
MANAGED = replace(tunnel("a"), routes=RoutesMode.MANAGED, kind=TunnelKind.OPENVPN)
FOLLOWED, ALSO_FOLLOWED = (replace(tunnel(name), routes=RoutesMode.MANAGED) for name in ("b", "c"))


@dataclass
class FakeRoutes:
    """`refusals`: so many times what is asked is refused."""

    refusals: int = 0
    aims: list[Mapping[str, frozenset[IPNetwork]]] = field(default_factory=list)
    done: list[tuple[object, ...]] = field(default_factory=list)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self._do("start")

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        self._do("stop")

    async def expect(self, tunnel: str, addresses: tuple[IPAddress, ...]) -> None:
        pass

    async def open(self, tunnel: str, interface: str, addresses: tuple[IPAddress, ...]) -> None:
        self._do("open", tunnel, interface, addresses)

    async def close(self, tunnel: str) -> None:
        self._do("close", tunnel)

    def aim(self, destinations: Mapping[str, frozenset[IPNetwork]]) -> None:
        self.aims.append(destinations)

    def seen(self, links: object, unrouted: object) -> None:
        self.done.append(("seen", links, unrouted))

    async def until(self, *what: object) -> None:
        async with asyncio.timeout(DEADLINE):
            while what not in self.done:
                self.something.clear()
                await self.something.wait()

    async def refused(self) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.refusals:
                self.something.clear()
                await self.something.wait()

    def _do(self, *what: object) -> None:
        if self.refusals:
            self.refusals -= 1
            self.something.set()
            raise LinkError("cannot route: CAP_NET_ADMIN is missing", EPERM)
        self.done.append(what)
        self.something.set()


def config(*tunnels: TunnelSpec, forwards: tuple[ForwardSpec, ...] = (forward("hello", "a"),)) -> Config:
    return Config(path="f", gateway=GatewaySpec(), admin=AdminSpec(), tunnels=tunnels, forwards=forwards)


@asynccontextmanager
async def running(ways: Ways) -> AsyncIterator[None]:
    await ways.start()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(ways.run())
        yield
        run.cancel()


async def test_it_aims_at_what_is_known_and_again_when_names_are():
    routes = FakeRoutes()
    named = forward("db", "a", target=Endpoint("db.example", 5432))
    ways = Ways(config(MANAGED, forwards=(forward("hello", "a"), named)), routes)
    await ways.start()
    target, old, new = (ip_network(it) for it in ("192.168.100.30", "10.0.0.1", "10.0.0.2"))
    assert routes.aims == [{"a": {target}}]
    ways.names({"db.example": ("10.0.0.1",)}, {})
    assert routes.aims[-1] == {"a": {target, old}}
    ways.names({"db.example": ("10.0.0.2",)}, {})
    assert routes.aims[-1] == {"a": {target, old, new}}, "sessions with the old address may last"


async def test_unguarded_it_says_so_and_follows_nothing():
    routes = FakeRoutes(refusals=1)
    ways = Ways(config(MANAGED, FOLLOWED), routes)
    with capture_logs() as logs:
        async with running(ways):
            ways.names({}, {})
            ways.devices({"tun-b": GOOD})
    assert [(it["event"], it["tunnels"]) for it in logs] == [("routes.unavailable", ["a", "b"])]
    assert (routes.aims, routes.done) == ([], [])


async def test_routes_that_cannot_be_removed_are_said():
    routes = FakeRoutes()
    ways = Ways(config(MANAGED), routes)
    await ways.start()
    routes.refusals = 1
    with capture_logs() as logs:
        await ways.stop()
    assert [it["event"] for it in logs] == ["routes.unavailable"]


async def test_an_interfaces_routes_follow_its_device():
    routes = FakeRoutes()
    ways = Ways(config(FOLLOWED, MANAGED), routes)
    async with running(ways):
        ways.devices({"tun-b": GOOD, "tun-a": GOOD})
        await routes.until("open", "b", "tun-b", (ADDRESS,))
        ways.devices({"tun-b": LINK_DOWN})
        await routes.until("close", "b")
        ways.devices({"tun-b": replace(GOOD, addresses=("10.0.0.9",))})
        await routes.until("open", "b", "tun-b", (ip_address("10.0.0.9"),))
    assert not [it for it in routes.done if it[:2] == ("open", "a")], "that is its driver's to do"


async def test_a_device_that_comes_while_another_is_refused_does_not_wait_for_it():
    routes = FakeRoutes()
    followed = Ways(config(FOLLOWED, ALSO_FOLLOWED, forwards=(forward("hello", "b", "c"),)), routes)
    async with running(followed):
        routes.refusals = 1
        followed.devices({"tun-b": GOOD})
        await routes.refused()
        began = asyncio.get_running_loop().time()
        followed.devices({"tun-b": GOOD, "tun-c": GOOD})
        await routes.until("open", "c", "tun-c", (ADDRESS,))
        assert asyncio.get_running_loop().time() - began < ways._AGAIN / 2


async def test_what_has_no_route_is_handed_on():
    routes = FakeRoutes()
    followed = Ways(config(MANAGED), routes)
    async with running(followed):
        followed.devices({"tun-a": GOOD}, frozenset({("tun-a", "10.0.0.1")}))
    assert ("seen", {"tun-a": GOOD}, {("tun-a", "10.0.0.1")}) in routes.done


async def test_what_is_refused_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ways, "_AGAIN", 0.01)
    routes = FakeRoutes()
    followed = Ways(config(FOLLOWED), routes)
    async with running(followed):
        routes.refusals = 2
        with capture_logs() as logs:
            followed.devices({"tun-b": GOOD})
            await routes.until("open", "b", "tun-b", (ADDRESS,))
    assert [it["event"] for it in logs] == ["routes.refused"], "said once"
