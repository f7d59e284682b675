from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.profiles import wg_quick
from gateway.config.profiles.remarks import Remarks
from gateway.config.profiles.wg_quick import WireguardProfile
from gateway.model import Endpoint, Secret

PRIVATE, PUBLIC, SHARED = ("A" * 42 + last + "=" for last in "AEI")

USUAL = f"""
# A comment
[Interface]
PrivateKey = {PRIVATE}
Address = 10.10.30.2/32, 2001:db8::2/128   # ours
Address = 10.10.31.2/24
DNS = 10.0.0.53, example.com
MTU = 1380
[Peer]
PublicKey = {PUBLIC}
PresharedKey={SHARED}
Endpoint = vpn.example.com:51821
AllowedIPs = 192.168.100.0/24,10.0.0.1/8
AllowedIPs = ::/0
PersistentKeepalive = 25
"""


def read(text: str, *given: str) -> tuple[WireguardProfile, Remarks]:
    remarks = Remarks("wg0.conf")
    return wg_quick.read(text, remarks, given), remarks


def problems(section: str, line: str) -> list[str]:
    found = read(USUAL.replace(f"[{section}]\n", f"[{section}]\n{line}\n"))[1].problems
    return [text.removeprefix('"wg0.conf", line ').partition(": ")[2] for text in found]


def test_a_usual_one():
    profile, remarks = read(USUAL)
    assert remarks.problems == remarks.warnings == ()
    assert profile == WireguardProfile(
        private_key=Secret(PRIVATE),
        mtu=1380,
        addresses=("10.10.30.2/32", "2001:db8::2/128", "10.10.31.2/24"),
        dns=(IPv4Address("10.0.0.53"),),
        peer_public_key=PUBLIC,
        preshared_key=Secret(SHARED),
        servers=(Endpoint("vpn.example.com", 51821),),
        allowed_ips=(IPv4Network("192.168.100.0/24"), IPv4Network("10.0.0.0/8"), IPv6Network("::/0")),
        keepalive=25,
    )


def test_keys_and_sections_in_any_case_lines_of_any_system():
    text = USUAL.replace("[Interface]", "[interface]").replace("PrivateKey", "privatekey").replace("\n", "\r\n")
    assert read(f"\ufeff[Peer]\n{text.partition('[Peer]')[2]}")[1].problems[0].startswith('"wg0.conf": PrivateKey')
    assert read(text)[0] == read(USUAL)[0]


def test_keepalive_may_be_off_and_a_port_may_be_usual():
    profile, _ = read(USUAL.replace("= 25", "= off").replace(":51821", ""))
    assert profile.keepalive == 0
    assert profile.servers == (Endpoint("vpn.example.com", 51820),)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ListenPort = 51820", '"wg0.conf", line 4: ListenPort: left out: the client\'s own port is any that is free'),
        ("FwMark = 0x1", '"wg0.conf", line 4: FwMark: left out: the gateway\'s rules need no mark'),
    ],
)
def test_left_out_with_a_warning(line, why):
    profile, remarks = read(USUAL.replace("[Interface]\n", f"[Interface]\n{line}\n"))
    assert profile == read(USUAL)[0]
    assert remarks.warnings == (why,)


@pytest.mark.parametrize(
    ("section", "line", "why"),
    [
        ("Interface", "PreUp = x", "PreUp: refused: it runs a program"),
        ("Interface", "postup = x", "PostUp: refused: it runs a program"),
        ("Interface", "PreDown = x", "PreDown: refused: it runs a program"),
        ("Interface", "PostDown = x", "PostDown: refused: it runs a program"),
        ("Interface", "Table = off", "Table: refused: routes are the gateway's"),
        ("Interface", "SaveConfig = true", "SaveConfig: refused: the file is read"),
        ("Interface", "PrivatKey = hunter2", 'PrivatKey: refused: it is not known here: did you mean "PrivateKey"?'),
        ("Interface", "PublicKey = hunter2", "PublicKey: refused: it is not known here"),
        ("Interface", "hunter+2 = x", "this line: refused: it is not known here"),
        ("Interface", "PrivateKey = hunter2", "PrivateKey: must be a WireGuard key"),
        ("Interface", "Address = hunter2", "Address: must be addresses of ours"),
        ("Interface", "MTU = 100", "MTU: must be a whole number from 576 to 65535"),
        ("Interface", "DNS = 10.0.0.53%eth0", "DNS: an address with a zone"),
        ("Interface", "hunter2" * 6 + "=", "this line: refused: it is not known here"),
        ("Interface", "hunter2", "this line: must be [Interface], [Peer], or Key = value"),
        ("Interface", "[Hunter2]", "this line: must be [Interface], [Peer], or Key = value"),
        ("Peer", "PublicKey = hunter2", "PublicKey: must be a WireGuard key"),
        ("Peer", "PresharedKey = hunter2", "PresharedKey: must be a WireGuard key"),
        ("Peer", "Endpoint = vpn.example.com:x", "Endpoint: must be a host, or host and port"),
        ("Peer", "AllowedIPs = hunter2", "AllowedIPs: must be networks"),
        ("Peer", "PersistentKeepalive = 70000", "PersistentKeepalive: must be a whole number from 0 to 65535"),
    ],
)
def test_refused_with_its_line_and_why(section, line, why):
    found = problems(section, line)
    assert found[0].startswith(why)
    assert "hunter2" not in "".join(found)


def test_lines_before_any_section():
    assert read(f"MTU = 1400\n{USUAL}")[1].problems[0].startswith('"wg0.conf", line 1: this line: must be [Interface]')


def test_one_peer_a_tunnel():
    profile, remarks = read(f"{USUAL}[Peer]\nPublicKey = {SHARED}\nEndpoint = 10.0.0.1:1\n")
    assert remarks.problems == (
        '"wg0.conf", line 16: [Peer]: a tunnel has one peer: another needs a [[tunnel]] of its own',
    )
    assert profile == read(USUAL)[0]


def test_what_is_missing():
    assert read("")[1].problems == (
        '"wg0.conf": PrivateKey: needed, or else the key private_key of the tunnel',
        '"wg0.conf": Address: needed',
        '"wg0.conf": PublicKey: needed',
        '"wg0.conf": Endpoint: needed, or else the key servers of the tunnel',
    )
    assert len(read("", "private_key", "servers")[1].problems) == 2


@given(st.text(max_size=200) | st.lists(st.sampled_from(USUAL.splitlines())).map("\n".join))
def test_any_text_is_judged(text):
    _, remarks = read(text)
    assert all(map(str.isprintable, remarks.problems))
