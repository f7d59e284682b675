"""The addresses that VPN servers give: which a tunnel may have. Pure.

A server is believed, but not about what is the machine's own: an address of its own, and with it the rule that leads
what comes from there into the tunnel, would cut the machine off from everything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, ip_network
from typing import Final

from gateway.model import IPAddress, IPNetwork

_BROADCAST: Final = IPv4Address("255.255.255.255")


def refusal(addresses: Iterable[IPAddress]) -> str | None:
    """Why these cannot be a tunnel's; None if they can."""
    for address in addresses:
        if address.is_loopback or address.is_unspecified or address.is_multicast or address == _BROADCAST:
            return f"the server gives the address {address}, which no tunnel can have"
    return None


def target(addresses: Iterable[IPAddress], targets: Collection[IPNetwork]) -> str | None:
    """As `refusal`, given what tunnels lead to: as an address of this machine's own, a target would be found here."""
    for address in addresses:
        if ip_network(address) in targets:
            return f"the tunnel cannot have the address {address}: a tunnel leads to it"
    return None


def taken(addresses: Iterable[IPAddress], others: Iterable[tuple[IPAddress, str]]) -> str | None:
    """As `refusal`, given the addresses of the devices that are no tunnel's, each with its device."""
    held = dict(others)
    for address in addresses:
        if address in held:
            return f"the tunnel cannot have the address {address}: it is this machine's own, on {held[address]}"
    return None
