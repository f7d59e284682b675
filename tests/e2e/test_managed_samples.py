"""Both sample servers of the service's documentation, as they were printed, and one TOML file: `curl vpn:33000`.

The sentence of the description comes true beside the gateway: a service in another network namespace, to which `vpn` is
the gateway's address on the platform's network, is shown the company's page.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import configuration, connected, tunnel, with_bundle
from tests.e2e.programs import program
from tests.lab.mounts import View
from tests.lab.names import Role
from tests.lab.samples.ipsec import IpsecSample
from tests.lab.samples.openvpn import OpenVpnSample
from tests.lab.servers.ipsec import Auth
from tests.lab.topology import CORP_ADDRESS, UPLINK_NEAR, Site

pytestmark = pytest.mark.lab

_SITE = Site.A
_FORWARD = f"""[[forward]]
name = "hello"
listen = "0.0.0.0:33000"
target = "{CORP_ADDRESS}:8080"
"""


async def test_openvpn_with_an_account_of_the_system(empty_lab, tmp_path):
    with empty_lab.serving(OpenVpnSample(empty_lab.workshop, _SITE)) as server:
        await _says_hello(empty_lab, tmp_path, tunnel("company", server.access))


async def test_ipsec_with_an_account(empty_lab, tmp_path):
    with empty_lab.serving(IpsecSample(empty_lab.workshop, _SITE)) as server:
        await _says_hello(empty_lab, tmp_path, tunnel("company", server.access))


async def test_ipsec_with_a_pkcs12_file(empty_lab, tmp_path):
    with empty_lab.serving(IpsecSample(empty_lab.workshop, _SITE, auth=Auth.TLS)) as server:
        await _says_hello(empty_lab, tmp_path, with_bundle("company", server.access))


async def _says_hello(lab, tmp_path, entry):
    """The gateway connects by `entry` alone, and a service beside it reads the company's page from `vpn`."""
    async with GatewayProcess(lab, tmp_path, configuration(lab, tmp_path, entry, _FORWARD)) as gateway:
        await gateway.ready()
        await connected(gateway, "company")
        await gateway.metric("gateway_forward_active_tunnel", lambda value: value == 1, forward="hello")
        page = _curl_vpn(lab, tmp_path)
        assert "<body><h1>Hello world!</h1></body></html>" in page
        assert page.endswith(f"you={_SITE.lan}\n")  # the samples translate addresses: the company sees the VPN server
        assert await gateway.terminate() == 0


def _curl_vpn(lab, tmp_path):
    """What `curl vpn:33000` prints on the other side of the uplink."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{UPLINK_NEAR} vpn\n")
    view = View(lab.directory, "service", {Path("/etc/hosts"): hosts})
    view.clear()
    return lab.spaces[Role.WAN].run(view.command(["env", "-i", program("curl"), "vpn:33000"]))
