from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from gateway.model import Secret
from gateway.tunnels.wireguard import uapi
from gateway.tunnels.wireguard.device import Address, Peering, Reading
from tests.tunnels.wireguard.keys import PEER, PRIVATE, SHARED

ADDRESS = Address(ip_address("10.91.1.2"), 51820)


def test_a_new_peer_in_the_words_of_the_protocol():
    peering = Peering(
        private_key=Secret(PRIVATE),
        public_key=PEER,
        address=ADDRESS,
        preshared_key=Secret(SHARED),
        allowed_ips=(ip_network("192.168.100.0/24"), ip_network("fd00::/64")),
        keepalive=25,
    )
    assert uapi.begin(peering).split("\n") == [
        "set=1",
        f"private_key={'48' * 32}",
        "replace_peers=true",
        f"public_key={'20' * 32}",
        f"preshared_key={'30' * 32}",
        "endpoint=10.91.1.2:51820",
        "replace_allowed_ips=true",
        "allowed_ip=192.168.100.0/24",
        "allowed_ip=fd00::/64",
        "persistent_keepalive_interval=25",
        "",
        "",
    ]


def test_without_a_shared_key_none_is_said():
    peering = Peering(private_key=Secret(PRIVATE), public_key=PEER, address=ADDRESS)
    assert "preshared_key" not in uapi.begin(peering)


def test_changes_name_the_peer_and_make_none():
    address = Address(ip_address("2001:db8::1"), 51821)
    assert uapi.move(PEER, address).split("\n") == [
        *("set=1", f"public_key={'20' * 32}", "update_only=true", "endpoint=[2001:db8::1]:51821", "", "")
    ]
    assert uapi.keep_alive(PEER, 0).split("\n") == [
        *("set=1", f"public_key={'20' * 32}", "update_only=true", "persistent_keepalive_interval=0", "", "")
    ]


def test_how_it_stands():
    answer = (
        f"private_key={'48' * 32}\nlisten_port=40000\npublic_key={'20' * 32}\npreshared_key={'00' * 32}\n"
        "protocol_version=1\nendpoint=10.91.1.2:51820\nlast_handshake_time_sec=1700000000\n"
        "last_handshake_time_nsec=500000000\ntx_bytes=180\nrx_bytes=92\npersistent_keepalive_interval=25\n"
        "allowed_ip=192.168.100.0/24\nallowed_ip=fd00::/64\nerrno=0\n\n"
    )
    assert uapi.reading(answer) == Reading(handshake=1_700_000_000.5, transmitted=180, received=92)


def test_no_peer_no_signs_of_it():
    assert uapi.reading("listen_port=40000\nerrno=0\n\n") == Reading()


def test_a_refusal_says_why():
    with pytest.raises(uapi.OrderRefusedError, match="Invalid argument"):
        uapi.reading("errno=-22\n\n")
    with pytest.raises(uapi.OrderRefusedError, match="Protocol error"):
        uapi.reading("errno=71\n\n")


@pytest.mark.parametrize("answer", ["nonsense\n\n", "tx_bytes=much\nerrno=0\n\n"])
def test_what_is_no_answer_is_an_error(answer):
    with pytest.raises(ValueError, match=r"."):
        uapi.reading(answer)
