from __future__ import annotations

import asyncio

import pytest

from tests.lab import client
from tests.lab.errors import LabError
from tests.lab.kinds.openvpn import OpenVpnClient
from tests.lab.management import Management
from tests.lab.pki import Certified
from tests.lab.servers.openvpn import ControlKey, Login, OpenVpnServer, Transport, management_socket
from tests.lab.topology import Site
from tests.lab.vpn import Vpn
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab


def _page(lab, server):
    """The address that the company sees when a client of `server` reads its page."""
    tunnel = OpenVpnClient(lab.workshop, Site.A, server.access)
    tunnel.start()
    try:
        tunnel.wait_ready()
        return asyncio.run(client.fetch(lab.cloud, device=tunnel.device)).seen
    finally:
        tunnel.stop()


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("login", list(Login))
def test_every_login_opens_its_server_over_udp_and_tcp(empty_lab, login, transport):
    with empty_lab.serving(
        OpenVpnServer(empty_lab.workshop, Site.A, number=2, login=login, transport=transport)
    ) as server:
        assert _page(empty_lab, server).startswith(f"{Site.A.pool(2)}.")


@pytest.mark.parametrize("control_key", list(ControlKey))
def test_the_control_channel_is_wrapped_as_was_asked_for(empty_lab, control_key):
    with empty_lab.serving(OpenVpnServer(empty_lab.workshop, Site.A, control_key=control_key)) as server:
        assert (server.access.tls_crypt is not None) is (control_key is ControlKey.TLS_CRYPT)
        assert (server.access.tls_auth is not None) is (control_key is ControlKey.TLS_AUTH)
        assert _page(empty_lab, server).startswith(f"{Site.A.pool(1)}.")


@pytest.mark.parametrize(
    ("certified", "complaint"),
    [
        (Certified.EXPIRED, "VERIFY ERROR: depth=0, error=certificate has expired"),
        (Certified.MISNAMED, "VERIFY X509NAME ERROR"),
        (Certified.UNTRUSTED, "VERIFY ERROR: depth=0, error=unable to get local issuer certificate"),
    ],
)
def test_a_server_whose_certificate_is_wrong_is_not_believed(empty_lab, certified, complaint):
    with empty_lab.serving(OpenVpnServer(empty_lab.workshop, Site.B, certified=certified)) as server:
        tunnel = OpenVpnClient(empty_lab.workshop, Site.B, server.access)
        tunnel.start()
        try:
            wait_until(
                lambda: complaint in empty_lab.processes.log(tunnel.name),
                within=5,
                what=complaint,
                detail=lambda: empty_lab.processes.log(tunnel.name),
            )
        finally:
            tunnel.stop()


def test_servers_of_one_site_live_side_by_side_and_each_ends_with_its_context(empty_lab):
    workshop = empty_lab.workshop
    with empty_lab.serving(OpenVpnServer(workshop, Site.A)) as first:
        with empty_lab.serving(OpenVpnServer(workshop, Site.A, number=2)) as second:
            assert (first.name, second.name) == ("openvpn-server-a", "openvpn-server-a-2")
            assert (first.access.port, second.access.port) == (1194, 1195)
            with empty_lab.faults.kill9(second.name):
                assert not empty_lab.processes.alive(second.name)
            assert empty_lab.processes.alive(second.name)
        assert empty_lab.processes.alive(first.name)
        assert not empty_lab.processes.alive(second.name)
    with pytest.raises(LabError, match="no process is called"):
        empty_lab.restart(first.name)


def test_a_vpn_can_be_had_of_any_server(empty_lab):
    server = OpenVpnServer(empty_lab.workshop, Site.C, login=Login.PASSWORD)
    opened = OpenVpnClient(empty_lab.workshop, Site.C, server.access)
    tunnel = Vpn(empty_lab.workshop, Site.C, server, opened)
    tunnel.start()
    try:
        tunnel.wait_ready()
        assert asyncio.run(client.fetch(empty_lab.cloud, device=tunnel.device)).seen == tunnel.address
    finally:
        opened.stop()
        server.stop()


def test_management_tells_the_state_and_takes_orders(lab):
    tunnel = lab.vpn(Site.A)
    with Management(management_socket(lab.workshop, tunnel.client)) as management:
        management.wait_connected(5)
        assert management.command("pid") == f"pid={lab.processes.id(tunnel.client).pid}"


async def test_a_restarted_client_keeps_its_device_and_address(lab):
    tunnel = lab.vpn(Site.A)
    before = lab.cloud.link(tunnel.device)
    lab.restart(tunnel.client)
    after = lab.cloud.link(tunnel.device)
    assert (after.index, after.addresses) == (before.index, before.addresses)
    assert (await client.fetch(lab.cloud, device=tunnel.device)).seen == tunnel.address
