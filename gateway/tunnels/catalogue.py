"""Which driver a tunnel's `kind` stands for."""

from __future__ import annotations

from typing import assert_never

from gateway.errors import GatewayError
from gateway.model import TunnelKind, TunnelSpec
from gateway.tunnels.client import Client
from gateway.tunnels.driver import Driver, Reports
from gateway.tunnels.interface import InterfaceDriver
from gateway.tunnels.ipsec.client import IpsecClient
from gateway.tunnels.life import ManagedDriver
from gateway.tunnels.openvpn.client import OpenVpnClient
from gateway.tunnels.tools import Tools
from gateway.tunnels.wireguard.client import WireguardClient


def driver_for(spec: TunnelSpec, *, tools: Tools | None = None, reports: Reports | None = None) -> Driver:
    """The driver of a tunnel, not running yet; it tells `reports`, and owns none of `tools`.

    Tunnels of the kind `interface` need neither; for the others GatewayError is raised without them.
    """
    if spec.kind is TunnelKind.INTERFACE:
        return InterfaceDriver(tunnel=spec.name, interface=spec.interface)
    if tools is None or reports is None:
        raise GatewayError(f'tunnel "{spec.name}": kind "{spec.kind}" cannot be brought up without tools')
    return ManagedDriver(spec, _client(spec, tools), roads=tools.roads, reports=reports)


def _client(spec: TunnelSpec, tools: Tools) -> Client:
    match spec.kind:
        case TunnelKind.OPENVPN:
            return OpenVpnClient(spec, tools)
        case TunnelKind.IPSEC:
            return IpsecClient(spec, tools)
        case TunnelKind.WIREGUARD:
            return WireguardClient(spec, tools)
        case TunnelKind.INTERFACE:
            raise TypeError("somebody else makes the device: there is no client")
        case _:
            assert_never(spec.kind)
