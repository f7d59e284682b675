"""What an OpenVPN process is told: from a tunnel's entry to the text of its configuration. Pure.

The text holds keys and goes to the process's standard input, never to a file. Account and password are not in it: they
are answered over the management interface, and not kept by the process (`auth-nocache`).

Addresses, routes, DNS and time-outs are the gateway's to set, whatever the server pushes: a netmask would be a route
for everybody's traffic, and one sample server pushes a ping-restart of two minutes. Every end is an exit of the
process: when and where to try again is decided in `life`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gateway.config.profiles.statements import block
from gateway.model import Endpoint, OpenVpnSpec, Secret, Transport

PING: Final = 2  # seconds
SILENCE: Final = 8  # seconds without a sign of the server: the connection is over
ATTEMPT: Final = 6  # seconds for the server's first answer
HANDSHAKE: Final = 15  # seconds for all of the TLS handshake
PATIENCE: Final = 20  # seconds for everything, from the start of the process on: a server may ask it to be patient

CIPHERS: Final = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305", "AES-256-CBC")
"""Offered when nothing is configured; the last one for servers of the days before negotiation."""

_TAKEN: Final = (
    "ifconfig ",
    "ifconfig-ipv6 ",
    "topology ",
    "route-gateway ",
    "tun-mtu ",
    "tun-ipv6",
    "peer-id ",
    "cipher ",
    "key-derivation ",
    "protocol-flags ",
    "compress",
    "comp-lzo",
    "auth-token",
    "push-continuation ",
)
"""What a server may push: beginnings of options. All else is in vain: routes and DNS, but also `verb`, which at its
highest has the process say its keys, and `mute`, with which it would say nothing."""

_USUAL_MTU: Final = 1500
_MTU: Final = re.compile(r"^[ \t]*tun-mtu[ \t]+(\d+)", re.MULTILINE)


def configuration(spec: OpenVpnSpec, *, interface: str, server: Endpoint | None, management: Path) -> str:
    """The whole text. `server=None`: the profile names its own. `management`: the socket that it connects to."""
    filters = [each for each in spec.options if each.startswith("pull-filter")]  # of filters the first one wins
    options = [each for each in spec.options if each not in filters]
    lines = [*filters, *_own(spec, interface, server, management)]
    if spec.profile is not None:
        return "\n".join([spec.profile.reveal().rstrip("\n"), *lines, *options, ""])
    return "\n".join([*lines, *_entry(spec), *options, ""])


def mtu(spec: OpenVpnSpec, pushed: int | None) -> int:
    """Of the device, which is ours to configure. What is configured and what the server says are both bounds.

    Servers of OpenVPN 2.6 push one whatever the path bears, and a device may have less than OpenVPN reckons with.
    """
    profile = "" if spec.profile is None else spec.profile.reveal()
    found = _MTU.findall("\n".join([profile, "" if spec.mtu is None else f"tun-mtu {spec.mtu}", *spec.options]))
    return min((each for each in (pushed, *map(int, found[-1:])) if each is not None), default=_USUAL_MTU)


def _own(spec: OpenVpnSpec, interface: str, server: Endpoint | None, management: Path) -> Iterator[str]:
    """What holds for every connection, last so that it wins over a profile."""
    yield from ("client", f"dev {interface}", "dev-type tun", "persist-key", "persist-tun", "nobind", "disable-dco")
    if server is not None:
        yield f"remote {server.host} {server.port} {_protocol(spec.transport)}"
    yield from (f"management {quoted(str(management))} unix", "management-client", "management-hold")
    yield f"tmp-dir {quoted(str(management.parent))}"  # unused, but it must be writable: /tmp may not be
    yield "management-query-passwords"  # all of them: nobody is at a terminal to be asked
    if spec.username is not None:
        yield from ("auth-user-pass", "auth-nocache", "auth-retry none")
    yield from ("ifconfig-noexec", "route-noexec", "route-nopull")
    yield from (*(f"pull-filter accept {quoted(each)}" for each in _TAKEN), 'pull-filter ignore ""')
    yield from (f"ping {PING}", f"ping-exit {SILENCE}", "remap-usr1 SIGTERM", "resolv-retry 0")
    yield from (f"connect-timeout {ATTEMPT}", f"hand-window {HANDSHAKE}", "connect-retry 1 1", "connect-retry-max 1")
    if spec.transport is Transport.UDP:
        yield "explicit-exit-notify 1"
    yield from (f"allow-compression {spec.allow_compression}", "script-security 0", "verb 3", "machine-readable-output")
    if spec.mtu is not None:
        yield f"tun-mtu {spec.mtu}"


def _entry(spec: OpenVpnSpec) -> Iterator[str]:
    """What the keys of the entry say, where there is no profile."""
    ciphers = spec.ciphers or CIPHERS
    yield "remote-cert-tls server"
    yield f"data-ciphers {':'.join(ciphers)}"
    yield f"data-ciphers-fallback {ciphers[-1]}"
    if spec.verify_name is not None:
        kind = "subject" if "=" in spec.verify_name else "name"
        yield f"verify-x509-name {quoted(spec.verify_name)} {kind}"
    yield from _block("ca", spec.ca)
    yield from _block("cert", spec.certificate)
    yield from _block("key", spec.key)
    if spec.tls_auth is not None:
        yield "key-direction 1"
        yield from _block("tls-auth", spec.tls_auth)
    yield from _block("tls-crypt", spec.tls_crypt)


def _block(name: str, content: str | Secret | None) -> Iterator[str]:
    if content is not None:
        text = content.reveal() if isinstance(content, Secret) else content
        yield block(name, text.rstrip("\n"))


def _protocol(transport: Transport) -> str:
    match transport:
        case Transport.UDP:
            return "udp"
        case Transport.TCP:
            return "tcp-client"


def quoted(text: str) -> str:
    """One argument of an option or of a management command, whatever is in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
