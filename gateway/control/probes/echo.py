"""The few bytes of ICMP that an echo needs (RFC 792, RFC 4443): pure.

A library was tried first. icmplib hides the errno by which local trouble is told from the network's, and its receive
waits in the thread; what is left of it is what stands here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from socket import AF_INET6, AddressFamily
from typing import Final

_HEADER: Final = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence number
_REQUEST: Final = 8
_REQUEST_V6: Final = 128
REPLY: Final = 0
REPLY_V6: Final = 129


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """One echo request. `number` (32 bits) is told apart from others by its reply."""

    family: AddressFamily
    number: int
    size: int  # bytes of payload

    def packet(self) -> bytes:
        """The request, from its ICMP header on. Only for IPv4 is the checksum ours; the kernel does the other."""
        payload = self._payload()
        if self.family == AF_INET6:
            return _HEADER.pack(_REQUEST_V6, 0, 0, self.number >> 16, self.number & 0xFFFF) + payload
        identifier, sequence = self.number >> 16, self.number & 0xFFFF
        empty = _HEADER.pack(_REQUEST, 0, 0, identifier, sequence) + payload
        return _HEADER.pack(_REQUEST, 0, checksum(empty), identifier, sequence) + payload

    def is_answered_by(self, packet: bytes, *, raw: bool) -> bool:
        """Whether `packet` is the reply. A raw IPv4 socket gives the IP header too; others have own identifiers."""
        if raw and self.family != AF_INET6 and packet:
            packet = packet[(packet[0] & 0xF) * 4 :]
        if len(packet) < _HEADER.size + self.size:
            return False
        kind, _, _, identifier, sequence = _HEADER.unpack_from(packet)
        return (
            kind == (REPLY_V6 if self.family == AF_INET6 else REPLY)
            and sequence == self.number & 0xFFFF
            and (not raw or identifier == self.number >> 16)
            and packet[_HEADER.size :] == self._payload()
        )

    def _payload(self) -> bytes:
        stamp = struct.pack("!I", self.number)
        return (stamp * (self.size // len(stamp) + 1))[: self.size]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
