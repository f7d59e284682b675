"""Managed tunnels as `gateway check` shows them: where they connect to, how, as whom. Never a secret. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, assert_never

from gateway.config import durations
from gateway.config.credentials import expiries
from gateway.model import Expiry, IpsecAuth, IpsecSpec, OpenVpnSpec, TunnelSpec, VpnSpec, WireguardSpec

_KEY_SHOWN: Final = 8  # characters of a public key: enough to tell two apart


@dataclass(frozen=True, slots=True, kw_only=True)
class VpnRow:
    """One managed tunnel, as its client will be told."""

    name: str
    servers: str
    how: str
    login: str
    trust: str
    connects: str


def vpn_row(tunnel: TunnelSpec) -> VpnRow | None:
    """The row of a tunnel, or None where somebody else brings it up."""
    spec = tunnel.vpn
    if spec is None:
        return None
    dated = {expiry.certificate: expiry for expiry in expiries(tunnel)}
    start = "at start" if tunnel.autoconnect else "by gateway connect"
    return VpnRow(
        name=tunnel.name,
        servers=", ".join(map(str, spec.servers)),
        how=", ".join(_how(spec)),
        login=", ".join(_login(spec, dated.get("client"))),
        trust=_trust(spec, dated.get("ca")),
        connects=f"{start}; anew when DOWN for {durations.render(tunnel.reconnect_after)}",
    )


def _how(spec: VpnSpec) -> Iterator[str]:
    match spec:
        case OpenVpnSpec():
            yield spec.transport
            yield f"compression {spec.allow_compression}"
            yield from spec.options
            if spec.profile is not None:
                yield "by a profile"
        case IpsecSpec():
            yield spec.auth
            yield f"esp {spec.esp}"
            yield ", ".join(map(str, spec.remote_networks)) or "all networks that the server grants"
        case WireguardSpec():
            yield f"as {', '.join(spec.addresses)}"
            yield f"keepalive {durations.render(spec.keepalive)}" if spec.keepalive else "no keepalive"
            yield f"to {', '.join(map(str, spec.allowed_ips))}"
        case _:
            assert_never(spec)
    if spec.mtu is not None:
        yield f"MTU {spec.mtu}"


def _login(spec: VpnSpec, own: Expiry | None) -> Iterator[str]:
    if isinstance(spec, WireguardSpec):
        yield "a private key" if spec.preshared_key is None else "a private key, and one that is shared"
        return
    if spec.username is not None and not (isinstance(spec, IpsecSpec) and spec.auth is not IpsecAuth.MSCHAPV2):
        yield f"{spec.username}, by password"
    if own is not None:
        yield f"certificate {_dated(own)}"


def _trust(spec: VpnSpec, authority: Expiry | None) -> str:
    if isinstance(spec, WireguardSpec):
        return f"public key {spec.peer_public_key[:_KEY_SHOWN]}..."
    name = spec.remote_id if isinstance(spec, IpsecSpec) else spec.verify_name
    return ", ".join(
        (*([] if authority is None else [f"signed by {_dated(authority)}"]), *([f"as {name}"] if name else []))
    )


def _dated(expiry: Expiry) -> str:
    return f"{expiry.subject}, until {datetime.fromtimestamp(expiry.expires_at_unix, tz=UTC):%Y-%m-%d}"
