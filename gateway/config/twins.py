"""WireGuard tunnels that are too alike to be up at once. Pure.

A WireGuard server knows a peer by its key alone, and answers at the last address that it was heard from; and an address
of ours that two tunnels have cannot say by which of them a packet leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_interface
from typing import NamedTuple

from gateway.model import IPAddress, TunnelSpec, WireguardSpec


class Twin(NamedTuple):
    """`tunnel` has under `key` what a tunnel before it has."""

    tunnel: str
    key: str
    text: str


def twins(tunnels: Iterable[TunnelSpec]) -> Iterator[Twin]:
    """All of them, in the order of the tunnels."""
    keys: dict[tuple[str, str], str] = {}  # by private and the peer's key
    addresses: dict[IPAddress, str] = {}
    for tunnel in tunnels:
        if not isinstance(tunnel.vpn, WireguardSpec):
            continue
        if tunnel.vpn.private_key is not None:
            pair = (tunnel.vpn.private_key.reveal(), tunnel.vpn.peer_public_key)
            other = keys.setdefault(pair, tunnel.name)
            if other != tunnel.name:
                text = f"tunnel {other} has the same, and the same peer: that takes both for one, and answers the last"
                yield Twin(tunnel.name, "private_key", text)
        for address in (ip_interface(text).ip for text in tunnel.vpn.addresses):
            other = addresses.setdefault(address, tunnel.name)
            if other != tunnel.name:
                text = f"{address} is an address of tunnel {other} as well: answers to one may leave by the other"
                yield Twin(tunnel.name, "addresses", text)
