from __future__ import annotations

import asyncio

import pytest

from tests.lab import client
from tests.lab.kinds.openvpn import Login, OpenVpn
from tests.lab.lab import Lab
from tests.lab.management import Management
from tests.lab.topology import Site


@pytest.mark.lab
def test_a_password_opens_the_other_server():
    with Lab() as lab:
        tunnel = OpenVpn(lab.workshop, Site.A, login=Login.PASSWORD)
        tunnel.start()
        tunnel.wait_ready()
        seen = asyncio.run(client.fetch(lab.cloud, device=tunnel.device)).seen
        assert seen == tunnel.address
        assert seen.startswith(Site.A.pool(Login.PASSWORD.number))


@pytest.mark.lab
def test_management_tells_the_state_and_takes_orders(lab):
    tunnel = lab.vpn(Site.A)
    with Management(lab.directory.sock / tunnel.client) as management:
        management.wait_connected(5)
        assert management.command("pid") == f"pid={lab.processes.id(tunnel.client).pid}"


@pytest.mark.lab
async def test_a_restarted_client_keeps_its_device_and_address(lab):
    tunnel = lab.vpn(Site.A)
    before = lab.cloud.link(tunnel.device)
    lab.restart(tunnel.client)
    after = lab.cloud.link(tunnel.device)
    assert (after.index, after.addresses) == (before.index, before.addresses)
    assert (await client.fetch(lab.cloud, device=tunnel.device)).seen == tunnel.address
