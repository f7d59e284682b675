"""OpenVPN's options: which a profile may have, and what becomes of the others. Data, and a look-up.

What is not named here is refused: an option that nobody has thought about is not handed to a program that runs as root.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, NamedTuple, assert_never

from gateway.config.profiles.statements import Statement, split
from gateway.config.wording import suggestion


class Fate(Enum):
    """What becomes of an option."""

    PASSED = auto()  # it goes to the client as it is; the key `options` may have it as well
    FILE = auto()  # likewise, with the file that it names put inline
    SECRET_FILE = auto()
    UNDERSTOOD = auto()  # it is taken out, and the gateway does what it says
    SAME = auto()  # it is left out: the gateway does so anyhow
    OTHERWISE = auto()  # it is left out with a warning: the gateway does otherwise
    REFUSED = auto()
    UNKNOWN = auto()  # refused, unless the profile says that it may be left out


class Verdict(NamedTuple):
    """An option's fate, and why it is left out or refused."""

    fate: Fate
    why: str


class _Group(NamedTuple):
    """Options that share a verdict."""

    fate: Fate
    why: str
    names: str


_LEFT: Final = "left out: "
_NO: Final = "refused: "

_GROUPS: Final = (
    # None of these names a file, runs a program, or lets anybody but the server talk to the client.
    _Group(
        Fate.PASSED,
        "",
        """
        auth cipher data-ciphers data-ciphers-fallback ncp-ciphers comp-lzo compress
        tls-cipher tls-ciphersuites tls-cert-profile tls-groups tls-version-max tls-version-min ecdh-curve
        ns-cert-type remote-cert-eku remote-cert-ku remote-cert-tls verify-hash verify-x509-name key-direction
        hand-window reneg-bytes reneg-pkts reneg-sec replay-window tls-timeout tran-window mute-replay-warnings
        fragment link-mtu max-packet-size mssfix mtu-disc tun-mtu tun-mtu-extra tun-mtu-max
        fast-io float passtos rcvbuf sndbuf socket-flags tcp-queue-limit txqueuelen
        compat-mode disable-dco disable-occ explicit-exit-notify ifconfig-nowarn pull-filter push-peer-info topology
        """,
    ),
    _Group(Fate.FILE, "", "ca cert crl-verify extra-certs peer-fingerprint"),
    _Group(Fate.SECRET_FILE, "", "key pkcs12 tls-auth tls-crypt tls-crypt-v2"),
    _Group(
        Fate.UNDERSTOOD,
        "",
        """
        allow-compression auth-user-pass connection dev dev-type dhcp-option ignore-unknown-option port proto remote
        rport script-security setenv
        """,
    ),
    _Group(
        Fate.SAME,
        "",
        """
        client tls-client pull nobind
        auth-nocache persist-key persist-local-ip persist-remote-ip persist-tun resolv-retry
        route-nopull route-noexec ifconfig-noexec
        errors-to-stderr mute verb suppress-timestamps machine-readable-output
        """,
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}the gateway adds the routes to its targets itself, and takes no others",
        """
        allow-pull-fqdn block-ipv6 redirect-gateway redirect-private route route-delay route-gateway route-ipv6
        route-ipv6-gateway route-metric
        """,
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}the gateway notices a dead tunnel by itself, and sooner",
        "keepalive ping ping-restart ping-timer-rem",
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}a tunnel stays up until it is disconnected",
        "inactive ping-exit session-timeout single-session tls-exit",
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}the gateway itself bounds an attempt, and tries again with growing pauses",
        "auth-retry connect-retry connect-retry-max connect-timeout server-poll-timeout",
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}servers are tried in the order in which they stand",
        "remote-random remote-random-hostname",
    ),
    _Group(Fate.OTHERWISE, f"{_LEFT}the client's own port is any that is free", "bind lport"),
    _Group(Fate.OTHERWISE, f"{_LEFT}the device bears the tunnel's name", "dev-node lladdr"),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}OpenVPN no longer has it",
        "dhcp-release key-method keysize max-routes ncp-disable no-iv no-replay",
    ),
    _Group(
        Fate.OTHERWISE,
        f"{_LEFT}it is for Windows",
        """
        allow-nonadmin block-outside-dns dhcp-pre-release dhcp-renew ip-win32 pause-exit register-dns route-method
        service show-net-up tap-sleep win-sys windows-driver
        """,
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}it runs a program",
        """
        auth-user-pass-verify client-connect client-crresponse client-disconnect dns-updown down down-pre ipchange
        iproute learn-address route-pre-down route-up tls-crypt-v2-verify tls-verify up up-delay up-restart
        """,
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}the gateway alone drives the client",
        """
        management management-client management-client-auth management-client-group management-client-pf
        management-client-user management-external-cert management-external-key management-forget-disconnect
        management-hold management-log-cache management-query-passwords management-query-proxy management-query-remote
        management-signal management-up-down
        """,
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}it loads code into the client",
        """
        engine pkcs11-cert-private pkcs11-id pkcs11-id-management pkcs11-pin-cache pkcs11-private-mode
        pkcs11-protected-authentication pkcs11-providers plugin providers
        """,
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}it writes a file; the client's log is kept by the gateway (gateway logs)",
        "log log-append replay-persist status status-version syslog tls-export-cert tmp-dir writepid",
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}how the client runs as a process, and where its packets leave, is the gateway's to say",
        "bind-dev cd chroot daemon group inetd local mark mlock multihome nice setcon user",
    ),
    _Group(Fate.REFUSED, f"{_NO}it reads another file of options: put them into this one", "config"),
    _Group(Fate.REFUSED, f"{_NO}it sets a variable for programs, of which there are none", "setenv-safe"),
    _Group(Fate.REFUSED, f"{_NO}it names a directory: put the certificates into ca", "capath"),
    _Group(Fate.REFUSED, f"{_NO}nobody is there to be asked: the key must not be encrypted", "askpass"),
    _Group(Fate.REFUSED, f"{_NO}OpenVPN no longer has it: write verify-x509-name", "tls-remote"),
    _Group(Fate.REFUSED, f"{_NO}whoever gets a static key reads all that it ever encrypted: use TLS", "secret"),
    _Group(
        Fate.REFUSED,
        f"{_NO}there is no way to a server through a proxy",
        "http-proxy http-proxy-option http-proxy-user-pass socks-proxy",
    ),
    _Group(
        Fate.REFUSED,
        f"{_NO}it is for servers",
        """
        auth-gen-token ccd-exclusive client-config-dir client-to-client dh duplicate-cn ifconfig-pool
        ifconfig-pool-persist max-clients mode port-share push push-remove push-reset server server-bridge server-ipv6
        stale-routes-check tls-server username-as-common-name verify-client-cert x509-username-field
        """,
    ),
)

