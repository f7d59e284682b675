"""Why a connection failed, or ended: from charon's own words to those of an operator. Pure.

Over vici charon says no more than that a CHILD_SA could not be established; the reason stands in its log. A line alone
does not tell it: the server's AUTHENTICATION_FAILED is a wrong password after the server had asked for one, a refused
certificate after we had sent ours, and before either it says that the server knows no client like us.

The words are those of strongSwan 5.9.8 (`src/libcharon/sa/ikev2`, `src/libstrongswan/credentials`, `src/libtls`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model import FailureReason

Explanation = tuple[FailureReason, str]


@dataclass(frozen=True, slots=True)
class _Sign:
    """A line that tells a reason. `words` may name the pattern's groups, and what was noted before (`_NOTES`)."""

    pattern: re.Pattern[str]
    reason: FailureReason
    words: str


def _sign(pattern: str, reason: FailureReason, words: str) -> _Sign:
    return _Sign(re.compile(pattern), reason, words)


# What is noted while lines pass: the last of each, and the default before there is one.
_NOTES: Final[Mapping[str, tuple[re.Pattern[str] | None, str]]] = {
    "shown": (re.compile(r'received end entity cert "(.*)"'), "(it sent none)"),
    "issuer": (re.compile(r'\s*issuer is "(.*)"'), "an unknown one"),
    "authority": (re.compile(r'\s*using (?:trusted|untrusted).* certificate "(.*)"'), "an authority"),
    "asked": (re.compile(r"server requested (EAP_(?!IDENTITY)\S+) authentication"), "another method"),
    "account": (re.compile(r"server requested EAP_IDENTITY .*sending '(.*)'"), "the account"),
    "own": (re.compile(r"sending (?:end entity cert|TLS client certificate) ['\"](.*)['\"]"), "the client's"),
    "host": (None, "the server"),
}

_OWN: Final = "{own}"  # in words about the client's own certificate

_NOT_TRUSTED: Final = FailureReason.CERTIFICATE_NOT_TRUSTED
_EXPIRED: Final = FailureReason.CERTIFICATE_EXPIRED

