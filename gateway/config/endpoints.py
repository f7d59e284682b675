"""Listen addresses and targets as text, and how a range of listen ports maps onto a range of target ports.

IP addresses come out in canonical text, IPv4 addresses written as IPv6 (`::ffff:10.0.0.1`) as IPv4, so that equal
addresses are equal strings everywhere behind this room.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from gateway.model import Endpoint, IPAddress, ListenAddress, PortMap

PORT_MAX: Final = 65_535

LISTEN_HOW: Final = 'a port "33000" (IPv4 and IPv6), "0.0.0.0:33000", "[::]:33000", or a range of ports "33000-33009"'
TARGET_HOW: Final = 'a host and a port: "192.168.100.30:8080", "[2001:db8::1]:8080", "db.example.com:5432"'
NAME_SERVER_HOW: Final = 'an IP address, or address and port: "10.0.0.53", "10.0.0.53:5353", "[2001:db8::53]:53"'
SERVER_HOW: Final = 'a host, or host and port: "198.51.100.7", "vpn.example.com:1194", "[2001:db8::1]:1194"'

_NAME_SERVER_PORT: Final = 53
_PORTS_HOW: Final = f"ports are 1 to {PORT_MAX}"
_HOST_MAX: Final = 253
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)", re.ASCII)
_PORTS: Final = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)


class Listen(NamedTuple):
    """The listen addresses of one forward: one port, or `first` to `last`. `host=None`: IPv4 and IPv6."""

    host: str | None
    first: int
    last: int

    def __str__(self) -> str:
        return f"{ListenAddress(self.host, self.first)}{_until(self)}"

    def addresses(self) -> Iterator[ListenAddress]:
        """Each single address, in the order of the ports."""
        return (ListenAddress(self.host, port) for port in range(self.first, self.last + 1))


class Target(NamedTuple):
    """The targets of one forward: one port of a host, or `first` to `last`."""

    host: str
    first: int
    last: int

    def __str__(self) -> str:
        return f"{Endpoint(self.host, self.first)}{_until(self)}"


class Server(NamedTuple):
    """Where a VPN server is reached. `port=None`: the usual one of its kind."""

    host: str
    port: int | None


def parse_listen(value: object) -> Listen:
    """A `listen` as written, text or a bare port number. Raises ValueError that says what is allowed."""
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= PORT_MAX:
            raise ValueError(_PORTS_HOW)
        return Listen(None, value, value)
    if not isinstance(value, str):
        raise ValueError(f"must be {LISTEN_HOW}")  # noqa: TRY004 - pydantic gathers ValueErrors only
    host, ports = _split(value, LISTEN_HOW)
    if host is None:
        return Listen(None, *_ports(ports, LISTEN_HOW))
    address = _address(host)
    if address is None:
        raise ValueError(f"a listen address has an IP address, not a host name: {LISTEN_HOW}")
    return Listen(str(address), *_ports(ports, LISTEN_HOW))


def parse_target(value: object) -> Target:
    """A `target` as written. Raises ValueError that says what is allowed."""
    if not isinstance(value, str):
        raise ValueError(f"must be {TARGET_HOW}")  # noqa: TRY004 - pydantic gathers ValueErrors only
    host, ports = _split(value, TARGET_HOW)
    if host is None:
        raise ValueError(f"must be {TARGET_HOW}")
    return Target(parse_host(host), *_ports(ports, TARGET_HOW))


def parse_server(value: object) -> Server:
    """A VPN server as written, host or host:port. Raises ValueError that says what is allowed."""
    return _server(value, SERVER_HOW)


def parse_name_server(value: object) -> Endpoint:
    """A name server as written, IP address or address:port; port 53 unless it says another.

    Raises ValueError that says what is allowed.
    """
    server = _server(value, NAME_SERVER_HOW)
    if is_name(server.host):
        raise ValueError(f"nobody could be asked for the name of a name server: write {NAME_SERVER_HOW}")
    return Endpoint(server.host, _NAME_SERVER_PORT if server.port is None else server.port)


def parse_host(text: str) -> str:
    """An IP address or host name, canonical: what a connection can be made to. Raises ValueError."""
    address = _address(text)
    if address is not None:
        if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
            raise ValueError(f"no connection can be made to {address}: write the address of one host")
        return str(address)
    labels = text.removesuffix(".").split(".")
    if len(text) > _HOST_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("not a host name: letters, digits and hyphens, in parts of 1 to 63 joined by dots")
    if labels[-1].isdigit():
        raise ValueError("not an IP address: IPv4 is four numbers from 0 to 255 joined by dots")
    return text.lower()


def parse_address(text: str) -> IPAddress:
    """An IP address, canonical. Raises ValueError that says what is allowed."""
    address = _address(text)
    if address is None:
        raise ValueError('must be an IP address, such as "10.10.20.6" or "2001:db8::6"')
    return address


def is_name(host: str) -> bool:
    """Must the host, canonical as `parse_host` gives it, be resolved?"""
    return _address(host) is None


def pair(listen: Listen, target: Target) -> tuple[PortMap, ...]:
    """Each listen address with its target. Raises ValueError when the ranges are not of one length."""
    ports, targets = listen.last - listen.first + 1, target.last - target.first + 1
    if ports == 1 and targets == 1:  # nearly every forward: worth the shortcut among ten thousand
        return (PortMap(listen=ListenAddress(listen.host, listen.first), target=Endpoint(target.host, target.first)),)
    if ports != targets:
        wanted = Target(target.host, target.first, target.first + ports - 1)
        fits = f': write "{wanted}"' if wanted.last <= PORT_MAX else ""
        raise ValueError(f"{_count(ports)} listened on and {_count(targets)} of the target: as many are needed{fits}")
    return tuple(
        PortMap(listen=address, target=Endpoint(target.host, port))
        for address, port in zip(listen.addresses(), range(target.first, target.last + 1), strict=True)
    )


@lru_cache(maxsize=1024)  # among thousands of forwards the same few addresses come back
def _address(text: str) -> IPAddress | None:
    """`text` as an IP address, or None if it is none. A zone (`%eth0`) is refused: the tunnel names the device."""
    if "%" in text:
        raise ValueError("an address with a zone (%) is not supported: write an address that needs none")
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _server(value: object, how: str) -> Server:
    """A host with or without a port."""
    if not isinstance(value, str):
        raise ValueError(f"must be {how}")  # noqa: TRY004 - pydantic gathers ValueErrors only
    if value.startswith("[") and value.endswith("]"):
        return Server(parse_host(value[1:-1]), None)
    if ":" not in value:
        return Server(parse_host(value), None)
    host, ports = _split(value, how)
    first, last = _ports(ports, how)
    if not host or first != last:
        raise ValueError(f"must be {how}")
    return Server(parse_host(host), first)


def _split(text: str, how: str) -> tuple[str | None, str]:
    """Host (brackets taken off; None for a bare port) and the text of the ports."""
    if text.startswith("["):
        host, bracket, ports = text[1:].partition("]:")
        if not bracket or ":" not in host:
            raise ValueError(f"brackets hold an IPv6 address, and a colon and the port follow: {how}")
        return host, ports
    host, colon, ports = text.rpartition(":")
    if ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: {how}")
    return (host, ports) if colon else (None, ports)


def _ports(text: str, how: str) -> tuple[int, int]:
    """First and last port of `80` or `80-89`."""
    match = _PORTS.fullmatch(text)
    if match is None:
        raise ValueError(f"must be {how}")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    if not (1 <= first <= PORT_MAX and 1 <= last <= PORT_MAX):
        raise ValueError(_PORTS_HOW)
    if last < first:
        raise ValueError(f'the range is reversed: write "{last}-{first}" for the ports')
    return first, last


def _until(ports: Listen | Target) -> str:
    return "" if ports.first == ports.last else f"-{ports.last}"


def _count(ports: int) -> str:
    return "1 port" if ports == 1 else f"{ports} ports"
