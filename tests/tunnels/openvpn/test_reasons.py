"""Reasons: the lines of OpenVPN 2.6 as they were seen, and what an operator is told."""

from __future__ import annotations

import pytest

from gateway.model import FailureReason, LineLevel, OpenVpnSpec
from gateway.tunnels.openvpn.reasons import Diagnosis
from gateway.tunnels.openvpn.speech import Said, said

R = FailureReason
PLAIN = OpenVpnSpec(username="myuser")


@pytest.mark.parametrize(
    ("lines", "reason", "words"),
    [
        (
            [
                "VERIFY ERROR: depth=0, error=certificate has expired: O=lab, CN=site-a, serial=17",
                "TLS handshake failed",
            ],
            R.CERTIFICATE_EXPIRED,
            "the server's certificate (O=lab, CN=site-a) has expired",
        ),
        (
            ["VERIFY ERROR: depth=1, error=certificate is not yet valid: CN=ca, serial=1"],
            R.CERTIFICATE_EXPIRED,
            "the certificate of an authority of the server (CN=ca) is not yet valid",
        ),
        (
            ["VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=site-a, serial=3"],
            R.CERTIFICATE_NOT_TRUSTED,
            "(CN=site-a) is not signed by an authority that is trusted",
        ),
        (
            ["VERIFY X509NAME ERROR: CN=other, must be server"],
            R.NAME_MISMATCH,
            'the server\'s certificate is for "CN=other", and verify_name wants "server"',
        ),
        (["VERIFY EKU ERROR"], R.CERTIFICATE_NOT_TRUSTED, "none for servers"),
        (
            ["AUTH: Received control message: AUTH_FAILED", "SIGTERM[soft,auth-failure] received, process exiting"],
            R.WRONG_PASSWORD,
            'the server refused the account "myuser" or its password',
        ),
        (
            ["AUTH: Received control message: AUTH_FAILED,account locked"],
            R.WRONG_PASSWORD,
            'the server refused the account "myuser" or its password: account locked',
        ),
        (
            [
                "AUTH: Received control message: AUTH_FAILED,Data channel cipher negotiation failed (no shared cipher)",
            ],
            R.NO_PROPOSAL,
            "no cipher in common",
        ),
        (
            ["OpenSSL: error:0A000416:SSL routines::ssl/tls alert certificate unknown"],
            R.CERTIFICATE_NOT_TRUSTED,
            "the server refused this client's certificate: certificate unknown",
        ),
        (
            ["OpenSSL: error:0A000415:SSL routines::sslv3 alert certificate expired"],
            R.CERTIFICATE_EXPIRED,
            "this client's",
        ),
        (
            ["Compression is not allowed since allow-compression is set to 'stub-only'"],
            R.CONFIGURATION,
            "allow_compression",
        ),
        (
            ["Options error: unknown tls-version-min parameter: 9.9", "Use --help for more information."],
            R.CONFIGURATION,
            "OpenVPN: unknown tls-version-min parameter: 9.9",
        ),
        (["Cannot load inline certificate file"], R.CONFIGURATION, "Cannot load inline certificate"),
        (
            ["ERROR: Cannot ioctl TUNSETIFF zone-c: Operation not permitted (errno=1)"],
            R.NOT_PERMITTED,
            "CAP_NET_ADMIN is missing",
        ),
        (
            ["ERROR: Cannot open TUN/TAP dev /dev/net/tun: No such file or directory (errno=2)"],
            R.NOT_PERMITTED,
            "/dev/net/tun: No such file or directory",
        ),
        (
            ["ERROR: Cannot ioctl TUNSETIFF zone-c: Device or resource busy (errno=16)"],
            R.OTHER,
            "Device or resource busy",
        ),
        (
            ["RESOLVE: Cannot resolve host address: vpn.invalid:1194 (Name or service not known)"],
            R.UNREACHABLE,
            "the name vpn.invalid cannot be resolved",
        ),
        (["TCP: connect to [AF_INET]10.91.1.2:1194 failed: Connection refused"], R.UNREACHABLE, "Connection refused"),
        (["TCP: connect to [AF_INET]10.91.1.2:1194 failed: Connection timed out"], R.TIMED_OUT, "did not answer"),
        (
            ["read UDPv4 [ECONNREFUSED]: Connection refused (fd=5,code=111)", "[soft,server_poll]"],
            R.UNREACHABLE,
            "Connection refused",
        ),
        (["write UDPv4: Network is unreachable (fd=5,code=101)"], R.UNREACHABLE, "Network is unreachable"),
        (["SIGTERM[soft,server_poll] received, process exiting"], R.TIMED_OUT, "tls_crypt key looks the same"),
        (["TLS Error: TLS key negotiation failed to occur within 15 seconds"], R.TIMED_OUT, "TLS handshake"),
        (["[site-a] Inactivity timeout (--ping-exit), exiting"], R.TIMED_OUT, "nothing has come"),
        (["SIGTERM[soft,remote-exit] received, process exiting"], R.SERVER_ENDED, "the server ended the connection"),
        (["Connection reset, restarting [0]"], R.SERVER_ENDED, "the server closed the connection"),
        (["Initialization Sequence Completed"], None, ""),
    ],
)
def test_the_most_telling_line_gives_the_reason(lines, reason, words):
    for order in (lines, lines[::-1]):
        diagnosis = Diagnosis(PLAIN)
        for line in order:
            diagnosis.hear(line)
        assert diagnosis.reason is reason
        assert words in diagnosis.detail


