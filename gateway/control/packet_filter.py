"""A classic BPF program (bpf(4), socket(7)) that lets through answers to one tunnel's dials and nothing else.

The kernel runs it on every packet of a device, so it decides in a few instructions: TCP, SYN and ACK both set, for one
of these addresses. Offsets are from the network header on, as a packet socket of SOCK_DGRAM has them.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

_SO_ATTACH_FILTER: Final = 26  # include/uapi/asm-generic/socket.h
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM: Final = struct.Struct("@HP")  # struct sock_fprog: how many, and where

# linux/bpf_common.h: load a word, half or byte at an offset, at X + an offset; X = the length of an IPv4 header; …
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE, _LOAD_BYTE_AT_X, _X_IS_HEADER = 0x20, 0x28, 0x30, 0x50, 0xB1
_AND, _SHIFT_RIGHT, _IF_EQUAL, _IF_ANY_BIT, _RETURN = 0x54, 0x74, 0x15, 0x45, 0x06
_PACKET_TYPE: Final = 0xFFFFF004  # linux/filter.h: SKF_AD_OFF + SKF_AD_PKTTYPE
_OUTGOING: Final = 4  # packet(7)
_FRAGMENT: Final = 0x1FFF  # bits of the fragment's offset: zero in the first one, which has the TCP header
_SYN_ACK: Final = 0x12
_TCP: Final = 6
_FLAGS_AT: Final = 13  # in the TCP header
_HEADER_V6: Final = 40
_ENOUGH: Final = 64  # bytes of an accepted packet: both its addresses
_MOST: Final = 16  # addresses of each family; jumps reach 255 instructions


class Instruction(NamedTuple):
    """One instruction: go on after `if_true` or `if_false` more."""

    code: int
    operand: int
    if_true: int = 0
    if_false: int = 0


_REFUSE: Final = Instruction(_RETURN, 0)
_ACCEPT: Final = Instruction(_RETURN, _ENOUGH)


def answers_to(addresses: Iterable[str]) -> tuple[Instruction, ...]:
    """The program for answers that come in to one of `addresses` (the first 16 of each family count)."""
    parsed = [ip_address(address) for address in addresses]
    v4 = _v4([address for address in parsed if isinstance(address, IPv4Address)][:_MOST])
    v6 = _v6([address for address in parsed if isinstance(address, IPv6Address)][:_MOST])
    return (
        Instruction(_LOAD_BYTE, _PACKET_TYPE),
        Instruction(_IF_EQUAL, _OUTGOING, if_false=1),
        _REFUSE,
        Instruction(_LOAD_BYTE, 0),
        Instruction(_SHIFT_RIGHT, 4),
        Instruction(_IF_EQUAL, 4, if_false=len(v4)),
        *v4,
        *_require(6),
        *v6,
    )


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Have `sock` receive only what `program` accepts, from now on. Raises OSError."""
    code = b"".join(_INSTRUCTION.pack(it.code, it.if_true, it.if_false, it.operand) for it in program)
    room = ctypes.create_string_buffer(code)  # the kernel copies it
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM.pack(len(program), ctypes.addressof(room)))


def _require(value: int) -> tuple[Instruction, ...]:
    """Go on only if what was loaded is `value`."""
    return Instruction(_IF_EQUAL, value, if_true=1), _REFUSE


def _v4(addresses: Iterable[IPv4Address]) -> tuple[Instruction, ...]:
    tests = ((Instruction(_IF_EQUAL, int(address), if_false=1), _ACCEPT) for address in addresses)
    return (
        Instruction(_LOAD_BYTE, 9),
        *_require(_TCP),
        Instruction(_LOAD_HALF, 6),
        Instruction(_IF_ANY_BIT, _FRAGMENT, if_false=1),
        _REFUSE,
        Instruction(_X_IS_HEADER, 0),
        Instruction(_LOAD_BYTE_AT_X, _FLAGS_AT),
        Instruction(_AND, _SYN_ACK),
        *_require(_SYN_ACK),
        Instruction(_LOAD_WORD, 16),
        *(instruction for test in tests for instruction in test),
        _REFUSE,
    )


def _v6(addresses: Iterable[IPv6Address]) -> tuple[Instruction, ...]:
    """Extension headers are not looked behind: answers to dials have none."""
    return (
        Instruction(_LOAD_BYTE, 6),
        *_require(_TCP),
        Instruction(_LOAD_BYTE, _HEADER_V6 + _FLAGS_AT),
        Instruction(_AND, _SYN_ACK),
        *_require(_SYN_ACK),
        *(instruction for address in addresses for instruction in _is_v6(address)),
        _REFUSE,
    )


def _is_v6(address: IPv6Address) -> list[Instruction]:
    """Accept if all four words of the destination are those of `address`."""
    made: list[Instruction] = []
    for position, word in enumerate(struct.unpack("!4I", address.packed)):
        rest = 2 * (3 - position) + 1  # to the first instruction after _ACCEPT
        made += [Instruction(_LOAD_WORD, 24 + 4 * position), Instruction(_IF_EQUAL, word, if_false=rest)]
    return [*made, _ACCEPT]
