"""What a managed tunnel needs: the keys that must come together. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from gateway.config.networks import DEVICE_MAX
from gateway.config.rules import Wrong
from gateway.config.tunnel_tables import IpsecTunnel, ManagedTunnel, OpenVpnTunnel, WireguardTunnel
from gateway.config.wording import shown

_NEEDED: Final = "this key is needed"


def needs(entry: ManagedTunnel) -> Iterator[Wrong]:
    """Keys that are missing, given the others; and keys that contradict one another."""
    if len(entry.name) > DEVICE_MAX:
        yield Wrong("name", shown(entry.name), f"its device bears the same name: at most {DEVICE_MAX} characters")
    match entry:
        case OpenVpnTunnel():
            yield from _openvpn(entry)
        case IpsecTunnel():
            yield from _ipsec(entry)
        case WireguardTunnel():
            yield from _wireguard(entry)
        case _:
            assert_never(entry)


def _openvpn(entry: OpenVpnTunnel) -> Iterator[Wrong]:
    if entry.profile is not None:
        return
    for key in ("servers", "ca"):
        if getattr(entry, key) is None:
            yield Wrong(key, None, f'{_NEEDED} (or profile = "client.ovpn")')
    yield from _together(entry, "username", "password")
    yield from _together(entry, "certificate", "key")
    if entry.username is None and entry.certificate is None and entry.password is None and entry.key is None:
        yield Wrong("username", None, "log in with username and password, or with certificate and key, or with both")


def _ipsec(entry: IpsecTunnel) -> Iterator[Wrong]:
    match entry.auth:
        case "mschapv2":
            for key in ("username", "password"):
                if getattr(entry, key) is None:
                    yield Wrong(key, None, f'{_NEEDED} with auth = "mschapv2"')
        case "tls" | "pubkey":
            own = entry.certificate is not None or entry.key is not None
            if own == (entry.pkcs12 is not None):
                yield Wrong(
                    "certificate", None, f'auth = "{entry.auth}" needs either certificate and key, or pkcs12, not both'
                )
            else:
                yield from _together(entry, "certificate", "key")
    if entry.ca is None and entry.pkcs12 is None:
        yield Wrong("ca", None, f"{_NEEDED}: the server proves itself by a certificate")


def _wireguard(entry: WireguardTunnel) -> Iterator[Wrong]:
    if entry.profile is not None:
        return
    for key in ("servers", "private_key", "peer_public_key", "addresses"):
        if getattr(entry, key) is None:
            yield Wrong(key, None, f'{_NEEDED} (or profile = "wg0.conf")')


def _together(entry: OpenVpnTunnel | IpsecTunnel, one: str, other: str) -> Iterator[Wrong]:
    for key, partner in ((one, other), (other, one)):
        if getattr(entry, key) is None and getattr(entry, partner) is not None:
            yield Wrong(key, None, f"{_NEEDED} beside {partner}")
