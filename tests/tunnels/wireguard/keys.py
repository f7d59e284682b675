"""Keys that tests can tell apart at sight, base64 and hexadecimal."""

from __future__ import annotations

import base64

from gateway.config.wireguard_keys import public_key


def key(byte: int) -> str:
    """A key of 32 equal bytes."""
    return base64.b64encode(bytes([byte]) * 32).decode()


PRIVATE = key(0x48)
PUBLIC = public_key(PRIVATE)
PEER = key(0x20)
SHARED = key(0x30)
