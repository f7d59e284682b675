"""What an OpenVPN process is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import Endpoint, OpenVpnSpec, Secret, Transport
from gateway.tunnels.openvpn.configuration import configuration, mtu, quoted

SERVER = Endpoint("198.51.100.7", 1194)
SOCKET = Path("/run/gateway/zone-c.openvpn")


def lines(spec: OpenVpnSpec, server: Endpoint | None = SERVER) -> list[str]:
    return configuration(spec, interface="zone-c", server=server, management=SOCKET).splitlines()


def test_the_entry_makes_the_whole_of_it():
    text = lines(
        OpenVpnSpec(
            username="myuser",
            password=Secret("mypassword"),
            ca="CA\n",
            certificate="CERT\n",
            key=Secret("KEY\n"),
            tls_auth=Secret("TA\n"),
            verify_name="server",
            options=("auth SHA256",),
            mtu=1400,
        )
    )
    assert {"dev zone-c", "remote 198.51.100.7 1194 udp", "auth-user-pass", "management-client", "tun-mtu 1400"} < set(
        text
    )
    assert text[-1] == "auth SHA256"
    joined = "\n".join(text)
    for name, content in (("ca", "CA"), ("cert", "CERT"), ("key", "KEY"), ("tls-auth", "TA")):
        assert f"<{name}>\n{content}\n</{name}>" in joined
    assert "key-direction 1" in text
    assert 'verify-x509-name "server" name' in text
    assert "data-ciphers AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305:AES-256-CBC" in text
    assert "mypassword" not in joined


def test_addresses_time_outs_routes_and_names_are_ours_whatever_is_pushed():
    text = lines(OpenVpnSpec(ca="CA"))
    ours = {"ping 2", "ping-exit 8", "ifconfig-noexec", "route-nopull", "route-noexec", "remap-usr1 SIGTERM"}
    assert ours < set(text)
    filters = [line for line in text if line.startswith("pull-filter")]
    assert 'pull-filter accept "ifconfig "' in filters
    assert 'pull-filter accept "compress"' in filters
    assert filters[-1] == 'pull-filter ignore ""', "all else is in vain"
    for pushed in ("ping", "redirect-gateway", "dhcp-option", "route", "verb", "mute", "inactive", "setenv"):
        assert not any(f'accept "{pushed}"' in line or f'accept "{pushed} "' in line for line in filters)
    assert "auth-user-pass" not in text
    assert "management-query-passwords" in text, "nobody is at a terminal to be asked for a passphrase"


def test_of_filters_the_operators_come_first():
    text = lines(OpenVpnSpec(ca="CA", options=('pull-filter ignore "compress"', "mssfix 1300")))
    filters = [line for line in text if line.startswith("pull-filter")]
    assert filters[0] == 'pull-filter ignore "compress"'
    assert text[-1] == "mssfix 1300"


@pytest.mark.parametrize(
    ("spec", "pushed", "size"),
    [
        (OpenVpnSpec(), None, 1500),
        (OpenVpnSpec(mtu=1400), None, 1400),
        (OpenVpnSpec(mtu=1400, options=("tun-mtu 1300",)), None, 1300),
        (OpenVpnSpec(profile=Secret("client\ntun-mtu 1350\n")), None, 1350),
        (OpenVpnSpec(profile=Secret("tun-mtu 1350\n"), mtu=1280), None, 1280),
        (OpenVpnSpec(), 1420, 1420),
        (OpenVpnSpec(mtu=1400), 1500, 1400),
        (OpenVpnSpec(mtu=1400), 1300, 1300),
    ],
)
def test_the_mtu_of_the_device_is_bounded_by_the_configuration_and_by_the_server(spec, pushed, size):
    assert mtu(spec, pushed) == size


def test_tcp_takes_no_leave_by_a_notice():
    text = lines(OpenVpnSpec(transport=Transport.TCP, ca="CA"), Endpoint("2001:db8::7", 443))
    assert "remote 2001:db8::7 443 tcp-client" in text
    assert not any(line.startswith("explicit-exit-notify") for line in text)
    assert any(line.startswith("explicit-exit-notify") for line in lines(OpenVpnSpec(ca="CA")))


def test_a_profile_comes_first_so_that_ours_wins():
    text = lines(OpenVpnSpec(profile=Secret("verb 9\ndev tun7\n"), options=("mssfix 1300",)), server=None)
    assert text[:2] == ["verb 9", "dev tun7"]
    assert text.index("dev zone-c") > text.index("dev tun7")
    assert text[-1] == "mssfix 1300"
    assert not any(line.startswith(("remote ", "data-ciphers", "<ca>")) for line in text)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vpn.example.com", 'verify-x509-name "vpn.example.com" name'),
        ("C=DE, CN=x", 'verify-x509-name "C=DE, CN=x" subject'),
    ],
)
def test_a_name_or_a_whole_subject_is_verified(name, line):
    assert line in lines(OpenVpnSpec(ca="CA", verify_name=name))


def test_quotes_and_backslashes_are_escaped():
    assert quoted('pa"ss\\word') == '"pa\\"ss\\\\word"'


def test_nothing_but_its_own_place_has_to_be_writable():
    assert 'tmp-dir "/run/gateway"' in lines(OpenVpnSpec(ca="CA"))


def test_a_certificate_does_not_bring_options():
    text = lines(OpenVpnSpec(ca="CA\n</ca>\nplugin x.so\n<ca>\nCA"))
    assert text.count("</ca>") == 1
    assert text.index("plugin x.so") < text.index("</ca>")
