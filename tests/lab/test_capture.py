from __future__ import annotations

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.topology import UPLINK, Site

pytestmark = pytest.mark.lab


async def test_what_goes_through_a_tunnel_is_not_seen_on_the_links(lab):
    with lab.capture() as capture:
        await client.fetch(lab.cloud, device=lab.vpn(Site.A).device)
    assert capture.packets == ()


@pytest.mark.parametrize("link", [UPLINK, Site.A.link])
async def test_what_leaks_is_seen(lab, link):
    with lab.capture() as capture, pytest.raises(TimeoutError):
        await client.fetch(lab.cloud, device=link, within=0.1)
    # By the default route the packet itself leaves; on a link without a route its neighbour is asked for first.
    assert capture.packets
    assert all(f" {link} " in packet for packet in capture.packets)


async def test_other_packets_can_be_asked_for(lab):
    with lab.capture(f"udp and dst host {Site.B.far}") as capture:
        await client.fetch(lab.cloud, device=lab.vpn(Site.B).device)
    assert len(capture.packets) >= 3
    assert all(f" {Site.B.link} " in packet for packet in capture.packets)


def test_it_says_nothing_before_its_end(lab):
    with lab.capture() as capture, pytest.raises(LabError, match="has not ended"):
        _ = capture.packets
