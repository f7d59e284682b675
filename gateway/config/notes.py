"""What `gateway check` says below its tables: the warnings of the file, who is asked for names, whose routes are whose.

Pure. A note is no warning: it tells what the file does not say by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from gateway.config.endpoints import is_name
from gateway.model import Config, RoutesMode, TunnelSpec

_LOOPBACK: Final = "lo"
_NO_ROUTES: Final = (
    "routes are left to whoever brings the tunnels up{whose}: without rules for each tunnel, the kernel answers late "
    "packets of closed sessions by the default route (docs/configuration.md, Routes)"
)


def notes(config: Config) -> Iterator[str]:
    """All notes, the warnings first."""
    yield from config.warnings
    yield from _names(config)
    yield from _servers(config)
    left = [tunnel for tunnel in config.tunnels if tunnel.routes is RoutesMode.NONE and tunnel.interface != _LOOPBACK]
    if left:
        whose = "" if len(left) == len(config.tunnels) else f" ({_listed(left)})"
        yield _NO_ROUTES.format(whose=whose)


def _names(config: Config) -> Iterator[str]:
    """For each host name who is asked: the system's resolver, or a tunnel's own name servers, through it."""
    asked = _asked(config)
    system = [tunnel for tunnel in config.tunnels if asked[tunnel.name] and not tunnel.dns]
    through = [tunnel for tunnel in config.tunnels if asked[tunnel.name] and tunnel.dns]
    if system:
        names = ", ".join(dict.fromkeys(name for tunnel in system for name in asked[tunnel.name]))
        whose = f" (no dns of their own: {_listed(system)})" if through else ""
        yield f"the system's resolver is asked for {names}, outside the tunnels{whose}"
    for tunnel in through:
        servers = ", ".join(map(str, tunnel.dns))
        yield f"{servers} is asked for {', '.join(asked[tunnel.name])}, through {tunnel.name} and nowhere else"


def _servers(config: Config) -> Iterator[str]:
    """The names of VPN servers, which nobody can ask for through the tunnel that they make."""
    asked = {
        server.host: None
        for tunnel in config.tunnels
        if tunnel.vpn is not None
        for server in tunnel.vpn.servers
        if is_name(server.host)
    }
    if asked:
        yield f"the system's resolver is asked for the VPN servers {', '.join(asked)}, whatever dns says"


def _asked(config: Config) -> dict[str, dict[str, None]]:
    """By tunnel, the host names that must be known to use it: targets of its forwards, and what it probes. Ordered."""
    asked: dict[str, dict[str, None]] = defaultdict(dict)
    for forward in config.forwards:
        names = dict.fromkeys(port.target.host for port in forward.ports if is_name(port.target.host))
        for tunnel in forward.tunnels if names else ():
            asked[tunnel] |= names
    for spec in config.tunnels:
        asked[spec.name] |= {probe.host: None for probe in spec.health.probes or () if is_name(probe.host)}
    return asked


def _listed(tunnels: list[TunnelSpec]) -> str:
    return ", ".join(tunnel.name for tunnel in tunnels)
