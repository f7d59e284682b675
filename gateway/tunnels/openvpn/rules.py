"""What each telling line of OpenVPN means to an operator: a table, the most telling first. Pure.

The lines are those of OpenVPN 2.6, seen against real servers. What some of them mean depends on what came before:
`reasons` puts one of the beginnings below before them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.model import FailureReason, OpenVpnSpec
from gateway.tunnels.openvpn.configuration import ATTEMPT, HANDSHAKE, PATIENCE, SILENCE

_R = FailureReason
_Words = Callable[[re.Match[str], OpenVpnSpec], str]


class Then(Enum):
    """What to do once a line has been heard."""

    LISTEN = "listen"  # if this is fatal the process ends by itself, and may have more to say
    END = "end"  # it would go on in vain, for seconds or for ever


@dataclass(frozen=True, slots=True)
class Rule:
    """A line, and what it means."""

    pattern: re.Pattern[str]
    reason: FailureReason
    words: _Words
    then: Then


def _rule(pattern: str, reason: FailureReason, words: str | _Words, then: Then = Then.LISTEN) -> Rule:
    if isinstance(words, str):
        return Rule(re.compile(pattern), reason, lambda found, _spec: words.format(**found.groupdict()), then)
    return Rule(re.compile(pattern), reason, words, then)


# ---------------------------------------------------------------- beginnings, see `reasons`

AFTER_PROOF: Final = "after its proof: "
OUTDATED_SHOWN: Final = "an outdated certificate was shown: "
IN_TROUBLE: Final = "in trouble: "  # and why packets could not be sent, and a colon
LET_IN_BEFORE: Final = "let in before: "

LATE: Final = "late"  # no line of OpenVPN's: it is not connected in time

REFUSED: Final = "AUTH: Received control message: AUTH_FAILED"
SILENT: Final = "Inactivity timeout (--ping-exit)"
NO_ANSWER: Final = "Server poll timeout"
NOT_SENT: Final = (
    r"(TCP: connect to .* failed|(read|write) (UDP|TCP)\S*( \[\w+\])?): (?P<why>Connection refused|No route to host"
    r"|Network is unreachable|Host is down|Permission denied|Operation not permitted)"
)

# ---------------------------------------------------------------- words

_FORBIDDEN: Final = frozenset({"Permission denied", "Operation not permitted"})
_LATE_ANSWER: Final = (
    f"the server did not answer within {ATTEMPT} s (a wrong tls_auth or tls_crypt key looks the same: it keeps silent)"
)
ONE_TIME_CODE: Final = "the server asks for a one-time code, and nobody is there to give it"


def _whose(found: re.Match[str]) -> str:
    return "the server's certificate" if found["depth"] == "0" else "the certificate of an authority of the server"


def _outdated(found: re.Match[str], _spec: OpenVpnSpec) -> str:
    return f"{_whose(found)} ({found['subject']}) {found['what']}"


def _untrusted(found: re.Match[str], spec: OpenVpnSpec) -> str:
    trusted = "those of the profile" if spec.profile is not None else "the one in ca"
    return (
        f"{_whose(found)} ({found['subject']}) is not signed by an authority that is trusted, {trusted}: {found['why']}"
    )


def _server_refused(found: re.Match[str], spec: OpenVpnSpec) -> str:
    who = "this client's certificate" if spec.username is None else f'the account "{spec.username}" or its password'
    return f"the server refused {who}{_because(found)}"


def _no_longer(found: re.Match[str], _spec: OpenVpnSpec) -> str:
    return f"the server accepts the login no longer{_because(found)}"


def _because(found: re.Match[str]) -> str:
    why = (found["why"] or "").strip(" ,")
    return f": {why}" if why else ""


def _not_sent(found: re.Match[str], _spec: OpenVpnSpec) -> str:
    why = found["why"]
    return f"{why}: a firewall or a route of this machine forbids it" if why in _FORBIDDEN else why


# ---------------------------------------------------------------- the table

RULES: Final = (
    _rule(
        r"VERIFY ERROR: depth=(?P<depth>\d+), error=certificate (?P<what>has expired|is not yet valid): "
        r"(?P<subject>.*?)(, serial=\w+)?$",
        _R.CERTIFICATE_EXPIRED,
        _outdated,
    ),
    _rule(r"VERIFY ERROR: .*error=CRL (has expired|is not yet valid)", _R.CERTIFICATE_EXPIRED, "the CRL is outdated"),
    _rule(
        r"VERIFY ERROR: depth=(?P<depth>\d+), error=(?P<why>[^:]*): (?P<subject>.*?)(, serial=\w+)?$",
        _R.CERTIFICATE_NOT_TRUSTED,
        _untrusted,
    ),
    _rule(
        r"VERIFY X509NAME ERROR: (?P<found>.*), must be (?P<name>.*)",
        _R.NAME_MISMATCH,
        'the server\'s certificate is for "{found}", and verify_name wants "{name}"',
    ),
    _rule(
        r"VERIFY (KU|EKU) ERROR|Certificate does not have (extended )?key usage extension",
        _R.CERTIFICATE_NOT_TRUSTED,
        "the server's certificate is none for servers (it lacks the extended key usage serverAuth)",
    ),
    _rule(
        r"AUTH_FAILED,Data channel cipher negotiation failed|failed to negotiate cipher|no shared cipher",
        _R.NO_PROPOSAL,
        "no cipher in common with the server: see ciphers",
    ),
    _rule(
        r"alert certificate expired",
        _R.CERTIFICATE_EXPIRED,
        "the server says that this client's certificate has expired",
    ),
    _rule(
        r"alert (?P<alert>unknown ca|bad certificate|certificate unknown|certificate revoked|unsupported certificate"
        r"|certificate required|access denied|decrypt error)",
        _R.CERTIFICATE_NOT_TRUSTED,
        "the server refused this client's certificate: {alert}",
    ),
    _rule(
        r"alert (handshake failure|protocol version|insufficient security)|no (ciphers|protocols) available",
        _R.NO_PROPOSAL,
        "no version or cipher of TLS in common with the server",
    ),
    _rule(
        r"Compression is not allowed since allow-compression is set to",
        _R.CONFIGURATION,
        'the server pushes compression: allow it by allow_compression = "asym"',
    ),
    _rule(r"Options error: (?P<what>.*?)\s*(Use --help for more information\.)?$", _R.CONFIGURATION, "OpenVPN: {what}"),
    _rule(
        r"(Cannot load (?:inline )?(?P<what>CA|certificate|private key|DH|CRL).*|.*key values mismatch.*)",
        _R.CONFIGURATION,
        lambda found, _spec: f"OpenVPN: {found[0]}",
    ),
    _rule(
        r"tls-crypt(-v2)? unwrap(ping)? (failed|error)|packet HMAC authentication failed",
        _R.CONFIGURATION,
        "what the server sends is wrapped in another key: see tls_auth and tls_crypt",
    ),
    _rule(
        r"ERROR: Cannot (ioctl TUNSETIFF|open TUN/TAP dev).*Operation not permitted",
        _R.NOT_PERMITTED,
        "the tun device may not be used: CAP_NET_ADMIN is missing",
    ),
    _rule(
        r"ERROR: Cannot open TUN/TAP dev (?P<device>\S+): (?P<why>.*?)( \(errno=\d+\))?$",
        _R.NOT_PERMITTED,
        "{device}: {why}; a container must be given the device",
    ),
    _rule(
        r"ERROR: Cannot ioctl TUNSETIFF (?P<device>\S+?):? (?P<why>.*?)( \(errno=\d+\))?$",
        _R.OTHER,
        "the tun device {device} cannot be used: {why}",
    ),
    _rule(
        r"net_(addr|iface|route)\w*.*(Operation not permitted)|sitnl_send.*Operation not permitted",
        _R.NOT_PERMITTED,
        "the tun device may not be changed: CAP_NET_ADMIN is missing",
    ),
    _rule(
        r"(read from|write to) TUN/TAP.*File descriptor in bad state",
        _R.OTHER,
        "its device has been taken away",
        Then.END,  # it reads again, as fast as it can, for ever
    ),
    _rule(f"^{LET_IN_BEFORE}{REFUSED}(,(SESSION: ?)?(?P<why>.+))?", _R.SERVER_ENDED, _no_longer),
    _rule(f"{REFUSED},TEMP", _R.OTHER, "the server cannot check accounts at present"),
    _rule(f"{REFUSED},CRV1:", _R.NO_COMMON_METHOD, ONE_TIME_CODE),
    _rule(f"{REFUSED}(?P<why>.*)", _R.WRONG_PASSWORD, _server_refused),
    _rule(
        r"AUTH_PENDING received",
        _R.NO_COMMON_METHOD,
        "the server waits for somebody to confirm the login by other means, and nobody has",
    ),
    _rule(
        r"RESOLVE: Cannot resolve host address: (?P<host>[^:]+)",
        _R.UNREACHABLE,
        "the name {host} cannot be resolved",
        Then.END,
    ),
    _rule(r"TCP: connect to .* failed: (Connection timed out|Operation timed out)", _R.TIMED_OUT, _LATE_ANSWER),
    _rule(NOT_SENT, _R.UNREACHABLE, _not_sent, Then.END),
    _rule(
        f"^{OUTDATED_SHOWN}",
        _R.CERTIFICATE_EXPIRED,
        "this client's own certificate has expired, and the server has let go of it without a word",
    ),
    _rule(
        f"^{AFTER_PROOF}",
        _R.TIMED_OUT,
        "the server has proved itself, and was silent after that: it may refuse this client's certificate",
    ),
    _rule(
        f"^{IN_TROUBLE}(?P<why>.*?): ",
        _R.TIMED_OUT,
        f"nothing has come from the server for {SILENCE} seconds, and nothing could be sent: {{why}}",
    ),
    _rule(re.escape(SILENT), _R.TIMED_OUT, f"nothing has come from the server for {SILENCE} seconds"),
    _rule(
        r"TLS key negotiation failed to occur within",
        _R.TIMED_OUT,
        f"the TLS handshake was not over within {HANDSHAKE} s (a wrong tls_auth or tls_crypt key looks the same)",
    ),
    _rule(
        r"No reply from server to push requests|no-push-reply",
        _R.TIMED_OUT,
        "the server has let the client in, and has not said how it goes on",
    ),
    _rule(f"{NO_ANSWER}|soft,server_poll|connection-failed", _R.TIMED_OUT, _LATE_ANSWER),
    _rule(
        r"\[soft,(remote-exit|server-pushed-\S+|exit-with-notification)\]|command 'RESTART'|received control message "
        r"'(RESTART|HALT)|OCC exit message received by peer",
        _R.SERVER_ENDED,
        "the server ended the connection",
    ),
    _rule(
        r"Connection reset, restarting|\[soft,connection-reset\]", _R.SERVER_ENDED, "the server closed the connection"
    ),
    _rule(f"^{LATE}$", _R.TIMED_OUT, f"not connected within {PATIENCE} s"),
)
