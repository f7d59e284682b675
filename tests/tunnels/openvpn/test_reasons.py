"""Reasons: the lines of OpenVPN 2.6 as they were seen, and what an operator is told."""

from __future__ import annotations

import pytest

from gateway.model import FailureReason, OpenVpnSpec
from gateway.tunnels.openvpn.management import Asked
from gateway.tunnels.openvpn.reasons import Diagnosis

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
        (["[UNDEF] Inactivity timeout (--ping-exit), exiting"], R.TIMED_OUT, "tls_crypt key looks the same"),
        (["SIGTERM[soft,remote-exit] received, process exiting"], R.SERVER_ENDED, "the server ended the connection"),
        (["Connection reset, restarting [0]"], R.SERVER_ENDED, "the server closed the connection"),
        (
            ["write UDPv4: Operation not permitted (fd=5,code=1)"],
            R.UNREACHABLE,
            "Operation not permitted: a firewall or a route of this machine forbids it",
        ),
        (
            ["read from TUN/TAP : File descriptor in bad state (fd=-1,code=77)"],
            R.OTHER,
            "its device has been taken away",
        ),
        (
            ["AUTH: Received control message: AUTH_FAILED,TEMP:try later"],
            R.OTHER,
            "the server cannot check accounts at present",
        ),
        (
            ["AUTH: Received control message: AUTH_FAILED,CRV1:R,E:c3RhdGU=:bXl1c2Vy:Enter PIN"],
            R.NO_COMMON_METHOD,
            "a one-time code",
        ),
        (
            ["AUTH_PENDING received, extending handshake timeout from 15s to 60s"],
            R.NO_COMMON_METHOD,
            "confirm the login by other means",
        ),
        (
            ["No reply from server to push requests in 15s", "SIGTERM[soft,no-push-reply] received, process exiting"],
            R.TIMED_OUT,
            "has not said how it goes on",
        ),
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
ANSWERED = "TLS: Initial packet from [AF_INET]1.2.3.4:1194, sid=1 2"
PROVED = "VERIFY OK: depth=0, O=lab, CN=site-a"
WITH_CERTIFICATE = OpenVpnSpec(certificate="pem")


@pytest.mark.parametrize(
    ("spec", "lines", "reason", "words"),
    [
        (WITH_CERTIFICATE, [OUTDATED, ANSWERED, PROVED, SILENT], R.CERTIFICATE_EXPIRED, "own certificate has expired"),
        (
            WITH_CERTIFICATE,
            [OUTDATED, ANSWERED, PROVED, "Connection reset, restarting [0]"],
            R.CERTIFICATE_EXPIRED,
            "own certificate has expired",
        ),
        (WITH_CERTIFICATE, [OUTDATED, SILENT], R.TIMED_OUT, "did not answer"),  # nobody is there to mind
        (WITH_CERTIFICATE, [ANSWERED, PROVED, SILENT], R.TIMED_OUT, "it may refuse this client's certificate"),
        (
            WITH_CERTIFICATE,
            [ANSWERED, PROVED, "[a] Peer Connection Initiated with [AF_INET]1.2.3.4:1194", SILENT],
            R.TIMED_OUT,
            "nothing has come",
        ),
        (PLAIN, [ANSWERED, PROVED, SILENT], R.TIMED_OUT, "nothing has come"),
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
    diagnosis.hear(NOT_SENT)
    diagnosis.connected()
    assert (diagnosis.reason, diagnosis.is_over) == (None, False)
    diagnosis.hear("SIGTERM[soft,remote-exit] received")
    assert diagnosis.reason is R.SERVER_ENDED


NOT_SENT = "write UDPv4: Network is unreachable (fd=5,code=101)"
REFUSED = "AUTH: Received control message: AUTH_FAILED"


@pytest.mark.parametrize(
    ("lines", "reason", "words"),
    [
        ([NOT_SENT], None, ""),  # it may pass
        ([NOT_SENT, SILENT], R.TIMED_OUT, "for 8 seconds, and nothing could be sent: Network is unreachable"),
        ([NOT_SENT, "VERIFY OK: depth=0, CN=a", SILENT], R.TIMED_OUT, "nothing has come from the server for 8 seconds"),
        ([REFUSED], R.SERVER_ENDED, "the server accepts the login no longer"),
        ([f"{REFUSED},SESSION: token expired"], R.SERVER_ENDED, "accepts the login no longer: token expired"),
    ],
)
def test_what_lines_mean_of_a_connection_that_is_up(lines, reason, words):
    diagnosis = Diagnosis(PLAIN)
    diagnosis.connected()
    for line in lines:
        diagnosis.hear(line)
    assert diagnosis.reason is reason
    assert diagnosis.detail.endswith(words)
    assert not diagnosis.is_over


@pytest.mark.parametrize(
    "line",
    [
        NOT_SENT,
        "read UDPv4 [ECONNREFUSED]: Connection refused (fd=5,code=111)",
        "read from TUN/TAP : File descriptor in bad state (fd=-1,code=77)",
    ],
)
def test_some_lines_say_that_it_would_go_on_in_vain(line):
    diagnosis = Diagnosis(PLAIN)
    diagnosis.hear(REFUSED)
    assert not diagnosis.is_over, "it ends by itself, and may have more to say"
    diagnosis = Diagnosis(PLAIN)
    diagnosis.hear(line)
    assert diagnosis.is_over


@pytest.mark.parametrize(
    ("question", "reason", "words"),
    [
        (Asked(what="Auth", challenge=True), R.NO_COMMON_METHOD, "a one-time code"),
        (Asked(what="Auth", challenge=False), R.CONFIGURATION, "see username and password"),
        (Asked(what="Private Key", challenge=False), R.CONFIGURATION, "the private key is encrypted"),
        (Asked(what="Token", challenge=False), R.CONFIGURATION, '"Token"'),
    ],
)
def test_questions_that_nobody_answers(question, reason, words):
    diagnosis = Diagnosis(PLAIN)
    diagnosis.unanswered(question)
    diagnosis.hear("VERIFY EKU ERROR")
    assert (diagnosis.reason, diagnosis.is_over) == (reason, True)
    assert words in diagnosis.detail


def test_time_is_over_and_what_was_said_until_then_is_the_reason():
    silent, said_something = Diagnosis(PLAIN), Diagnosis(PLAIN)
    said_something.hear("AUTH_PENDING received, extending handshake timeout from 15s to 60s")
    for each in (silent, said_something):
        each.late()
        assert each.is_over
    assert (silent.reason, silent.detail) == (R.TIMED_OUT, "not connected within 20 s")
    assert said_something.reason is R.NO_COMMON_METHOD
