"""Netlink's attributes taken apart by hand, as the kernel does: it looks at the bytes that pyroute2 has packed."""

from __future__ import annotations

import struct

NESTED = 0x8000
HEADER = struct.Struct("=BBH")  # genlmsghdr: command, version, reserved


def attributes(data: bytes) -> list[tuple[int, bytes]]:
    """Type, with its flags, and value of each."""
    found = []
    offset = 0
    while offset < len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        assert length >= 4
        found.append((kind, data[offset + 4 : offset + length]))
        offset += (length + 3) & ~3
    assert offset == len(data)
    return found


def attribute(kind: int, value: bytes) -> bytes:
    """One, as the kernel packs it: in an answer it marks no attribute as nested."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def whole(command: int, content: bytes) -> bytes:
    """A message of the kernel's, with the number that the family might have: 30."""
    return struct.pack("=IHHII", 20 + len(content), 30, 2, 1, 1) + HEADER.pack(command, 1, 0) + content
