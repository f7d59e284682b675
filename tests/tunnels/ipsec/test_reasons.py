"""The lines are strongSwan 5.9.8's own, as it said them to servers of the lab."""

from __future__ import annotations

import pytest

from gateway.model import FailureReason
from gateway.tunnels.ipsec.reasons import explain, tells_a_failure

_HOST = "10.91.2.2:500"
_OPENED = (
    "initiating IKE_SA gateway[1] to 10.91.2.2",
    "selected proposal: IKE:AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
    "remote host is behind NAT",
    'received cert request for "O=gateway-lab, CN=ca"',
    'sending cert request for "O=gateway-lab, CN=ca"',
    "establishing CHILD_SA networks{1}",
)
_BELIEVED = (
    *_OPENED,
    'received end entity cert "O=gateway-lab, CN=site-b"',
    '  using certificate "O=gateway-lab, CN=site-b"',
    '  using trusted ca certificate "O=gateway-lab, CN=ca"',
    "  reached self-signed root ca with a path length of 0",
    "authentication of '10.91.2.2' with ECDSA_WITH_SHA256_DER successful",
)
_MSCHAPV2 = (
    *_BELIEVED,
    "server requested EAP_IDENTITY (id 0x00), sending 'gw-user'",
    "server requested EAP_MSCHAPV2 authentication (id 0x6D)",
)
_LOGGED_IN = (
    *_MSCHAPV2,
    "EAP-MS-CHAPv2 succeeded: 'Welcome2strongSwan'",
    "EAP method EAP_MSCHAPV2 succeeded, MSK established",
    "authentication of 'gw-user' (myself) with EAP",
    "authentication of '10.91.2.2' with EAP successful",
)
_TLS = (
    *_BELIEVED,
    "server requested EAP_IDENTITY (id 0x00), sending 'O=gateway-lab, CN=gw-client'",
    "server requested EAP_TLS authentication (id 0xEF)",
    "negotiated TLS 1.2 using suite TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "received TLS server certificate 'O=gateway-lab, CN=site-b'",
    "sending TLS client certificate 'O=gateway-lab, CN=gw-client'",
)
_PUBKEY = (
    *_OPENED[:-1],
    "authentication of 'O=gateway-lab, CN=gw-client' (myself) with ECDSA_WITH_SHA256_DER successful",
    'sending end entity cert "O=gateway-lab, CN=gw-client"',
    _OPENED[-1],
)
_KEEPING = "failed to establish CHILD_SA, keeping IKE_SA"
_GIVING_UP = (
    "retransmit 1 of request with message ID 0",
    "retransmit 2 of request with message ID 0",
    "retransmit 3 of request with message ID 0",
    "giving up after 3 retransmits",
)


