"""Which driver a kind of tunnel gets, and that making one does nothing yet."""

from __future__ import annotations

import base64
from typing import cast

import pytest

from gateway.errors import GatewayError
from gateway.model import (
    DriverState,
    Endpoint,
    IpsecSpec,
    OpenVpnSpec,
    Secret,
    TunnelKind,
    TunnelSpec,
    VpnSpec,
    WireguardSpec,
)
from gateway.tunnels.catalogue import driver_for
from gateway.tunnels.driver import Reports
from gateway.tunnels.interface import InterfaceDriver
from gateway.tunnels.life import ManagedDriver
from gateway.tunnels.tools import Links, Roads, Tools

SERVERS = (Endpoint("198.51.100.7", 1194),)
KEY = Secret(base64.b64encode(bytes(range(32))).decode())
KINDS: dict[TunnelKind, VpnSpec] = {
    TunnelKind.OPENVPN: OpenVpnSpec(servers=SERVERS, username="myuser", password=Secret("mypassword")),
    TunnelKind.IPSEC: IpsecSpec(servers=SERVERS, username="myuser", password=Secret("mypassword")),
    TunnelKind.WIREGUARD: WireguardSpec(servers=SERVERS, private_key=KEY, peer_public_key=KEY.reveal()),
}


def spec(kind: TunnelKind) -> TunnelSpec:
    return TunnelSpec(name="zone-a", kind=kind, interface="vpn-a", vpn=KINDS.get(kind))


@pytest.fixture
def tools(tmp_path) -> Tools:
    """Hands that must not be moved: nothing is there to be called."""
    return Tools(links=cast("Links", None), roads=cast("Roads", None), runtime=tmp_path)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_vpn_has_a_client_that_does_nothing_before_it_runs(kind, tools):
    heard: list[object] = []
    driver = driver_for(spec(kind), tools=tools, reports=Reports(status=heard.append, line=heard.append))
    assert isinstance(driver, ManagedDriver)
    assert (driver.tunnel, driver.interface) == ("zone-a", "vpn-a")
    assert driver.status.state is DriverState.STOPPED
    assert (heard, list(tools.runtime.iterdir())) == ([], [])


def test_every_kind_has_its_driver(tools):
    assert KINDS.keys() | {TunnelKind.INTERFACE} == set(TunnelKind)
    driver = driver_for(spec(TunnelKind.INTERFACE), tools=tools, reports=None)
    assert isinstance(driver, InterfaceDriver)
    assert driver.status is None


@pytest.mark.parametrize("missing", ["tools", "reports"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_vpn_without_tools_is_an_error_that_names_tunnel_and_kind(kind, missing, tools):
    given = {"tools": tools, "reports": Reports(status=print, line=print)} | {missing: None}
    with pytest.raises(GatewayError, match=f'tunnel "zone-a": kind "{kind}"'):
        driver_for(spec(kind), **given)
