"""Every way to log in to every kind of server, all of them at once in one gateway: each tunnel carries its own forward.

What connects side by side here are seven OpenVPN clients, four IPsec connections (two with one server, by one name)
and two WireGuard devices, all of them to the same network.
"""

from __future__ import annotations

from contextlib import ExitStack
from itertools import product

import pytest
import pytest_asyncio

from tests.e2e.failover import forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import Environment, by_profile, configuration, connected, driver, tunnel, with_bundle
from tests.lab.servers.ipsec import Auth, IpsecServer
from tests.lab.servers.openvpn import ControlKey, Login, OpenVpnServer, Transport
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

_KEYS = (ControlKey.TLS_CRYPT, ControlKey.TLS_AUTH, ControlKey.NONE)
_OPENVPN = {  # each with another wrapping of the control channel than the one before
    f"{transport}-{login}": (number, transport, login, _KEYS[number % len(_KEYS)])
    for number, (transport, login) in enumerate(product(Transport, Login), 1)
}
_IPSEC = {Auth.MSCHAPV2: Site.A, Auth.TLS: Site.B, Auth.PUBKEY: Site.C}
_WAYS = [*_OPENVPN, "ovpn-profile", *(f"ipsec-{auth}" for auth in Auth), "ipsec-pkcs12", "wg-keys", "wg-profile"]
_PORTS = {name: 33000 + place for place, name in enumerate(_WAYS)}


@pytest.fixture(scope="module")
def servers(shared_empty_lab):
    """By tunnel, the server that it connects to."""
    lab = shared_empty_lab
    found = {
        name: OpenVpnServer(
            lab.workshop, Site.A, number=number, login=login, transport=transport, control_key=control_key
        )
        for name, (number, transport, login, control_key) in _OPENVPN.items()
    }
    found["ovpn-profile"] = OpenVpnServer(lab.workshop, Site.B, login=Login.BOTH)
    found |= {f"ipsec-{auth}": IpsecServer(lab.workshop, site, auth=auth) for auth, site in _IPSEC.items()}
    found["wg-keys"] = WireGuardServer(lab.workshop, Site.A, preshared=True)
    found["wg-profile"] = WireGuardServer(lab.workshop, Site.C)
    with ExitStack() as stack:
        for server in found.values():
            stack.enter_context(lab.serving(server))
        yield {**found, "ipsec-pkcs12": found["ipsec-tls"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(shared_empty_lab, servers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("gateway")
    profile = directory / "client.ovpn"
    profile.write_text("\n".join(["dev tun", *servers["ovpn-profile"].access.profile(), ""]))
    secret = Environment()
    entries = [tunnel(name, servers[name].access, secret=secret) for name in _OPENVPN]
    entries.append(by_profile("ovpn-profile", "openvpn", profile))
    entries += [tunnel(name, servers[name].access, secret=secret) for name in map("ipsec-{}".format, Auth)]
    entries.append(with_bundle("ipsec-pkcs12", servers["ipsec-pkcs12"].access, secret=secret))
    entries.append(tunnel("wg-keys", servers["wg-keys"].access, secret=secret))
    entries.append(by_profile("wg-profile", "wireguard", servers["wg-profile"].access.profile))
    entries += [forward(name, _PORTS[name], 8080, f'tunnels = ["{name}"]') for name in _WAYS]
    text = configuration(shared_empty_lab, directory, *entries)
    async with GatewayProcess(shared_empty_lab, directory, text, environment=secret.variables) as process:
        await process.ready()
        yield process


@pytest.mark.parametrize("way", _WAYS)
async def test_a_page_is_read_by_it(empty_lab, gateway, servers, way):
    await connected(gateway, way)
    await gateway.metric("gateway_tunnel_up", lambda value: value == 1, tunnel=way)
    server, seen = servers[way], await page(empty_lab, _PORTS[way])
    assert seen.startswith(f"{server.pool}.")
    said = await driver(gateway, way)
    assert seen in said["addresses"]
    assert said["server"] == f"{server.access.host}:{server.access.port}"
    assert said["failure"] is None