@pytest.mark.parametrize(
    ("lines", "reason", "words"),
    [
        # ---- the account
        (
            (
                *_MSCHAPV2,
                "retransmit 1 of request with message ID 3",
                "EAP-MS-CHAPv2 failed with error ERROR_AUTHENTICATION_FAILURE: '(null)'",
                "EAP_MSCHAPV2 method failed",
            ),
            FailureReason.WRONG_PASSWORD,
            "refuses user name or password of gw-user",
        ),
        (
            (*_MSCHAPV2, "EAP-MS-CHAPv2 failed with error ERROR_ACCT_DISABLED: '(null)'"),
            FailureReason.WRONG_PASSWORD,
            "refuses the account gw-user: ERROR_ACCT_DISABLED",
        ),
        (
            (*_MSCHAPV2, "received EAP_FAILURE, EAP authentication failed"),
            FailureReason.WRONG_PASSWORD,
            "user name or password of gw-user",
        ),
        (
            (*_MSCHAPV2, "received AUTHENTICATION_FAILED notify error"),
            FailureReason.WRONG_PASSWORD,
            "user name or password of gw-user",
        ),
        (
            (*_MSCHAPV2, "EAP-MS-CHAPv2 verification failed"),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "impostor",
        ),
        # ---- the method
        (
            (
                *_BELIEVED,
                "server requested EAP_IDENTITY (id 0x00), sending 'gw-user'",
                "server requested EAP_TLS authentication (id 0x33)",
                "requesting EAP_MSCHAPV2 authentication, sending EAP_NAK",
                "received EAP_FAILURE, EAP authentication failed",
            ),
            FailureReason.NO_COMMON_METHOD,
            "asks for EAP_TLS",
        ),
        (
            (
                *_BELIEVED,
                "server requested EAP_TLS authentication (id 0x33)",
                "requesting EAP_MSCHAPV2 authentication, sending EAP_NAK",
                "server requested EAP_MSCHAPV2 authentication (id 0x34)",
                "received EAP_FAILURE, EAP authentication failed",
            ),
            FailureReason.WRONG_PASSWORD,
            "user name or password",
        ),
        ((*_OPENED, "received AUTHENTICATION_FAILED notify error"), FailureReason.NO_COMMON_METHOD, "remote_id"),
        # ---- the server's certificate
        (
            (
                *_OPENED,
                'received end entity cert "O=gateway-lab, CN=site-b"',
                '  using certificate "O=gateway-lab, CN=site-b"',
                '  using trusted ca certificate "O=gateway-lab, CN=ca"',
                "subject certificate invalid (valid from Nov 22 18:01:49 2026 to Nov 26 18:01:49 2026)",
                "no trusted ECDSA public key found for '10.91.2.2'",
            ),
            FailureReason.CERTIFICATE_EXPIRED,
            "O=gateway-lab, CN=site-b is valid from Nov 22 18:01:49 2026 to Nov 26 18:01:49 2026",
        ),
        (
            (
                *_OPENED,
                'received end entity cert "O=gateway-lab, CN=site-b"',
                '  using certificate "O=gateway-lab, CN=site-b"',
                '  using trusted ca certificate "O=gateway-lab, CN=ca"',
                "issuer certificate invalid (valid from Nov 22 18:01:49 2026 to Nov 26 18:01:49 2026)",
                "no trusted ECDSA public key found for '10.91.2.2'",
            ),
            FailureReason.CERTIFICATE_EXPIRED,
            "authority O=gateway-lab, CN=ca is valid from",
        ),
        (
            (
                *_OPENED,
                'received end entity cert "O=gateway-lab, CN=elsewhere.example.com"',
                "no trusted ECDSA public key found for '10.91.2.2'",
            ),
            FailureReason.NAME_MISMATCH,
            "O=gateway-lab, CN=elsewhere.example.com is not one of 10.91.2.2",
        ),
        (
            (
                *_OPENED,
                'received end entity cert "O=stranger, CN=site-b"',
                '  using certificate "O=stranger, CN=site-b"',
                'no issuer certificate found for "O=stranger, CN=site-b"',
                '  issuer is "O=stranger, CN=stranger"',
                "no trusted ECDSA public key found for '10.91.2.2'",
            ),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "O=stranger, CN=site-b is issued by O=stranger, CN=stranger",
        ),
        (
            (*_BELIEVED, "constraint check failed: identity 'vpn.example.com' required "),
            FailureReason.NAME_MISMATCH,
            "is not one of vpn.example.com",
        ),
        # ---- the client's certificate
        (
            (*_TLS, "received fatal TLS alert 'certificate unknown'", "EAP_TLS method failed"),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "O=gateway-lab, CN=gw-client: certificate unknown",
        ),
        (
            (*_TLS, "received fatal TLS alert 'unknown ca'", "EAP_TLS method failed"),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "O=gateway-lab, CN=gw-client: unknown ca",
        ),
        (
            (*_TLS, "received fatal TLS alert 'certificate expired'", "EAP_TLS method failed"),
            FailureReason.CERTIFICATE_EXPIRED,
            "O=gateway-lab, CN=gw-client has expired",
        ),
        (
            (*_TLS, "received fatal TLS alert 'handshake failure'", "EAP_TLS method failed"),
            FailureReason.OTHER,
            "handshake failure",
        ),
        (
            (*_PUBKEY, "received AUTHENTICATION_FAILED notify error"),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "O=gateway-lab, CN=gw-client",
        ),
        # ---- what is agreed on
        ((_OPENED[0], "received NO_PROPOSAL_CHOSEN notify error"), FailureReason.NO_PROPOSAL, "IKE proposals"),
        (
            (*_LOGGED_IN, "received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built", _KEEPING),
            FailureReason.NO_PROPOSAL,
            "ESP proposals",
        ),
        (
            (*_LOGGED_IN, "received TS_UNACCEPTABLE notify, no CHILD_SA built", _KEEPING),
            FailureReason.CONFIGURATION,
            "remote_networks",
        ),
        (
            (*_LOGGED_IN, "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built", _KEEPING),
            FailureReason.OTHER,
            "no address to give",
        ),
        ((*_OPENED, "received INVALID_SYNTAX notify error"), FailureReason.OTHER, "INVALID_SYNTAX"),
        # ---- the way there
        (
            ("unable to resolve nowhere.invalid, initiate aborted",),
            FailureReason.UNREACHABLE,
            "nowhere.invalid cannot be resolved",
        ),
        (
            (_OPENED[0], "error writing to socket: No route to host", *_GIVING_UP),
            FailureReason.UNREACHABLE,
            "nothing can be sent to 10.91.2.2:500: No route to host",
        ),
        (
            (_OPENED[0], *_GIVING_UP, "establishing IKE_SA failed, peer not responding"),
            FailureReason.TIMED_OUT,
            "10.91.2.2:500 does not answer: nobody there",
        ),
        (_GIVING_UP, FailureReason.TIMED_OUT, "10.91.2.2:500 does not answer any more"),
        (
            ("received DELETE for IKE_SA gateway[1]", "IKE_SA deleted"),
            FailureReason.SERVER_ENDED,
            "the server has ended the connection",
        ),
        # ---- charon does not start
        (
            (
                "kernel-libipsec plugin requires CAP_NET_ADMIN capability",
                "plugin 'kernel-libipsec': failed to load - kernel_libipsec_plugin_create returned NULL",
                "loading critical plugin 'kernel-libipsec' failed",
            ),
            FailureReason.NOT_PERMITTED,
            "CAP_NET_ADMIN is missing",
        ),
        (
            (
                "failed to open /dev/net/tun: No such file or directory",
                "failed to create TUN device",
                "loading critical plugin 'kernel-libipsec' failed",
            ),
            FailureReason.NOT_PERMITTED,
            "/dev/net/tun cannot be opened (No such file or directory)",
        ),
        (
            ("loading critical plugin 'eap-mschapv2' failed", "initialization failed - aborting charon"),
            FailureReason.PROGRAM_MISSING,
            "plugin eap-mschapv2",
        ),
        (
            (
                "feature CUSTOM:kernel-ipsec in critical plugin 'kernel-netlink' failed to load",
                "failed to load 1 critical plugin feature",
            ),
            FailureReason.NOT_PERMITTED,
            "this kernel does no ESP",
        ),
        (
            ("unable to create pidfile '/var/run/charon.pid'",),
            FailureReason.NOT_PERMITTED,
            "cannot write /var/run/charon.pid",
        ),
    ],
)
def test_the_reason_is_the_true_one(lines, reason, words):
    explanation = explain(lines, host=_HOST)
    assert explanation is not None
    assert explanation[0] is reason
    assert words in explanation[1]
    assert any(tells_a_failure(line) for line in lines) is (reason is not FailureReason.SERVER_ENDED)


@pytest.mark.parametrize("lines", [(), _LOGGED_IN, _TLS, _PUBKEY])
def test_what_goes_well_is_no_failure(lines):
    assert explain(lines, host=_HOST) is None
    assert not any(tells_a_failure(line) for line in lines)


@pytest.mark.parametrize(
    ("lines", "reason", "words"),
    [
        (
            (*_PUBKEY, "received AUTHENTICATION_FAILED notify error"),
            FailureReason.CERTIFICATE_EXPIRED,
            "the client's certificate CN=gw-client expired on 2026-11-26",
        ),
        (
            (*_TLS, "received fatal TLS alert 'certificate unknown'"),
            FailureReason.CERTIFICATE_EXPIRED,
            "the client's certificate CN=gw-client expired on 2026-11-26",
        ),
        (
            (*_PUBKEY, 'no issuer certificate found for "CN=site-b"', '  issuer is "CN=stranger"'),
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "the server's certificate CN=site-b is issued by CN=stranger, which is not in ca",
        ),
    ],
)
def test_a_refused_certificate_that_has_expired_is_refused_for_that(lines, reason, words):
    assert explain(lines, host=_HOST, own_expiry="CN=gw-client expired on 2026-11-26") == (reason, words)
