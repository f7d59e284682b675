"""WireGuard's keys: 32 bytes each, base64. What is wrong with one is said without showing it."""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

PATTERN: Final = r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"
HOW: Final = "a WireGuard key: 44 characters of base64, as wg genkey and wg pubkey print it"

_SHAPE: Final = re.compile(PATTERN.strip("^$"), re.ASCII)


def is_key(text: str) -> bool:
    """Is it a key, private, public or shared?"""
    return _SHAPE.fullmatch(text) is not None


def parse_key(text: str) -> str:
    """The key. Raises ValueError, whose text holds nothing of it."""
    if not is_key(text):
        raise ValueError(f"must be {HOW}")
    return text


def public_key(private: str) -> str:
    """The public key of a private one that is one."""
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