def test_without_an_account_it_was_the_certificate_that_was_refused():
    diagnosis = Diagnosis(OpenVpnSpec())
    diagnosis.refused("")
    assert diagnosis.reason is R.CERTIFICATE_NOT_TRUSTED
    assert diagnosis.detail == "the server refused this client's certificate"


SILENT = "[UNDEF] Inactivity timeout (--ping-exit), exiting"
OUTDATED = "WARNING: Your certificate has expired!"
PROVED = "VERIFY OK: depth=0, O=lab, CN=site-a"
WITH_CERTIFICATE = OpenVpnSpec(certificate="pem")


@pytest.mark.parametrize(
    ("spec", "lines", "reason", "words"),
    [
        (WITH_CERTIFICATE, [OUTDATED, PROVED, SILENT], R.CERTIFICATE_EXPIRED, "own certificate has expired"),
        (
            WITH_CERTIFICATE,
            [OUTDATED, PROVED, "Connection reset, restarting [0]"],
            R.CERTIFICATE_EXPIRED,
            "own certificate has expired",
        ),
        (WITH_CERTIFICATE, [OUTDATED, SILENT], R.TIMED_OUT, "nothing has come"),  # nobody is there to mind
        (WITH_CERTIFICATE, [PROVED, SILENT], R.TIMED_OUT, "it may refuse this client's certificate"),
        (
            WITH_CERTIFICATE,
            [PROVED, "[a] Peer Connection Initiated with [AF_INET]1.2.3.4:1194", SILENT],
            R.TIMED_OUT,
            "nothing has come",
        ),
        (PLAIN, [PROVED, SILENT], R.TIMED_OUT, "nothing has come"),
    ],
)
def test_what_silence_means_depends_on_what_came_before(spec, lines, reason, words):
    diagnosis = Diagnosis(spec)
    for line in lines:
        diagnosis.hear(line)
    assert diagnosis.reason is reason
    assert words in diagnosis.detail


def test_what_was_said_before_it_was_up_is_no_reason_for_its_end():
    diagnosis = Diagnosis(PLAIN)
    diagnosis.hear("write UDPv4: Network is unreachable (fd=5,code=101)")
    diagnosis.forget()
    assert diagnosis.reason is None
    diagnosis.hear("SIGTERM[soft,remote-exit] received")
    assert diagnosis.reason is R.SERVER_ENDED


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("1700000000.123456 1 VERIFY OK: depth=0, CN=a", Said(level=LineLevel.INFO, text="VERIFY OK: depth=0, CN=a")),
        ("1700000000.123456 41 something", Said(level=LineLevel.WARNING, text="something")),
        ("1700000000.123456 21 TLS Error: x", Said(level=LineLevel.ERROR, text="TLS Error: x")),
        ("1700000000.123456 1 WARNING: x", Said(level=LineLevel.WARNING, text="WARNING: x")),
        ("1700000000.123456 80 detail", Said(level=LineLevel.DEBUG, text="detail")),
        ("1700000000.123456 1 VERIFY ERROR: x", Said(level=LineLevel.ERROR, text="VERIFY ERROR: x")),
        ("2026-11-27 18:00:00 Note: x", Said(level=LineLevel.INFO, text="Note: x")),
        ("Options error: x", Said(level=LineLevel.ERROR, text="Options error: x")),
    ],
)
def test_a_line_is_taken_apart(line, found):
    assert said(line) == found
