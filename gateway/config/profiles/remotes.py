"""The servers of an .ovpn file: `remote` lines, and the `port` and `proto` that hold where a line has none.

A tunnel has one transport, and OpenVPN could change it from server to server: those of another one are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.config.endpoints import PORT_MAX, parse_host
from gateway.config.profiles.remarks import Remarks
from gateway.model import Endpoint, Transport

PORT: Final = 1194

_TRANSPORTS: Final[Mapping[str, Transport]] = {
    **dict.fromkeys(("udp", "udp4", "udp6"), Transport.UDP),
    **dict.fromkeys(("tcp", "tcp4", "tcp6", "tcp-client", "tcp4-client", "tcp6-client"), Transport.TCP),
}


@dataclass(slots=True)
class Scope:
    """The file, or (`outer`: the file) a `<connection>` in it: what holds for the servers named there."""

    outer: Scope | None = None
    port: int | None = None
    transport: Transport | None = None


@dataclass(frozen=True, slots=True)
class _Remote:
    line: int
    host: str
    port: int | None
    transport: Transport | None
    scope: Scope


class Remotes:
    """The servers found so far. What is said below them still counts for them, as with OpenVPN."""

    def __init__(self) -> None:
        self._found: list[_Remote] = []

    def add(self, line: int, arguments: tuple[str, ...], scope: Scope) -> None:
        """`remote host [port [proto]]`. Raises ValueError that says what is allowed."""
        if not arguments:
            raise ValueError("it names no server")
        host, *more = arguments
        port = parse_port(more[0]) if more else None
        transport = parse_transport(more[1]) if len(more) > 1 else None
        self._found.append(_Remote(line, parse_host(host), port, transport, scope))

    def servers(self, top: Scope, remarks: Remarks) -> tuple[Transport, tuple[Endpoint, ...]]:
        """All servers in their order, each once, and the transport of the first, which is that of the tunnel."""
        chosen: Transport | None = None
        servers: dict[Endpoint, None] = {}
        for remote in self._found:
            transport = remote.transport or remote.scope.transport or top.transport or Transport.UDP
            chosen = chosen or transport
            if transport is chosen:
                servers[Endpoint(remote.host, remote.port or remote.scope.port or top.port or PORT)] = None
            else:
                why = (
                    f"left out: the first server is reached over {chosen}, and a tunnel has one transport "
                    f"(over {transport} there could be another [[tunnel]])"
                )
                remarks.warning(remote.line, "remote", why)
        return chosen or top.transport or Transport.UDP, tuple(servers)


def parse_port(text: str) -> int:
    """A port as OpenVPN's options have it. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(PORT_MAX)) and 1 <= int(text) <= PORT_MAX):
        raise ValueError(f"ports are 1 to {PORT_MAX}")
    return int(text)


def parse_transport(text: str) -> Transport:
    """The argument of `proto`. Raises ValueError."""
    if text not in _TRANSPORTS:
        raise ValueError("the transport of a client is udp or tcp")
    return _TRANSPORTS[text]
