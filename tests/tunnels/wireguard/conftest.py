"""Tools in the cloud of a lab, where the tests' own event loop then is."""

from __future__ import annotations

import pytest

from gateway.tunnels.links import KernelLinks
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.tools import Tools
from tests.tunnels.inside import inside
from tests.tunnels.no_roads import NoRoads


@pytest.fixture
async def tools(empty_lab, tmp_path):
    with inside(empty_lab.cloud):
        netlink = Netlink()
        try:
            yield Tools(links=KernelLinks(netlink), roads=NoRoads(), runtime=tmp_path)
        finally:
            await netlink.close()
