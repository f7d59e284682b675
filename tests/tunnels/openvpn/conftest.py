"""Tools in the cloud of a lab, where the tests' own event loop then is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.tunnels.links import KernelLinks
from gateway.tunnels.netlink import Netlink
from gateway.tunnels.tools import Tools
from tests.lab.lab import Lab
from tests.tunnels.inside import inside
from tests.tunnels.no_roads import NoRoads


@pytest.fixture
def cloud(empty_lab: Lab) -> Iterator[Lab]:
    """The lab, with the test in its cloud."""
    with inside(empty_lab.cloud):
        yield empty_lab


@pytest_asyncio.fixture
async def tools(cloud: Lab, tmp_path: Path) -> AsyncIterator[Tools]:
    """What the gateway gives to its clients, but for the routes."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    netlink = Netlink()
    yield Tools(links=KernelLinks(netlink), roads=NoRoads(), runtime=runtime)
    await netlink.close()
