"""Why an OpenVPN connection failed: from what the process says to a reason that an operator understands. Pure.

The rules are a table, the most telling first: of all that was said, the rule nearest to the top gives the reason. The
lines are those of OpenVPN 2.6, seen against real servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.model import FailureReason, OpenVpnSpec
from gateway.tunnels.openvpn.configuration import ATTEMPT, HANDSHAKE, SILENCE

_Words = Callable[[re.Match[str], OpenVpnSpec], str]
_R = FailureReason


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    reason: FailureReason
    words: _Words


def _rule(pattern: str, reason: FailureReason, words: str | _Words) -> _Rule:
    if isinstance(words, str):
        return _Rule(re.compile(pattern), reason, lambda found, _spec: words.format(**found.groupdict()))
    return _Rule(re.compile(pattern), reason, words)


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
    why = (found["why"] or "").strip(" ,")
    if spec.username is None:
        return f"the server refused this client's certificate{f': {why}' if why else ''}"
    return f'the server refused the account "{spec.username}" or its password{f": {why}" if why else ""}'


_LATE: Final = (
    f"the server did not answer within {ATTEMPT} s (a wrong tls_auth or tls_crypt key looks the same: it keeps silent)"
)

# A server that refuses a certificate drops the client without a word, over UDP at least. What it means that the
# client hears no more depends on what came before, so these lines get a beginning of ours.
_END: Final = re.compile(r"Inactivity timeout \(--ping-exit\)|TLS key negotiation failed|Connection reset, restarting")
_PROVED: Final = "VERIFY OK: depth=0"
_OUTDATED: Final = "WARNING: Your certificate has expired!"
_LET_IN: Final = "Peer Connection Initiated"
_AFTER_PROOF: Final = "after its proof: "
_OUTDATED_SHOWN: Final = "an outdated certificate was shown: "

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
    _rule(r"AUTH: Received control message: AUTH_FAILED(?P<why>.*)", _R.WRONG_PASSWORD, _server_refused),
    _rule(
        r"RESOLVE: Cannot resolve host address: (?P<host>[^:]+)", _R.UNREACHABLE, "the name {host} cannot be resolved"
    ),
    _rule(r"TCP: connect to .* failed: (Connection timed out|Operation timed out)", _R.TIMED_OUT, _LATE),
    _rule(
        r"(TCP: connect to .* failed|(read|write) (UDP|TCP)\S*( \[\w+\])?): (?P<why>Connection refused|No route to host"
        r"|Network is unreachable|Host is down|Permission denied|Operation not permitted)",
        _R.UNREACHABLE,
        "{why}",
    ),
    _rule(
        f"^{_OUTDATED_SHOWN}",
        _R.CERTIFICATE_EXPIRED,
        "this client's own certificate has expired, and the server has let go of it without a word",
    ),
    _rule(
        f"^{_AFTER_PROOF}",
        _R.TIMED_OUT,
        "the server has proved itself, and was silent after that: it may refuse this client's certificate",
    ),
    _rule(
        r"Inactivity timeout \(--ping-exit\)", _R.TIMED_OUT, f"nothing has come from the server for {SILENCE} seconds"
    ),
    _rule(
        r"TLS key negotiation failed to occur within",
        _R.TIMED_OUT,
        f"the TLS handshake was not over within {HANDSHAKE} s (a wrong tls_auth or tls_crypt key looks the same)",
    ),
    _rule(r"soft,server_poll|Server poll timeout|connection-failed", _R.TIMED_OUT, _LATE),
    _rule(
        r"\[soft,(remote-exit|server-pushed-\S+|exit-with-notification)\]|command 'RESTART'|received control message "
        r"'(RESTART|HALT)|OCC exit message received by peer",
        _R.SERVER_ENDED,
        "the server ended the connection",
    ),
    _rule(
        r"Connection reset, restarting|\[soft,connection-reset\]", _R.SERVER_ENDED, "the server closed the connection"
    ),
)


class Diagnosis:
    """What has been heard of one connection. `reason` and `detail` are the best that can be said so far."""

    def __init__(self, spec: OpenVpnSpec) -> None:
        self._spec = spec
        self._rank = len(RULES)
        self.reason: FailureReason | None = None
        self.detail = ""
        self._outdated = False
        self._unanswered = False  # the server has proved itself, and does not say what it thinks of us

    def hear(self, text: str) -> None:
        """Take one line into account."""
        text = self._in_context(text)
        for rank, rule in enumerate(RULES[: self._rank]):
            if (found := rule.pattern.search(text)) is not None:
                self._rank, self.reason, self.detail = rank, rule.reason, rule.words(found, self._spec)
                if self.reason is FailureReason.WRONG_PASSWORD and self._spec.username is None:
                    self.reason = FailureReason.CERTIFICATE_NOT_TRUSTED
                return

    def _in_context(self, text: str) -> str:
        """`text` with what it means that it comes now."""
        if text.startswith(_OUTDATED):
            self._outdated = True
        elif text.startswith(_PROVED):
            self._unanswered = True
        elif _LET_IN in text:
            self._unanswered = False
        elif self._unanswered and _END.search(text) is not None:
            if self._outdated:
                return f"{_OUTDATED_SHOWN}{text}"
            if self._spec.certificate is not None or self._spec.profile is not None:
                return f"{_AFTER_PROOF}{text}"
        return text

    def refused(self, why: str) -> None:
        """The server has refused the account; `why` are its own words."""
        self.hear(f"AUTH: Received control message: AUTH_FAILED{f',{why}' if why else ''}")

    def forget(self) -> None:
        """The connection is up: what was said on the way there is no reason for its end."""
        self._rank, self.reason, self.detail = len(RULES), None, ""
