"""The lab's password check, called by OpenVPN: `openvpn_login.py USERS ATTEMPT`, exit status 0 for yes.

USERS holds "user salt sha256(salt + password)" lines, ATTEMPT the user and the password on two lines.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
from pathlib import Path


def accepts(users: str, attempt: str) -> bool:
    """Whether the two lines of `attempt` are a user of `users` and this user's password."""
    user, password = attempt.splitlines()[:2]
    for known, salt, digest in map(str.split, users.splitlines()):
        if known == user:
            return hmac.compare_digest(digest, hashlib.sha256((salt + password).encode()).hexdigest())
    return False


if __name__ == "__main__":
    sys.exit(not accepts(*(Path(argument).read_text() for argument in sys.argv[1:3])))
