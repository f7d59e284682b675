from __future__ import annotations

import struct
from dataclasses import replace
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.probes.echo import REPLY, REPLY_V6, Echo, checksum

NUMBERS = st.integers(0, 2**32 - 1)
SIZES = st.integers(0, 1472)
IP_HEADER = bytes([0x46]) + bytes(23)  # with four bytes of options


def reply_to(echo: Echo) -> bytes:
    kind = REPLY_V6 if echo.family == AF_INET6 else REPLY
    return bytes([kind]) + echo.packet()[1:]


@given(data=st.binary(max_size=200))
def test_data_with_its_checksum_sums_up_to_nothing(data: bytes):
    even = data + bytes(len(data) % 2)
    assert checksum(even + struct.pack("!H", checksum(data))) == 0


def test_the_example_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


@given(number=NUMBERS, size=SIZES)
def test_an_echo_is_answered_by_its_reply_and_not_by_anothers(number: int, size: int):
    for family, before in ((AF_INET, IP_HEADER), (AF_INET6, b"")):
        echo = Echo(family=family, number=number, size=size)
        assert len(echo.packet()) == 8 + size
        assert echo.is_answered_by(before + reply_to(echo), raw=True)
        assert not echo.is_answered_by(before + echo.packet(), raw=True), "that is the request"
        other = replace(echo, number=number ^ 1)
        assert not echo.is_answered_by(before + reply_to(other), raw=True)
        assert not echo.is_answered_by(before + reply_to(echo)[:-1], raw=True)


def test_a_ping_socket_has_its_own_identifier_and_no_ip_header():
    echo = Echo(family=AF_INET, number=0x0001_0002, size=56)
    answered = bytearray(reply_to(echo))
    answered[4:6] = b"\xbe\xef"
    assert echo.is_answered_by(bytes(answered), raw=False)
    assert not echo.is_answered_by(IP_HEADER + bytes(answered), raw=True)


@pytest.mark.parametrize("packet", [b"", b"\x45", bytes(27)])
def test_a_stump_is_no_answer(packet: bytes):
    assert not Echo(family=AF_INET, number=0, size=0).is_answered_by(packet, raw=True)