# From the most telling to the least: the first of which there is a line is the reason.
_SIGNS: Final = (
    # ---- charon does not start
    _sign(
        r"kernel-libipsec plugin requires CAP_NET_ADMIN",
        FailureReason.NOT_PERMITTED,
        "charon may not make a device: CAP_NET_ADMIN is missing",
    ),
    _sign(
        r"failed to open /dev/net/tun: (?P<why>.*)",
        FailureReason.NOT_PERMITTED,
        "/dev/net/tun cannot be opened ({why}): give the device to the container, and CAP_NET_ADMIN",
    ),
    _sign(
        r"(?:configuring|failed to configure) TUN device|initializing TUN device failed",
        FailureReason.NOT_PERMITTED,
        "charon may not set up its device: CAP_NET_ADMIN is missing",
    ),
    _sign(
        r"unable to create pidfile '(?P<file>.*)'",
        FailureReason.NOT_PERMITTED,
        "charon cannot write {file}, and does not start without: its directory must be writable",
    ),
    _sign(
        r"(?P<plugin>\S+) plugin requires (?P<capability>CAP_\S+) capability",
        FailureReason.NOT_PERMITTED,
        "charon's plugin {plugin} needs {capability}",
    ),
    _sign(
        r"unable to create (?:XFRM|netlink|RT) .*socket|opening netlink socket failed",
        FailureReason.NOT_PERMITTED,
        "charon may not speak with the kernel: CAP_NET_ADMIN is missing",
    ),
    _sign(
        r"feature CUSTOM:kernel-ipsec in critical plugin 'kernel-netlink' failed to load",
        FailureReason.NOT_PERMITTED,
        'this kernel does no ESP (CONFIG_XFRM_USER, CONFIG_INET_ESP): esp = "userspace" works',
    ),
    _sign(
        r"feature (?P<feature>\S+) in critical plugin '(?P<plugin>.*)' failed to load",
        FailureReason.OTHER,
        "charon's plugin {plugin} lacks what {feature} needs",
    ),
    _sign(
        r"loading critical plugin '(?P<plugin>.*)' failed",
        FailureReason.PROGRAM_MISSING,
        "charon's plugin {plugin} cannot be loaded: its package is not installed",
    ),
    # ---- who the server is
    _sign(
        r"subject certificate invalid \(valid from (?P<first>.*) to (?P<last>.*)\)",
        _EXPIRED,
        "the server's certificate {shown} is valid from {first} to {last}",
    ),
    _sign(
        r"(?:issuer|peer) certificate invalid \(valid from (?P<first>.*) to (?P<last>.*)\)",
        _EXPIRED,
        "the certificate of the server's authority {authority} is valid from {first} to {last}",
    ),
    _sign(
        r'\s*self-signed certificate "(?P<certificate>.*)" is not trusted',
        _NOT_TRUSTED,
        "the server's certificate leads to {certificate}, which has signed itself and is not in ca",
    ),
    _sign(
        r'no issuer certificate found for "(?P<certificate>.*)"',
        _NOT_TRUSTED,
        "the server's certificate {certificate} is issued by {issuer}, which is not in ca",
    ),
    _sign(
        r"constraint check failed: peer not authenticated by CA '(?P<authority>.*)'",
        _NOT_TRUSTED,
        "the server's certificate {shown} does not come from {authority}, which is in ca",
    ),
    _sign(r"certificate was revoked", _NOT_TRUSTED, "the server's certificate {shown} has been revoked"),
    _sign(
        r"constraint check failed: identity '(?P<wanted>.*)' required",
        FailureReason.NAME_MISMATCH,
        "the server's certificate {shown} is not one of {wanted}: set remote_id to a name that it has",
    ),
    _sign(
        r"received IDr (?P<given>.*), but require (?P<wanted>.*)",
        FailureReason.NAME_MISMATCH,
        "the server is {given}, not {wanted}: set remote_id",
    ),
    _sign(
        r"no trusted \S+ public key found for '(?P<wanted>.*)'",
        FailureReason.NAME_MISMATCH,
        "the server's certificate {shown} is not one of {wanted}: set remote_id to a name that it has",
    ),
    _sign(
        r"server certificate does not match to '(?P<wanted>.*)'",
        FailureReason.NAME_MISMATCH,
        "the certificate that the server shows in EAP-TLS is not one of {wanted}",
    ),
    _sign(
        r"no (?:TLS public key|trusted certificate) found for (?:server )?'(?P<wanted>.*?)'",
        _NOT_TRUSTED,
        "the certificate that the server shows in EAP-TLS is not trusted, or not one of {wanted}",
    ),
    # ---- who we are
    _sign(
        r"EAP-MS-CHAPv2 failed with error ERROR_AUTHENTICATION_FAILURE",
        FailureReason.WRONG_PASSWORD,
        "the server refuses user name or password of {account}",
    ),
    _sign(
        r"EAP-MS-CHAPv2 failed with error (?P<code>\w+)",
        FailureReason.WRONG_PASSWORD,
        "the server refuses the account {account}: {code}",
    ),
    _sign(
        r"EAP-MS-CHAPv2 verification failed",
        _NOT_TRUSTED,
        "the server does not know the password of {account} itself: it may be an impostor",
    ),
    _sign(
        r"no EAP key found for hosts",
        FailureReason.CONFIGURATION,
        "charon has no password for {account}",
    ),
    _sign(
        r"received fatal TLS alert 'certificate expired'",
        _EXPIRED,
        "the server says that the client's certificate {own} has expired",
    ),
    _sign(
        r"received fatal TLS alert '(?P<alert>.*(?:certificate|ca|denied).*)'",
        _NOT_TRUSTED,
        "the server refuses the client's certificate {own}: {alert}",
    ),
    _sign(
        r"received fatal TLS alert '(?P<alert>.*)'",
        FailureReason.OTHER,
        "the server ends EAP-TLS: {alert}",
    ),
    _sign(
        r"no private key found for '(?P<whose>.*)'",
        FailureReason.CONFIGURATION,
        "there is no private key for the certificate of {whose}",
    ),
    # ---- what is agreed on
    _sign(
        r"received NO_PROPOSAL_CHOSEN notify error|no acceptable proposal found",
        FailureReason.NO_PROPOSAL,
        "the server accepts none of the IKE proposals: set proposals to what it offers",
    ),
    _sign(
        r"received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
        FailureReason.NO_PROPOSAL,
        "the server accepts none of the ESP proposals: set proposals to what it offers",
    ),
    _sign(
        r"(?:configured|requested) DH group (?P<group>\S+) not supported",
        FailureReason.NO_PROPOSAL,
        "charon does not know the Diffie-Hellman group {group}",
    ),
    _sign(
        r"received TS_UNACCEPTABLE notify|no acceptable traffic selectors found",
        FailureReason.CONFIGURATION,
        "the server does not lead to these networks: set remote_networks to those behind it",
    ),
    _sign(
        r"received INTERNAL_ADDRESS_FAILURE notify",
        FailureReason.OTHER,
        "the server has no address to give: its pool is empty, or it has none",
    ),
    _sign(
        r"(?:installing|adding) virtual IP (?P<address>\S+) failed",
        FailureReason.OTHER,
        "the kernel does not take the address {address}",
    ),
    _sign(
        r"unable to install IPsec policies|unable to install .*IPsec SA \(SAD\)",
        FailureReason.OTHER,
        "the kernel does not take the keys or policies that were agreed on: does it lack ESP, or its ciphers?",
    ),
    # ---- the way there
    _sign(
        r"unable to resolve (?P<name>.*), initiate aborted",
        FailureReason.UNREACHABLE,
        "the name {name} cannot be resolved",
    ),
    _sign(
        r"error writing to socket: (?P<why>.*)",
        FailureReason.UNREACHABLE,
        "nothing can be sent to {host}: {why}",
    ),
    _sign(
        r"establishing IKE_SA failed, peer not responding",
        FailureReason.TIMED_OUT,
        "{host} does not answer: nobody there, or UDP is filtered on the way",
    ),
    _sign(r"giving up after \d+ retransmits", FailureReason.TIMED_OUT, "{host} does not answer any more"),
    # ---- the end
    _sign(r"received DELETE for IKE_SA", FailureReason.SERVER_ENDED, "the server has ended the connection"),
    _sign(r"received DELETE for \S+ CHILD_SA", FailureReason.SERVER_ENDED, "the server has ended the connection"),
)

