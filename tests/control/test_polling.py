"""What the ioctls say, against what netlink says."""

from __future__ import annotations

from contextlib import closing

import pytest

from gateway.control.netlink import NetlinkReader, RouteQuestion
from gateway.control.polling import IoctlReader
from tests.control.namespace import Tun, in_namespace, ip

NAMES = ("lo", "tun-a", "tun-b", "nowhere", "a-name-longer-than-a-device-may-have")


@pytest.mark.lab
def test_both_readers_agree():
    async def scenario():
        with closing(Tun("tun-a", "10.20.0.2/24", "10.20.0.3/24", "fd00::1/64")), closing(Tun("tun-b")) as other:
            ip("link set tun-a mtu 1380", "addr add 10.21.0.2/24 dev tun-a label tun-a:1")
            with closing(NetlinkReader()) as netlink, closing(IoctlReader()) as ioctl:
                assert ioctl.links(NAMES) == netlink.links(NAMES)
                other.up(on=False)
                assert ioctl.links(NAMES) == netlink.links(NAMES)

    in_namespace(scenario)


def test_routes_are_not_known_and_so_no_reason_to_refuse():
    with closing(IoctlReader()) as reader:
        assert reader.unrouted([RouteQuestion(1, "10.1.1.1")]) == set()