VERDICTS: Final[Mapping[str, Verdict]] = {
    name: Verdict(group.fate, group.why) for group in _GROUPS for name in group.names.split()
}

_ALLOWED: Final = sorted(name for name, verdict in VERDICTS.items() if verdict.fate is Fate.PASSED)
_FILTERS: Final = ("ignore",)


def verdict(name: str) -> Verdict:
    """What becomes of the option `name`."""
    return VERDICTS.get(name) or Verdict(Fate.UNKNOWN, f"{_NO}it is not known here: {suggestion(name, _ALLOWED)}")


def check_passed(statement: Statement) -> None:
    """Raises ValueError where a statement that would be passed has something in it that would not."""
    if statement.inline is not None:
        raise ValueError(f"{_NO}it has arguments, not a block")
    if statement.name == "pull-filter" and statement.arguments[:1] != _FILTERS:
        raise ValueError(f"{_NO}pull-filter may only ignore: what is accepted of the server is the gateway's to say")


def parse_option(text: str) -> str:
    """One line of the key `options`, as it goes to the client. Raises ValueError that says what is allowed instead."""
    words = split(text)
    if not words:
        raise ValueError('must be an option of OpenVPN with its arguments, such as "mssfix 1300"')
    statement = Statement(line=1, name=words[0].removeprefix("--"), arguments=tuple(words[1:]))
    fate, why = verdict(statement.name)
    match fate:
        case Fate.PASSED:
            check_passed(statement)
            return statement.render()
        case Fate.OTHERWISE | Fate.REFUSED | Fate.UNKNOWN:
            raise ValueError(why.replace(_LEFT, _NO))
        case Fate.FILE | Fate.SECRET_FILE | Fate.UNDERSTOOD | Fate.SAME:
            raise ValueError(f"{_NO}it has a key of its own, or stands in a profile, or is done anyhow")
        case _:
            assert_never(fate)
