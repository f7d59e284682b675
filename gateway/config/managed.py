"""What a managed tunnel needs: the keys that must come together, or must not. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final, assert_never

from gateway.config import proposals
from gateway.config.networks import DEVICE_MAX
from gateway.config.profiles import remotes, wg_quick
from gateway.config.references import Fetched
from gateway.config.rules import Wrong, twice
from gateway.config.tunnel_tables import IpsecTunnel, ManagedTunnel, OpenVpnTunnel, WireguardTunnel
from gateway.config.vpn import IPSEC_PORT, endpoints
from gateway.config.wireguard_keys import HOW, is_key, public_key
from gateway.config.wording import closest, shown

_NOT_OURS: Final = re.compile(r"lo|all|default|(eth|wlan)\d+|(en|wl)[opsx]\w+", re.ASCII)
_NEEDED: Final = "this key is needed"
_IN_THE_PROFILE: Final = "stands in the profile: leave it out here, or leave the profile out"

OPENVPN_PROFILE: Final = ("transport", "ca", "certificate", "key", "tls_auth", "tls_crypt", "verify_name", "ciphers")
WIREGUARD_PROFILE: Final = ("peer_public_key", "addresses", "allowed_ips", "keepalive")
"""Keys that a profile replaces: they must not stand beside it."""


def needs(entry: ManagedTunnel, written: Collection[str]) -> Iterator[Wrong]:
    """Keys that are missing, given the others; and keys that contradict one another.

    `written` are the keys that stand in the entry itself: what it has from the defaults contradicts nothing.
    """
    yield from _device(entry)
    match entry:
        case OpenVpnTunnel():
            yield from twice("servers", endpoints(entry.servers, remotes.PORT))
            yield from _openvpn(entry, written)
        case IpsecTunnel():
            yield from twice("servers", endpoints(entry.servers, IPSEC_PORT))
            yield from _ipsec(entry)
        case WireguardTunnel():
            yield from twice("servers", endpoints(entry.servers, wg_quick.PORT))
            yield from _wireguard(entry, written)
        case _:
            assert_never(entry)


def own_proof(entry: ManagedTunnel, written: Collection[str]) -> ManagedTunnel:
    """The entry without those keys from the defaults that say the same in another way than it does itself."""
    cleared: set[str] = set()
    for one, other in (*_RIVALS, *((other, one) for one, other in _RIVALS)):
        if not one.isdisjoint(written) and other.isdisjoint(written):
            cleared |= other & type(entry).model_fields.keys()
    return entry.model_copy(update=dict.fromkeys(cleared)) if cleared else entry


_RIVALS: Final = (
    (frozenset({"pkcs12", "pkcs12_password"}), frozenset({"certificate", "key"})),
    (frozenset({"tls_auth"}), frozenset({"tls_crypt"})),
)


def without_echoes(found: Iterable[Wrong], model: type[ManagedTunnel], wrong: Collection[str]) -> Iterator[Wrong]:
    """What is left of `found` where the keys `wrong` are not in the entry because they were written wrongly."""
    meant = {key if key in model.model_fields else closest(key, model.model_fields) for key in wrong}
    if not meant.isdisjoint(_DECIDE):
        return
    hushed = meant if meant.isdisjoint(_PROOF) else meant | _PROOF
    yield from (each for each in found if each.key not in hushed)


_DECIDE: Final = frozenset({"auth", "profile"})  # which others are needed
_PROOF: Final = frozenset({"certificate", "key", "pkcs12"})  # each is missed where another is not


def fits(fetched: Fetched, peer_public_key: str | None) -> Iterator[Wrong]:
    """What was fetched, and cannot be what its key is for. Nothing of it is shown."""
    password = fetched.get("password")
    if password is not None and not password.reveal().isprintable():
        yield Wrong("password", None, "must be one line, without control characters")
    private = fetched.get("private_key")
    for key, secret in (("private_key", private), ("preshared_key", fetched.get("preshared_key"))):
        if secret is not None and not is_key(secret.reveal()):
            yield Wrong(key, None, f"must be {HOW}")
    if private is not None and is_key(private.reveal()) and public_key(private.reveal()) == peer_public_key:
        yield Wrong("peer_public_key", None, "is the client's own, made of private_key: the peer's is needed")


def _device(entry: ManagedTunnel) -> Iterator[Wrong]:
    """The device is made, and removed: it must be able to have the name, and must not be one of the machine's own."""
    key = "name" if entry.interface is None else "interface"
    bears = "its device bears the same name" if entry.interface is None else "a device of this name is made for it"
    if len(entry.device) > DEVICE_MAX:
        yield Wrong(key, shown(entry.device), f"{bears}, of at most {DEVICE_MAX} characters: set interface")
    elif _NOT_OURS.fullmatch(entry.device):
        yield Wrong(key, shown(entry.device), f"{bears}, and this is one of the machine's own: set interface")


def _openvpn(entry: OpenVpnTunnel, written: Collection[str]) -> Iterator[Wrong]:
    if entry.profile is not None:
        yield from (Wrong(key, None, _IN_THE_PROFILE) for key in OPENVPN_PROFILE if key in written)
        return
    for key in ("servers", "ca"):
        if getattr(entry, key) is None:
            yield Wrong(key, None, f'{_NEEDED} (or profile = "client.ovpn")')
    yield from _together(entry, "username", "password")
    yield from _together(entry, "certificate", "key")
    if entry.tls_auth is not None and entry.tls_crypt is not None:
        yield Wrong("tls_crypt", None, "tls_auth or tls_crypt, not both: one and the same server has one of them")
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
    for proposal in entry.proposals or ():
        why = proposals.fault(proposal)
        if why is not None:
            yield Wrong("proposals", shown(proposal), why)
    if entry.ca is None and entry.pkcs12 is None:
        yield Wrong("ca", None, f"{_NEEDED}: the server proves itself by a certificate")


def vain(entry: ManagedTunnel, written: Collection[str]) -> Iterator[Wrong]:
    """Keys that stand in the entry itself (`written`) and come to nothing, given the others: no error, but no use."""
    if not isinstance(entry, IpsecTunnel):
        return
    for key in _UNUSED[entry.auth]:
        if key in written:
            yield Wrong(key, None, f'comes to nothing with auth = "{entry.auth}"')
    if "pkcs12_password" in written and entry.pkcs12 is None and "pkcs12_password" not in _UNUSED[entry.auth]:
        yield Wrong("pkcs12_password", None, "comes to nothing without pkcs12")


_UNUSED: Final = {
    "mschapv2": ("certificate", "key", "pkcs12", "pkcs12_password"),
    "tls": ("username", "password"),
    "pubkey": ("username", "password", "eap_identity"),
}


def _wireguard(entry: WireguardTunnel, written: Collection[str]) -> Iterator[Wrong]:
    if entry.profile is not None:
        yield from (Wrong(key, None, _IN_THE_PROFILE) for key in WIREGUARD_PROFILE if key in written)
        return
    for key in ("servers", "private_key", "peer_public_key", "addresses"):
        if getattr(entry, key) is None:
            yield Wrong(key, None, f'{_NEEDED} (or profile = "wg0.conf")')


def _together(entry: OpenVpnTunnel | IpsecTunnel, one: str, other: str) -> Iterator[Wrong]:
    for key, partner in ((one, other), (other, one)):
        if getattr(entry, key) is None and getattr(entry, partner) is not None:
            yield Wrong(key, None, f"{_NEEDED} beside {partner}")
