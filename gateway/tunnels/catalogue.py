"""Which driver a tunnel's `kind` stands for."""

from __future__ import annotations

from gateway.errors import GatewayError
from gateway.model import TunnelKind, TunnelSpec
from gateway.tunnels.driver import Driver
from gateway.tunnels.interface import InterfaceDriver


def driver_for(spec: TunnelSpec) -> Driver:
    """The driver of a tunnel, not running yet. Raises GatewayError for a kind that this version cannot bring up.

    Configurations are checked before they get here (`config.load`), so the error is for whoever builds one in code.
    """
    match spec.kind:
        case TunnelKind.INTERFACE:
            return InterfaceDriver(tunnel=spec.name, interface=spec.interface)
        case TunnelKind.OPENVPN | TunnelKind.IPSEC | TunnelKind.WIREGUARD:
            raise GatewayError(f'tunnel "{spec.name}": kind "{spec.kind}" cannot be brought up by this version')
