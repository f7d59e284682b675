"""The thread that changes devices: its socket is renewed, and whoever asks does not notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.tunnels import netlink as module
from gateway.tunnels.netlink import Netlink


class Socket:
    """Counts those that are open."""

    made = 0
    open = 0

    def __init__(self) -> None:
        Socket.made += 1
        Socket.open += 1

    def close(self) -> None:
        Socket.open -= 1


async def test_a_socket_serves_fifty_questions_and_there_is_never_more_than_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "IPRoute", Socket)
    netlink = Netlink()
    seen = [await netlink.ask("count", lambda _: (Socket.made, Socket.open)) for _ in range(120)]
    assert seen == [(1, 1)] * 50 + [(2, 1)] * 50 + [(3, 1)] * 20
    await netlink.close()
    assert Socket.open == 0


async def test_no_descriptor_is_left_of_those_before() -> None:
    netlink = Netlink()
    names = {await netlink.ask("look at lo", lambda ipr: ipr.link("get", ifname="lo")[0].get("IFLA_IFNAME"))}
    before = _descriptors()
    for _ in range(120):
        names.add(await netlink.ask("look at lo", lambda ipr: ipr.link("get", ifname="lo")[0].get("IFLA_IFNAME")))
    assert names == {"lo"}
    assert len(_descriptors()) == len(before)
    await netlink.close()


def _descriptors() -> list[Path]:
    return list(Path("/proc/self/fd").iterdir())
