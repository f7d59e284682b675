from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import wireguard_keys

# A pair as wg genkey and wg pubkey printed it.
PRIVATE = "GJw/Ou0Yxn53xHwG6VIaE0q3y4DnM5KhXBj3g9pRDV4="
PUBLIC = "HO/c3LvexLA4fGXETfvc/4q38MHUgdCsG9Bwa/5Pj3g="


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_thirty_two_bytes(content):
    assert wireguard_keys.is_key(base64.b64encode(content).decode())


@pytest.mark.parametrize("text", ["", "hunter2", "A" * 44, "A" * 43, "A" * 42 + "B=", "A" * 43 + "=\n", "é" * 43 + "="])
def test_no_key_and_no_word_of_it(text):
    assert not wireguard_keys.is_key(text)
    with pytest.raises(ValueError, match="must be a WireGuard key") as caught:
        wireguard_keys.parse_key(text)
    assert "hunter" not in str(caught.value)


def test_the_public_key_of_a_private_one():
    assert wireguard_keys.public_key(PRIVATE) == PUBLIC
