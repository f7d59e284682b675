"""Which keys name secrets, and how deep the mask reaches."""

import pytest

from gateway.observe.masking import MASK, mask_secrets, names_a_secret


@pytest.mark.parametrize(
    "key",
    [
        "password", "Password", "pkcs12_password", "passphrase", "db_passwd", "secret", "client-secret", "token",
        "api_token", "private_key", "preshared_key", "key", "key_material", "tls_auth", "tls_crypt", "authorization",
        "credentials", "psk", "set-cookie",
    ],
)  # fmt: skip
def test_names_a_secret(key):
    assert names_a_secret(key)


@pytest.mark.parametrize(
    "key",
    ["keepalive", "peer_public_key", "public-key", "tunnel", "tokens_left", "monkey", "secretary", "passed", "event"],
)
def test_names_no_secret(key):
    assert not names_a_secret(key)


def test_masks_however_deep():
    event = {"event": "a.b", "user": "me", "password": "p", "options": [{"tls_auth": b"k"}, ("x", {"token": "t"})]}
    assert mask_secrets(None, "info", event) == {
        "event": "a.b",
        "user": "me",
        "password": MASK,
        "options": [{"tls_auth": MASK}, ("x", {"token": MASK})],
    }


def test_no_secret_at_all_is_shown_as_none():
    assert mask_secrets(None, "info", {"password": None}) == {"password": None}
