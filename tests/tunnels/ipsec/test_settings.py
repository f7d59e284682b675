from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import IpsecAuth
from gateway.tunnels.ipsec.settings import Encryption, Settings


def _settings(**further):
    given = {"socket": Path("/run/gw/a b.vici"), "auth": IpsecAuth.MSCHAPV2, "encryption": Encryption.USERSPACE}
    return Settings(**(given | further))


def _line(text, key):
    (found,) = [line for line in map(str.strip, text.splitlines()) if line.startswith(f"{key} = ")]
    return found.removeprefix(f"{key} = ")


def test_it_is_the_whole_file_in_user_space():
    assert _settings().text() == (
        "charon {\n"
        'load_modular = "no"\n'
        'load = "random nonce openssl! gcm aes pem pkcs1 pkcs8 x509 pubkey constraints revocation kdf hmac sha1 sha2 '
        'kernel-libipsec! kernel-netlink socket-default! vici! eap-identity! eap-mschapv2!"\n'
        "port = 0\n"
        "port_nat_t = 0\n"
        'install_routes = "no"\n'
        'process_route = "no"\n'
        "routing_table = 51900\n"
        "routing_table_prio = 51900\n"
        "retransmit_tries = 3\n"
        "retransmit_timeout = 1.0\n"
        "retransmit_base = 1.3\n"
        "plugins { vici {\n"
        '  socket = "unix:///run/gw/a b.vici"\n'
        "}}\n"
        "plugins { kernel-netlink {\n"
        "  fwmark = 51900\n"
        '  roam_events = "no"\n'
        "}}\n"
        "plugins { kernel-libipsec {\n"
        '  allow_peer_ts = "yes"\n'
        "}}\n"
        "filelog { stderr {\n"
        "  default = 1\n"
        "}}\n"
        "}\n"
    )


def test_the_kernel_s_esp_has_no_tun_device_no_routing_rule_and_its_address_on_the_xfrm_interface():
    text = _settings(encryption=Encryption.KERNEL, device="zone-b").text()
    assert "kernel-libipsec" not in _line(text, "load")
    assert "kernel-netlink!" in _line(text, "load")
    assert _line(text, "routing_table") == "0"
    assert _line(text, "install_virtual_ip_on") == '"zone-b"'


@pytest.mark.parametrize(
    ("auth", "plugins"),
    [
        (IpsecAuth.MSCHAPV2, {"eap-identity!", "eap-mschapv2!"}),
        (IpsecAuth.TLS, {"eap-identity!", "eap-tls!"}),
        (IpsecAuth.PUBKEY, set()),
    ],
)
def test_it_can_log_in_as_the_entry_says_and_no_other_way(auth, plugins):
    loaded = _line(_settings(auth=auth).text(), "load").strip('"').split()
    assert {each for each in loaded if each.startswith("eap-")} == plugins
