"""From the tables of managed tunnels to what their drivers connect with. Pure; what comes in is valid on its own.

What stands in an entry wins over its profile, and a profile over `[defaults.tunnel]`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeVar

from gateway.config.endpoints import Server
from gateway.config.profiles import remotes, wg_quick
from gateway.config.profiles.openvpn import OpenVpnProfile
from gateway.config.profiles.wg_quick import WireguardProfile
from gateway.config.references import Fetched
from gateway.config.tunnel_tables import IpsecTunnel, OpenVpnTunnel, WireguardTunnel
from gateway.model import (
    Compression,
    Endpoint,
    Esp,
    IpsecAuth,
    IpsecSpec,
    OpenVpnSpec,
    Secret,
    Transport,
    WireguardSpec,
)

Value = TypeVar("Value")

IPSEC_PORT: Final = 500
_EVERYTHING: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


def openvpn(
    entry: OpenVpnTunnel, written: Collection[str], fetched: Fetched, profile: OpenVpnProfile | None
) -> OpenVpnSpec:
    """An OpenVPN tunnel. `written`: the keys that stand in the entry itself; `profile`: what its profile comes to."""
    servers = endpoints(entry.servers, remotes.PORT)
    compression = Compression(entry.allow_compression)
    if profile is not None:
        of_profile = None if "allow_compression" in written else profile.allow_compression
        return OpenVpnSpec(
            servers=servers or profile.servers,
            transport=profile.transport,
            username=_either("username", written, entry.username, profile.username),
            password=_either("password", written, fetched.get("password"), profile.password),
            allow_compression=of_profile or compression,
            options=tuple(entry.options or ()),
            profile=profile.text,
            mtu=entry.mtu,
        )
    return OpenVpnSpec(
        servers=servers,
        transport=Transport(entry.transport),
        username=entry.username,
        password=fetched.get("password"),
        ca=_public(fetched.get("ca")),
        certificate=_public(fetched.get("certificate")),
        key=_pem(fetched.get("key")),
        tls_auth=_pem(fetched.get("tls_auth")),
        tls_crypt=_pem(fetched.get("tls_crypt")),
        verify_name=entry.verify_name,
        ciphers=tuple(entry.ciphers or ()),
        allow_compression=compression,
        options=tuple(entry.options or ()),
        mtu=entry.mtu,
    )


def ipsec(entry: IpsecTunnel, fetched: Fetched) -> IpsecSpec:
    """An IKEv2 tunnel."""
    return IpsecSpec(
        servers=endpoints(entry.servers, IPSEC_PORT),
        auth=IpsecAuth(entry.auth),
        username=entry.username,
        password=fetched.get("password"),
        ca=_public(fetched.get("ca")),
        certificate=_public(fetched.get("certificate")),
        key=_pem(fetched.get("key")),
        pkcs12=fetched.get("pkcs12"),
        pkcs12_password=fetched.get("pkcs12_password"),
        esp=Esp(entry.esp),
        remote_id=entry.remote_id,
        local_id=entry.local_id,
        eap_identity=entry.eap_identity,
        proposals=tuple(entry.proposals or ()),
        remote_networks=tuple(entry.remote_networks or ()),
        mtu=entry.mtu,
    )


def wireguard(
    entry: WireguardTunnel, written: Collection[str], fetched: Fetched, profile: WireguardProfile | None
) -> WireguardSpec:
    """A WireGuard tunnel. `written`: the keys that stand in the entry itself; `profile`: what its profile comes to."""
    servers = endpoints(entry.servers, wg_quick.PORT)
    if profile is not None:
        return WireguardSpec(
            servers=servers or profile.servers,
            private_key=_either("private_key", written, fetched.get("private_key"), profile.private_key),
            peer_public_key=profile.peer_public_key or "",
            preshared_key=_either("preshared_key", written, fetched.get("preshared_key"), profile.preshared_key),
            addresses=profile.addresses,
            allowed_ips=profile.allowed_ips or _EVERYTHING,
            keepalive=int(entry.keepalive) if profile.keepalive is None else profile.keepalive,
            mtu=_either("mtu", written, entry.mtu, profile.mtu),
        )
    return WireguardSpec(
        servers=servers,
        private_key=fetched.get("private_key"),
        peer_public_key=entry.peer_public_key or "",
        preshared_key=fetched.get("preshared_key"),
        addresses=tuple(map(str, entry.addresses or ())),
        allowed_ips=tuple(entry.allowed_ips or _EVERYTHING),
        keepalive=int(entry.keepalive),
        mtu=entry.mtu,
    )


def endpoints(servers: Sequence[Server] | None, port: int) -> tuple[Endpoint, ...]:
    """Servers as they are connected to: `port` is the usual one of their kind."""
    return tuple(Endpoint(server.host, port if server.port is None else server.port) for server in servers or ())


def _either(key: str, written: Collection[str], of_entry: Value | None, of_profile: Value | None) -> Value | None:
    """The entry's own value, else the profile's, else what the entry has from the defaults."""
    return of_entry if key in written or of_profile is None else of_profile


def _pem(fetched: Secret | None) -> Secret | None:
    """A text of lines, whose last one had lost its end."""
    return None if fetched is None else Secret(f"{fetched.reveal()}\n")


def _public(fetched: Secret | None) -> str | None:
    """A certificate is no secret."""
    pem = _pem(fetched)
    return None if pem is None else pem.reveal()
