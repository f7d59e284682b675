from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.lab.names import Role
from tests.lab.topology import UPLINK, UPLINK_NEAR

pytestmark = pytest.mark.lab


async def test_a_socket_belongs_to_the_namespace_it_was_opened_in(lab):
    loop = asyncio.get_running_loop()
    with lab.cloud.listen(UPLINK_NEAR, 7000) as listener, lab.cloud.open_socket() as inside:
        await loop.sock_connect(inside, (UPLINK_NEAR, 7000))
        accepted, (peer, _) = await loop.sock_accept(listener)
        accepted.close()
        assert peer == UPLINK_NEAR
    with socket.socket() as outside, pytest.raises(OSError, match="Cannot assign requested address"):
        outside.bind((UPLINK_NEAR, 7000))


def test_a_socket_can_be_bound_to_a_device(lab):
    with lab.cloud.open_socket(device=UPLINK) as bound:
        assert bound.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == UPLINK.encode()
    with pytest.raises(OSError, match="No such device"):
        lab.cloud.open_socket(device="nothing")


def test_a_device_is_seen_as_it_is(lab):
    link = lab.cloud.link(UPLINK)
    assert link.up
    assert link.carrier
    assert link.addresses == (f"{UPLINK_NEAR}/24",)
    assert lab.cloud.link("nothing") is None


def test_values_of_the_kernel_are_set_in_the_namespace_alone(lab):
    path = Path("/proc/sys/net/ipv4/ip_default_ttl")
    outside = path.read_text()
    corp = lab.spaces[Role.CORP]
    corp.sysctl("ipv4/ip_default_ttl", 33)
    try:
        assert corp.call(path.read_text).strip() == "33"
        assert corp.run(["cat", str(path)]).strip() == "33"
        assert path.read_text() == outside
    finally:
        corp.sysctl("ipv4/ip_default_ttl", 64)
