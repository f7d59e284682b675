"""IKE proposals: what strongSwan would drop without a word is said."""

import pytest

from gateway.config.proposals import fault


@pytest.mark.parametrize(
    "proposal",
    [
        "default",
        "aes256-sha256-modp2048",
        "aes128-sha1-modp1024",
        "3des-md5-modp1024",
        "aes256gcm16-prfsha384-ecp384",
        "aes256gcm16-sha384-ecp384",
        "chacha20poly1305-prfsha256-curve25519",
        "aes256-aesxcbc-prfsha256-x25519",
        "aes256-aes128-sha256-sha1-modp2048-modp1024",
        "aes256-sha256-modp2048-ke1_mlkem768",
    ],
)
def test_whole_ones(proposal):
    assert fault(proposal) is None


@pytest.mark.parametrize(
    ("proposal", "says"),
    [
        ("AES256-SHA256-MODP2048", 'is written in lower case: "aes256-sha256-modp2048"'),
        ("sha256-modp2048", "names no cipher"),
        ("aes256", "names no hash"),
        ("aes256-modp2048", "names no hash"),
        ("aes256-sah256-modp2048", "names no hash"),
        ("aes256-sha256", "names no key exchange"),
        ("aes256gcm16-ecp256", "names no pseudo-random function"),
        ("aes256gcm16-prfsha256", "names no key exchange"),
        ("-", "names no cipher"),
    ],
)
def test_ones_that_lack_something(proposal, says):
    assert (fault(proposal) or "").startswith(says)
