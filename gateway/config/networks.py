"""Client networks (`allow`) and device names: small texts with rules of their own.

A client that reaches an IPv6 socket over IPv4 is matched as IPv4, so networks are kept that way as well.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from gateway.model import IPNetwork

HOW: Final = 'a network such as "10.0.0.0/8", "2001:db8::/32", or one address'

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
DEVICE_MAX: Final = 15  # bytes; the kernel ends the name with a NUL in 16
_DEVICE: Final = re.compile(r"[!-.0-9;-~]{1,15}", re.ASCII)  # no blank, no "/", no ":"


def parse_network(value: object) -> IPNetwork:
    """A network as written. Raises ValueError; when bits beyond the prefix are set its text shows the right network."""
    if not isinstance(value, str):
        raise ValueError(f"must be {HOW}")  # noqa: TRY004 - pydantic gathers ValueErrors only
    try:
        return _network(value)
    except ValueError:
        raise ValueError(_what_is_wrong(value)) from None


def parse_device(value: object) -> str:
    """The name of a network interface. Raises ValueError that says what the kernel takes."""
    if not isinstance(value, str) or _DEVICE.fullmatch(value) is None or value in {".", ".."}:
        raise ValueError('must be an interface name: 1 to 15 characters, no blank, "/" or ":"')
    return value


@lru_cache(maxsize=1024)  # among thousands of forwards the same few networks come back
def _network(text: str) -> IPNetwork:
    return _unmapped(ip_network(text))


def _what_is_wrong(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return f"must be {HOW}"
    return f'bits are set beyond the prefix: write "{network}" if the whole network is meant'


def _unmapped(network: IPNetwork) -> IPNetwork:
    """`::ffff:10.0.0.0/104` is `10.0.0.0/8`."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        address = network.network_address.ipv4_mapped
        if address is not None:
            return IPv4Network((int(address), network.prefixlen - _MAPPED.prefixlen))
    return network
