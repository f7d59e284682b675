"""Reads what the VPN client of a managed tunnel connects with: secrets, certificates and profile, once, at load."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, assert_never

from gateway.config import credentials, managed, references, secrets, vpn
from gateway.config.credentials import Credentials, Finding
from gateway.config.defaults import Raw
from gateway.config.places import Place
from gateway.config.profiles import openvpn, wg_quick
from gateway.config.profiles.remarks import Remarks
from gateway.config.references import Fetched
from gateway.config.rules import Wrong
from gateway.config.secrets import FileRef
from gateway.config.source import Source
from gateway.config.tunnel_tables import IpsecTunnel, ManagedTunnel, OpenVpnTunnel, TunnelDefaults, WireguardTunnel
from gateway.config.wording import shown
from gateway.model import Endpoint, IPAddress, VpnSpec

_NAME_SERVER_PORT: Final = 53


@dataclass(frozen=True, slots=True)
class Inherited:
    """What `[defaults.tunnel]` leads to, and what was said of it at its own place, so that no entry repeats it."""

    fetched: Fetched
    said: frozenset[Wrong | Finding]


class Client(NamedTuple):
    """What a tunnel connects with, and the name servers that its profile lists (and that are accepted)."""

    vpn: VpnSpec | None
    dns: tuple[Endpoint, ...] = ()


def inherited(source: Source, defaults: TunnelDefaults, raw: Raw, place: Place) -> Inherited:
    """Follow and judge the references among the defaults."""
    fetched = references.fetch(source, defaults, raw, place)
    wrong = tuple(managed.fits(fetched, None))
    source.broken(place, wrong)
    found = tuple(credentials.findings(_credentials(fetched), source.now))
    for finding in found:
        _report(source, place, finding)
    return Inherited(fetched, frozenset((*wrong, *found)))


def client(
    source: Source,
    entry: ManagedTunnel,
    raw: Raw,
    above: Inherited,
    place: Place,
    *,
    wrong: frozenset[str] = frozenset(),
) -> Client:
    """What an entry leads to; what is wrong with it goes to the report. `raw` is the entry without the defaults.

    `wrong` are keys of `raw` that are wrong in themselves, which was reported, and that `entry` is without: they are
    not missed.
    """
    entry = managed.own_proof(entry, raw)
    source.broken(place, managed.without_echoes(managed.needs(entry, raw), type(entry), wrong))
    for useless in managed.vain(entry, raw.keys() - wrong):
        source.report.warning(place, useless.key, useless.expected)
    own = references.fetch(source, entry, raw, place)
    known = type(entry).model_fields.keys() - raw.keys()
    taken = {key: secret for key, secret in above.fetched.items() if key in known and getattr(entry, key) is not None}
    fetched = taken | dict(own)
    public = entry.peer_public_key if isinstance(entry, WireguardTunnel) else None
    source.broken(place, (wrong for wrong in managed.fits(fetched, public) if wrong not in above.said))
    if isinstance(entry, OpenVpnTunnel | WireguardTunnel) and entry.profile is not None and "profile" not in fetched:
        return Client(None)  # it cannot be read, which was reported
    made = _made(source, entry, raw, fetched, place)
    if made.vpn is not None:
        path = None if isinstance(entry, IpsecTunnel) else entry.profile
        hushed = wrong
        if isinstance(entry, IpsecTunnel) and entry.pkcs12_password is not None and "pkcs12_password" not in fetched:
            hushed |= {"pkcs12"}  # that it is protected is no news: its password cannot be had, which was reported
        for finding in credentials.findings(credentials.held(made.vpn), source.now):
            if finding not in above.said and finding.key not in hushed:
                _report(source, place, finding, path)
    return made


def _made(source: Source, entry: ManagedTunnel, raw: Raw, fetched: Fetched, place: Place) -> Client:
    match entry:
        case OpenVpnTunnel():
            ovpn = _openvpn_profile(source, entry, fetched, place)
            dns = _name_servers(source, entry, raw, () if ovpn is None else ovpn.dns, place)
            return Client(vpn.openvpn(entry, raw, fetched, ovpn), dns)
        case WireguardTunnel():
            wg = _wireguard_profile(source, entry, fetched, place)
            dns = _name_servers(source, entry, raw, () if wg is None else wg.dns, place)
            return Client(vpn.wireguard(entry, raw, fetched, wg), dns)
        case IpsecTunnel():
            return Client(vpn.ipsec(entry, fetched))
        case _:
            assert_never(entry)


def _openvpn_profile(
    source: Source, entry: OpenVpnTunnel, fetched: Fetched, place: Place
) -> openvpn.OpenVpnProfile | None:
    if entry.profile is None:
        return None
    beside = (source.base / entry.profile).parent
    remarks = Remarks(entry.profile)
    profile = openvpn.read(
        fetched["profile"].reveal(),
        remarks,
        lambda path: secrets.read_bytes(path, base=beside),
        given=_given(entry, fetched),
    )
    _say(source, place, remarks)
    secret = [(entry.profile, source.base)] if profile.secret else []
    _warn_exposed(source, place, (*secret, *((path, beside) for path in profile.secret_files)))
    return profile


def _wireguard_profile(
    source: Source, entry: WireguardTunnel, fetched: Fetched, place: Place
) -> wg_quick.WireguardProfile | None:
    if entry.profile is None:
        return None
    remarks = Remarks(entry.profile)
    profile = wg_quick.read(fetched["profile"].reveal(), remarks, given=_given(entry, fetched))
    _say(source, place, remarks)
    if profile.private_key is not None or profile.preshared_key is not None:
        _warn_exposed(source, place, ((entry.profile, source.base),))
    return profile


def _given(entry: OpenVpnTunnel | WireguardTunnel, fetched: Fetched) -> frozenset[str]:
    """What a profile need not say, because the entry does."""
    return frozenset(fetched) | {key for key in ("servers", "username") if getattr(entry, key, None) is not None}


def _name_servers(
    source: Source, entry: OpenVpnTunnel | WireguardTunnel, raw: Raw, listed: tuple[IPAddress, ...], place: Place
) -> tuple[Endpoint, ...]:
    """The name servers of a profile, if they are accepted."""
    if entry.accept_dns and "accept_dns" in raw and not listed:
        why = "comes to nothing: only a profile can list name servers, and what a server pushes is not asked; see dns"
        source.report.warning(place, "accept_dns", why)
    if listed and not entry.accept_dns and not entry.dns:
        why = "its name servers are not asked: accept_dns = true would have them asked, through the tunnel"
        source.report.warning(place, "profile", why)
    accepted = listed if entry.accept_dns else ()
    return tuple(Endpoint(str(address), _NAME_SERVER_PORT) for address in dict.fromkeys(accepted))


# ---------------------------------------------------------------- what is said of it


def _credentials(fetched: Fetched) -> Credentials:
    """The credentials among what was fetched."""

    def text(key: str) -> str | None:
        secret = fetched.get(key)
        return None if secret is None else secret.reveal()

    return Credentials(
        ca=text("ca"),
        certificate=text("certificate"),
        key=fetched.get("key"),
        pkcs12=fetched.get("pkcs12"),
        pkcs12_password=fetched.get("pkcs12_password"),
        tls_auth=fetched.get("tls_auth"),
        tls_crypt=fetched.get("tls_crypt"),
    )


def _say(source: Source, place: Place, remarks: Remarks) -> None:
    for text in remarks.problems:
        source.report.problem(place, "profile", text)
    for text in remarks.warnings:
        source.report.warning(place, "profile", text)


def _report(source: Source, place: Place, finding: Finding, profile: str | None = None) -> None:
    """Report a finding at its key, or, where that is an option of a profile, at the profile."""
    key, text = finding.key, finding.text
    if profile is not None:
        key, text = "profile", f"{shown(profile)}: {_OPTIONS.get(finding.key, finding.key)}: {finding.text}"
    if finding.fatal:
        source.report.problem(place, key, text)
    else:
        source.report.warning(place, key, text)


_OPTIONS: Final = {"certificate": "cert", "tls_auth": "tls-auth", "tls_crypt": "tls-crypt"}


def _warn_exposed(source: Source, place: Place, files: Iterable[tuple[str, Path]]) -> None:
    for path, base in files:
        bad = secrets.exposed(FileRef(path), base=base)
        if bad is not None:
            source.report.warning(place, "profile", bad)
