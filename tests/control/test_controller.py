from __future__ import annotations

import asyncio

import pytest

from gateway.control.controller import Controller
from gateway.model import (
    Endpoint,
    ForwardSpec,
    HealthSettings,
    KernelSnapshot,
    LinkFacts,
    ListenAddress,
    PortMap,
    TunnelKind,
    TunnelSpec,
)
from gateway.policy.evidence import KernelSeen

_TARGET = Endpoint("192.168.100.30", 8080)
_FORWARD = ForwardSpec(
    name="hello", ports=(PortMap(listen=ListenAddress(None, 33000), target=_TARGET),), tunnels=("a",)
)
_TUNNEL = TunnelSpec(
    name="a", kind=TunnelKind.INTERFACE, interface="tun-a", health=HealthSettings(interval=1.0, rise=2)
)


class _Clock:
    """A clock on which a second passes between any two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now


@pytest.fixture
def clock():
    return _Clock()


async def test_a_moment_that_goes_by_while_the_controller_works_is_not_missed(clock):
    """What brings a tunnel back may fall due between weighing one piece of evidence and waiting for the next."""
    offered = []
    back = asyncio.Event()

    def apply(table):
        offered.append(table.choices["hello", _TARGET].tunnels)
        if () in offered and offered[-1] == ("a",):
            back.set()

    controller = Controller((_FORWARD,), (_TUNNEL,), apply=apply, abort=lambda *_: 0, clock=clock)
    good = LinkFacts(index=7, up=True, carrier=True, mtu=1500, addresses=("10.71.1.2",))
    for links in ({"tun-a": good}, {}, {"tun-a": good}):
        controller.post(KernelSeen(snapshot=KernelSnapshot(links=links)))
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        running = group.create_task(controller.run())
        await back.wait()
        running.cancel()
