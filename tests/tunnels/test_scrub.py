"""No secret gets through, in whatever form; and what is no secret does."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import IpsecSpec, OpenVpnSpec, Secret, WireguardSpec
from gateway.tunnels.scrub import Scrubber

MASK = "******"
PASSWORD = 'pa"ss\\wörd-4711'
_LINES = ("MIIEvQIBADANBgkqhkiG9w0BAQEF", "AASCBKcwggSjAgEAAoIBAQC7", "abc=")
KEY = "\n".join(["-----BEGIN PRIVATE KEY-----", *_LINES, "-----END PRIVATE KEY-----", ""])
WIREGUARD = base64.b64encode(bytes(range(32))).decode()


def scrubbed(text: str) -> str:
    spec = OpenVpnSpec(username="myuser", password=Secret(PASSWORD), key=Secret(KEY))
    return Scrubber(spec)(text)


@pytest.mark.parametrize(
    "shown",
    [
        PASSWORD,
        PASSWORD.replace("\\", "\\\\").replace('"', '\\"'),
        base64.b64encode(PASSWORD.encode()).decode(),
        PASSWORD.encode().hex(),
        "MIIEvQIBADANBgkqhkiG9w0BAQEF",
        KEY,
        KEY.strip(),
    ],
)
def test_a_secret_is_masked_in_every_form(shown):
    assert scrubbed(f"before {shown} after").startswith(f"before {MASK}")
    assert shown.strip("=") not in scrubbed(f"before {shown} after")


def test_a_key_of_wireguard_is_masked_as_the_process_shows_it():
    scrub = Scrubber(WireguardSpec(private_key=Secret(WIREGUARD)))
    assert scrub(f"private_key={bytes(range(32)).hex()}") == f"private_key={MASK}"
    assert scrub(f"key {WIREGUARD}") == f"key {MASK}"


PROFILE = f"""\
cipher AES-256-CBC
remote-cert-tls server
<ca>
-----BEGIN CERTIFICATE-----
MIIDcertificate
-----END CERTIFICATE-----
</ca>
<key>
{KEY}</key>
<tls-auth>
# 2048 bit OpenVPN static key
-----BEGIN OpenVPN Static key V1-----
6acef03f62675b4b1bbd03e53b187727
-----END OpenVPN Static key V1-----
</tls-auth>
"""


@pytest.mark.parametrize("line", ["6acef03f62675b4b1bbd03e53b187727", *_LINES[:2]])
def test_secret_files_of_a_profile_are_masked(line):
    assert Scrubber(OpenVpnSpec(profile=Secret(PROFILE)))(f"read: {line}") == f"read: {MASK}"


@pytest.mark.parametrize(
    "line",
    [
        "Options error: cipher AES-256-CBC",
        "remote-cert-tls server",
        "MIIDcertificate",
        "# 2048 bit OpenVPN static key",
        "-----BEGIN OpenVPN Static key V1-----",
    ],
)
def test_the_rest_of_a_profile_stays(line):
    assert Scrubber(OpenVpnSpec(profile=Secret(PROFILE)))(line) == line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('username "Auth" "myuser"', f'username "Auth" {MASK}'),
        ('password "Auth" "x y"', f'password "Auth" {MASK}'),
        ("PrivateKey = abcd", f"PrivateKey = {MASK}"),
        ("'PUSH_REPLY,auth-token SESS_ID_AT_x,ping 2'", f"'PUSH_REPLY,auth-token {MASK},ping 2'"),
        ("password=abc rest", f"password={MASK} rest"),
        ('passphrase = "a b" rest', f"passphrase = {MASK} rest"),
    ],
)
def test_what_announces_a_secret_takes_it_along(line, found):
    assert Scrubber(None)(line) == found


@pytest.mark.parametrize(
    "line",
    [
        "Initialization Sequence Completed",
        "AUTH: Received control message: AUTH_FAILED",
        ">PASSWORD:Verification Failed: 'Auth'",
        "EAP method EAP_MSCHAPV2 failed for peer myuser",
        "-----BEGIN PRIVATE KEY-----",
        "wrong password for the account",
    ],
)
def test_what_is_no_secret_stays(line):
    assert scrubbed(line) == line


def test_a_short_secret_is_taken_only_where_it_stands_alone():
    scrub = Scrubber(IpsecSpec(password=Secret("an")))
    assert scrub("an answer can be an annoyance") == f"{MASK} answer can be {MASK} annoyance"


def test_without_secrets_nothing_happens():
    assert Scrubber(OpenVpnSpec(password=Secret("  ")))("a  b") == "a  b"


@given(st.text(min_size=1, max_size=40), st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_secret_it_does_not_get_through(secret, before, after):
    word = secret.strip()
    if len(word) < 4 or "\n" in word or word in MASK or word in before + MASK + after:
        return
    assert word not in Scrubber(OpenVpnSpec(password=Secret(secret)))(f"{before} {secret} {after}").replace(MASK, "")