_REFUSED: Final = re.compile(r"received (?:EAP_FAILURE, EAP authentication failed|AUTHENTICATION_FAILED notify error)")
_OTHER_ERROR: Final = re.compile(r"received (?P<notify>[A-Z_]+) notify error")

_WRONG_PASSWORD: Final = (FailureReason.WRONG_PASSWORD, "the server refuses user name or password of {account}")
_OWN_REFUSED: Final = (
    _NOT_TRUSTED,
    "the server refuses the client's certificate {own}, or takes none: it does not say which",
)
_NAK: Final = (
    FailureReason.NO_COMMON_METHOD,
    "the server asks for {asked}, which is not what auth says; it offers nothing else",
)
_NOT_ASKED: Final = (
    FailureReason.NO_COMMON_METHOD,
    "the server refuses before it asks for anything: it does not offer what auth says, or has another name (remote_id)",
)

# How far it had come when the server refused: the last of these lines counts.
_STEPS: Final[tuple[tuple[re.Pattern[str], Explanation], ...]] = (
    (re.compile(r"sending end entity cert "), _OWN_REFUSED),
    (re.compile(r"server requested EAP_IDENTITY "), _WRONG_PASSWORD),
    (re.compile(r"server requested EAP_MSCHAPV2 authentication"), _WRONG_PASSWORD),
    (re.compile(r"server requested EAP_TLS authentication"), _OWN_REFUSED),
    (re.compile(r".* sending EAP_NAK"), _NAK),
)


def tells_a_failure(text: str) -> bool:
    """Whether this line of charon's tells why something failed. Taking leave is no failure."""
    signs = (sign for sign in _SIGNS if sign.reason is not FailureReason.SERVER_ENDED)
    return any(sign.pattern.match(text) for sign in signs) or bool(_REFUSED.match(text) or _OTHER_ERROR.match(text))


def explain(lines: Sequence[str], *, host: str, own_expiry: str | None = None) -> Explanation | None:
    """The reason that charon's lines (their texts, oldest first) tell for a failure; None where they tell none.

    `host` is the server's. `own_expiry` says of a client's certificate that it has expired: servers only refuse it.
    """
    explanation = _explanation(lines)
    if explanation is None:
        return None
    reason, words, details = explanation
    if own_expiry is not None and _OWN in words:
        reason, words = _EXPIRED, f"the client's certificate {own_expiry}"
    notes = {name: default for name, (_, default) in _NOTES.items()} | {"host": host}
    for name, (pattern, _) in _NOTES.items():
        if pattern is not None and (last := _last(pattern, lines)):
            notes[name] = last[1]
    return reason, words.format_map(notes | details)


def _explanation(lines: Sequence[str]) -> tuple[FailureReason, str, dict[str, str]] | None:
    """Reason, words, and what the telling line itself has to put into them."""
    for sign in _SIGNS:
        if found := _last(sign.pattern, lines):
            return sign.reason, sign.words, found.groupdict()
    if _last(_REFUSED, lines):
        return *_refusal(lines), {}
    if found := _last(_OTHER_ERROR, lines):
        return FailureReason.OTHER, "the server says {notify}", found.groupdict()
    return None


def _refusal(lines: Iterable[str]) -> Explanation:
    refusal = _NOT_ASKED
    for line in lines:
        for pattern, step in _STEPS:
            if pattern.match(line):
                refusal = step
    return refusal


def _last(pattern: re.Pattern[str], lines: Iterable[str]) -> re.Match[str] | None:
    found = None
    for line in lines:
        found = pattern.match(line) or found
    return found
