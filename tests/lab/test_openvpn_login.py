from __future__ import annotations

import hashlib

import pytest

from tests.lab.openvpn_login import accepts

_USERS = f"other x y\nuser salt {hashlib.sha256(b'saltsecret').hexdigest()}\n"


@pytest.mark.parametrize(
    ("attempt", "verdict"),
    [("user\nsecret\n", True), ("user\nSecret\n", False), ("other\nsecret\n", False), ("nobody\nsecret\n", False)],
)
def test_only_the_right_password_of_a_known_user_is_accepted(attempt, verdict):
    assert accepts(_USERS, attempt) is verdict
