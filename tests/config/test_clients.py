"""Managed tunnels from the file to the spec: profiles, certificates, defaults, and what is said of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from gateway.config import load
from gateway.errors import ConfigError
from gateway.model import (
    Compression,
    Config,
    Endpoint,
    Esp,
    IpsecAuth,
    IpsecSpec,
    OpenVpnSpec,
    RoutesMode,
    Secret,
    Transport,
    TunnelKind,
    TunnelSpec,
    WireguardSpec,
)
from tests.config.pki import GONE, STATIC_KEY, identity

FORWARD = '[[forward]]\nname = "hello"\nlisten = "33000"\ntarget = "192.168.100.30:8080"\n'
PRIVATE, PUBLIC, SHARED = (
    "GJw/Ou0Yxn53xHwG6VIaE0q3y4DnM5KhXBj3g9pRDV4=",
    "Qp3jD0jxLoJFbIMGbbJ8vUF3PzSkdQ7rkJhc3PxTnDA=",
    "A" * 43 + "=",
)
CA, CLIENT, OLD = identity("ca"), identity("client"), identity("old", until=GONE)
LOGIN = 'username = "myuser"\npassword = { env = "GATEWAY_TEST_PASSWORD" }\n'

ENCRYPTED = "the key is encrypted, and nobody is there to be asked: store it decrypted (openssl pkey -in OLD -out NEW)"

Load = Callable[[str], Config]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load tunnels; beside them are the files that they may name."""
    monkeypatch.setenv("GATEWAY_TEST_PASSWORD", "hunter2")
    (tmp_path / "keys").mkdir()
    for name, text in {
        "ca.crt": CA.pem,
        "client.crt": CLIENT.pem,
        "client.key": CLIENT.key,
        "ta.key": STATIC_KEY,
        "wg.key": f"{PRIVATE}\n",
        "psk.key": f"{SHARED}\n",
        "old.crt": OLD.pem,
        "old.key": OLD.key,
        "keys/client.crt": CLIENT.pem,
        "keys/client.key": CLIENT.key,
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "client.p12").write_bytes(CLIENT.pkcs12("hunter2", CA))
    for path in tmp_path.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)

    def read(tunnels: str) -> Config:
        path = tmp_path / "forwards.toml"
        path.write_text(tunnels + FORWARD)
        return load(path)

    return read


def tunnel(kind: str, text: str, name: str = "a") -> str:
    return f'[[tunnel]]\nname = "{name}"\nkind = "{kind}"\n{text}\n'


def only(config: Config) -> TunnelSpec:
    (spec,) = config.tunnels
    return spec


# ---------------------------------------------------------------- each kind, whole


def test_openvpn(read):
    config = read(
        tunnel(
            "openvpn",
            'servers = ["198.51.100.7", "vpn.example.com:443"]\ntransport = "tcp"\nca = { file = "ca.crt" }\n'
            'certificate = { file = "client.crt" }\nkey = { file = "client.key" }\ntls_auth = { file = "ta.key" }\n'
            'verify_name = "my server"\nciphers = ["AES-256-GCM", "AES-256-CBC"]\n'
            'allow_compression = "no"\noptions = ["mssfix 1300", "tls-version-min  1.2"]\nmtu = 1400\n'
            f'autoconnect = false\nreconnect_after = "20s"\nroutes = "none"\n{LOGIN}',
        )
    )
    assert config.warnings == ()
    assert only(config) == TunnelSpec(
        name="a",
        kind=TunnelKind.OPENVPN,
        interface="a",
        routes=RoutesMode.NONE,
        autoconnect=False,
        reconnect_after=20,
        vpn=OpenVpnSpec(
            servers=(Endpoint("198.51.100.7", 1194), Endpoint("vpn.example.com", 443)),
            transport=Transport.TCP,
            username="myuser",
            password=Secret("hunter2"),
            ca=CA.pem,
            certificate=CLIENT.pem,
            key=Secret(CLIENT.key),
            tls_auth=Secret(STATIC_KEY),
            verify_name="my server",
            ciphers=("AES-256-GCM", "AES-256-CBC"),
            allow_compression=Compression.NO,
            options=("mssfix 1300", "tls-version-min 1.2"),
            mtu=1400,
        ),
    )
    assert "hunter2" not in repr(config)


def test_ipsec(read):
    config = read(
        tunnel(
            "ipsec",
            'servers = ["18.188.145.101", "[2001:db8::7]:4500"]\nca = { file = "ca.crt" }\nesp = "userspace"\n'
            'remote_id = "CN=server"\nlocal_id = "me"\neap_identity = "myself"\n'
            f'proposals = ["aes256-sha256-modp2048"]\nremote_networks = ["192.168.100.0/24"]\n{LOGIN}',
        )
    )
    assert config.warnings == ()
    spec = only(config)
    assert (spec.routes, spec.autoconnect, spec.reconnect_after) == (RoutesMode.MANAGED, True, 10)
    assert spec.vpn == IpsecSpec(
        servers=(Endpoint("18.188.145.101", 500), Endpoint("2001:db8::7", 4500)),
        auth=IpsecAuth.MSCHAPV2,
        username="myuser",
        password=Secret("hunter2"),
        ca=CA.pem,
        esp=Esp.USERSPACE,
        remote_id="CN=server",
        local_id="me",
        eap_identity="myself",
        proposals=("aes256-sha256-modp2048",),
        remote_networks=(IPv4Network("192.168.100.0/24"),),
    )


def test_ipsec_with_a_bundle(read, tmp_path):
    text = 'servers = ["18.188.145.101"]\nauth = "tls"\npkcs12 = { file = "client.p12" }\n'
    spec = only(read(tunnel("ipsec", text + 'pkcs12_password = { env = "GATEWAY_TEST_PASSWORD" }'))).vpn
    assert spec == IpsecSpec(
        servers=(Endpoint("18.188.145.101", 500),),
        auth=IpsecAuth.TLS,
        pkcs12=Secret(base64.b64encode((tmp_path / "client.p12").read_bytes()).decode()),
        pkcs12_password=Secret("hunter2"),
    )


def test_wireguard(read):
    config = read(
        tunnel(
            "wireguard",
            f'servers = ["198.51.100.9"]\nprivate_key = {{ file = "wg.key" }}\npeer_public_key = "{PUBLIC}"\n'
            'preshared_key = { file = "psk.key" }\naddresses = ["10.10.30.2/24"]\nallowed_ips = ["192.168.0.0/16"]\n'
            'keepalive = "25s"\nmtu = 1380',
        )
    )
    assert config.warnings == ()
    assert only(config).vpn == WireguardSpec(
        servers=(Endpoint("198.51.100.9", 51820),),
        private_key=Secret(PRIVATE),
        peer_public_key=PUBLIC,
        preshared_key=Secret(SHARED),
        addresses=("10.10.30.2/24",),
        allowed_ips=(IPv4Network("192.168.0.0/16"),),
        keepalive=25,
        mtu=1380,
    )


def test_an_interface_has_no_client_and_its_routes_are_somebody_elses(read):
    spec = only(read(tunnel("interface", 'interface = "tun-a"')))
    assert (spec.vpn, spec.routes) == (None, RoutesMode.NONE)
    assert only(read(tunnel("interface", 'interface = "tun-a"\nroutes = "managed"'))).routes is RoutesMode.MANAGED


def test_routes_among_the_defaults_hold_for_every_kind(read):
    config = read('[defaults.tunnel]\nroutes = "none"\n' + tunnel("interface", 'interface = "tun-a"') + WG0("b"))
    assert [spec.routes for spec in config.tunnels] == [RoutesMode.NONE] * 2


def WG0(name: str = "a", extra: str = "") -> str:  # noqa: N802 - the name of the file that it stands for
    keys = f'private_key = {{ file = "wg.key" }}\npeer_public_key = "{PUBLIC}"\naddresses = ["10.10.30.2/32"]\n'
    return tunnel("wireguard", f'servers = ["198.51.100.9"]\n{keys}{extra}', name)


# ---------------------------------------------------------------- profiles


def test_an_openvpn_profile(read, tmp_path):
    (tmp_path / "keys/client.ovpn").write_text(
        "client\nremote vpn.example.com 1195 tcp\nca ../ca.crt\ncert client.crt\nkey client.key\n"
        "dhcp-option DNS 10.0.0.53\n"
    )
    config = read(tunnel("openvpn", 'profile = "keys/client.ovpn"\naccept_dns = true'))
    assert config.warnings == ()
    spec = only(config)
    assert spec.dns == (Endpoint("10.0.0.53", 53),)
    assert isinstance(spec.vpn, OpenVpnSpec)
    assert (spec.vpn.servers, spec.vpn.transport) == ((Endpoint("vpn.example.com", 1195),), Transport.TCP)
    assert spec.vpn.profile == Secret(f"<ca>\n{CA.pem}</ca>\n<cert>\n{CLIENT.pem}</cert>\n<key>\n{CLIENT.key}</key>\n")


def test_a_wireguard_profile(read, tmp_path):
    path = tmp_path / "wg0.conf"
    path.write_text(
        f"[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.10.30.2/32\nDNS = 10.0.0.53\n"
        f"[Peer]\nPublicKey = {PUBLIC}\nEndpoint = 198.51.100.9:51821\nAllowedIPs = 10.0.0.0/8\n"
    )
    path.chmod(0o600)
    spec = only(read(tunnel("wireguard", 'profile = "wg0.conf"\naccept_dns = true')))
    assert spec.dns == (Endpoint("10.0.0.53", 53),)
    assert spec.vpn == WireguardSpec(
        servers=(Endpoint("198.51.100.9", 51821),),
        private_key=Secret(PRIVATE),
        peer_public_key=PUBLIC,
        addresses=("10.10.30.2/32",),
        allowed_ips=(IPv4Network("10.0.0.0/8"),),
    )


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "client.ovpn"
    path.write_text("remote a\nca ca.crt\nauth-user-pass\ndhcp-option DNS 10.0.0.53\n")
    return path


def said(config: Config) -> list[str]:
    return [warning.partition(": ")[2] for warning in config.warnings]


def test_name_servers_of_a_profile_are_asked_only_where_that_is_wanted(read, profile):
    entry = f'profile = "client.ovpn"\n{LOGIN}'
    config = read(tunnel("openvpn", entry))
    assert only(config).dns == ()
    (warning,) = said(config)
    assert warning.startswith('tunnel "a": profile: its name servers are not asked: accept_dns = true')
    own = read(tunnel("openvpn", f'{entry}dns = ["10.0.0.54"]\naccept_dns = true'))
    assert (only(own).dns, own.warnings) == ((Endpoint("10.0.0.54", 53),), ())


def test_to_accept_what_nobody_lists_comes_to_nothing(read):
    (warning,) = said(read(WG0(extra="accept_dns = true")))
    assert warning.startswith('tunnel "a": accept_dns: comes to nothing')
    assert read("[defaults.tunnel]\naccept_dns = true\n" + WG0()).warnings == ()


def test_what_a_profile_leaves_out_is_said(read, profile):
    profile.write_text(f"{profile.read_text()}route 10.0.0.0 255.0.0.0\n")
    (warning,) = said(read(tunnel("openvpn", f'profile = "client.ovpn"\naccept_dns = true\n{LOGIN}')))
    assert warning == (
        'tunnel "a": profile: "client.ovpn", line 5: route: left out: the gateway adds the routes to its targets '
        "itself, and takes no others"
    )


def test_secrets_of_profiles_that_everybody_can_read(read, tmp_path):
    inline = tmp_path / "inline.ovpn"
    inline.write_text(f"remote a\nca ca.crt\ncert client.crt\n<key>\n{CLIENT.key}</key>\n")
    named = tmp_path / "keys/named.ovpn"
    named.write_text("remote a\nca ../ca.crt\ncert client.crt\nkey client.key\n")
    wg = tmp_path / "wg0.conf"
    wg.write_text(f"[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.0.0.2\n[Peer]\nPublicKey = {PUBLIC}\n")
    (tmp_path / "keys/client.key").chmod(0o644)
    for path in (inline, named, wg):
        path.chmod(0o644)
    config = read(
        tunnel("openvpn", 'profile = "inline.ovpn"', "a")
        + tunnel("openvpn", 'profile = "keys/named.ovpn"', "b")
        + tunnel("wireguard", 'profile = "wg0.conf"\nservers = ["198.51.100.9"]', "c")
    )
    assert said(config) == [
        'tunnel "a": profile: every user can read the file "inline.ovpn": chmod o=',
        'tunnel "b": profile: every user can read the file "client.key": chmod o=',
        'tunnel "c": profile: every user can read the file "wg0.conf": chmod o=',
    ]


def test_a_profile_that_is_no_text(read, tmp_path):
    (tmp_path / "client.ovpn").write_bytes(b"d\xe9mo")
    with pytest.raises(ConfigError) as caught:
        read(tunnel("openvpn", f'profile = "client.ovpn"\n{LOGIN}'))
    (problem,) = caught.value.problems
    assert (problem.key, problem.expected) == ("profile", 'the file "client.ovpn" is not UTF-8 text')


# ---------------------------------------------------------------- certificates


def test_what_has_expired_is_a_warning_at_its_key(read, tmp_path):
    own = 'servers = ["a"]\nca = { file = "ca.crt" }\ncertificate = { file = "old.crt" }\nkey = { file = "old.key" }'
    assert said(read(tunnel("openvpn", own))) == ['tunnel "a": certificate: CN=old expired on 2021-01-01']
    (tmp_path / "old.ovpn").write_text("remote a\nca ca.crt\ncert old.crt\nkey old.key\n")
    assert said(read(tunnel("openvpn", 'profile = "old.ovpn"'))) == [
        'tunnel "a": profile: "old.ovpn": cert: CN=old expired on 2021-01-01'
    ]


def test_what_is_wrong_with_the_defaults_is_said_once(read):
    defaults = '[defaults.tunnel]\nca = { file = "old.crt" }\n'
    entry = f'servers = ["a"]\n{LOGIN}'
    config = read(defaults + tunnel("openvpn", entry, "a") + tunnel("ipsec", entry, "b"))
    assert said(config) == ["[defaults.tunnel]: ca: CN=old expired on 2021-01-01"]
    keyless = WG0().replace('private_key = { file = "wg.key" }\n', "")
    with pytest.raises(ConfigError) as caught:
        read('[defaults.tunnel]\nprivate_key = { env = "GATEWAY_TEST_PASSWORD" }\n' + keyless + WG0("b"))
    assert [(problem.place, problem.key) for problem in caught.value.problems] == [("[defaults.tunnel]", "private_key")]


def test_a_key_and_a_default_that_do_not_belong_together(read):
    with pytest.raises(ConfigError, match='tunnel "a": key: is not the key of the certificate CN=client'):
        read(
            '[defaults.tunnel]\nca = { file = "ca.crt" }\nkey = { file = "old.key" }\n'
            + tunnel("openvpn", 'servers = ["a"]\ncertificate = { file = "client.crt" }')
        )


# ---------------------------------------------------------------- devices


def test_a_device_belongs_to_one_tunnel(read):
    with pytest.raises(ConfigError) as caught:
        read(tunnel("interface", 'interface = "zone-b"') + WG0("zone-b"))
    (problem,) = caught.value.problems
    assert str(problem).endswith(
        'tunnel "zone-b": name: found "zone-b": its device bears the same name, and tunnel "a" (line 1) is on that '
        "one: set interface"
    )


def test_name_servers_are_addresses(read, profile):
    profile.write_text(profile.read_text().replace("10.0.0.53", "10.0.0.053"))
    with pytest.raises(ConfigError, match="dhcp-option: must be an IP address"):
        read(tunnel("openvpn", f'profile = "client.ovpn"\n{LOGIN}'))


# ---------------------------------------------------------------- files that are not what they should be


def test_everything_that_is_wrong_with_files_is_said_at_once_and_nothing_of_them_is_shown(read, tmp_path):
    leaf = identity("server", authority=False, signed_by="root")
    for name, text in {
        "empty.key": "",
        "leaf.crt": leaf.pem,
        "encrypted.key": CLIENT.encrypted_key("hunter2"),
        "damaged.crt": CA.pem[:200],
        "latin.key": "",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.key").write_bytes(b"hunter2\xe9")
    with pytest.raises(ConfigError) as caught:
        read(
            tunnel("openvpn", f'servers = ["h"]\nca = {{ file = "leaf.crt" }}\n{LOGIN}', "a")
            + tunnel(
                "openvpn",
                'servers = ["h"]\nca = { file = "keys" }\nusername = "me"\npassword = { file = "empty.key" }',
                "b",
            )
            + tunnel("ipsec", f'servers = ["h"]\nca = {{ file = "damaged.crt" }}\n{LOGIN}', "c")
            + tunnel(
                "ipsec",
                'servers = ["h"]\nauth = "tls"\nca = { file = "ca.crt" }\npkcs12 = { file = "client.p12" }\n'
                'pkcs12_password = { file = "latin.key" }',
                "d",
            )
            + tunnel(
                "ipsec",
                'servers = ["h"]\nauth = "tls"\nca = { file = "ca.crt" }\npkcs12 = { file = "client.p12" }\n'
                'pkcs12_password = { env = "GATEWAY_TEST_WRONG" }',
                "e",
            )
            + tunnel(
                "ipsec",
                'servers = ["h"]\nauth = "pubkey"\nca = { file = "ca.crt" }\ncertificate = { file = "client.crt" }\n'
                'key = { file = "encrypted.key" }',
                "f",
            )
            + tunnel("wireguard", 'profile = "no-such.conf"', "g")
        )
    said = [str(problem).split(": ", 1)[1] for problem in caught.value.problems]
    assert said == [
        'tunnel "a": ca: CN=server is no certificate of an authority: that of CN=root, which signed it, is needed',
        'tunnel "b": password: the file "empty.key" is empty',
        'tunnel "b": ca: cannot read the file "keys": Is a directory',
        'tunnel "c": ca: holds a certificate that cannot be read: it is damaged, or cut off',
        'tunnel "d": pkcs12_password: the file "latin.key" is not UTF-8 text',
        'tunnel "e": pkcs12_password: the environment variable "GATEWAY_TEST_WRONG" is not set',
        'tunnel "f": key: ' + ENCRYPTED,
        'tunnel "g": profile: cannot read the file "no-such.conf": No such file or directory',
    ]
    assert "hunter2" not in str(caught.value)


def test_the_password_of_another_bundle(read, monkeypatch):
    monkeypatch.setenv("GATEWAY_TEST_WRONG", "hunter3")
    text = (
        'servers = ["h"]\nauth = "tls"\npkcs12 = { file = "client.p12" }\n'
        'pkcs12_password = { env = "GATEWAY_TEST_WRONG" }'
    )
    with pytest.raises(ConfigError, match="pkcs12: the password is not the one of this file"):
        read(tunnel("ipsec", text))


def test_what_cannot_be_had_is_not_missed_where_the_defaults_have_it(read):
    """A bundle of its own, beside certificate and key for everybody else."""
    shared = '[defaults.tunnel]\ncertificate = { file = "client.crt" }\nkey = { file = "client.key" }\n'
    shared += 'ca = { file = "ca.crt" }\ntls_crypt = { file = "ta.key" }\n'
    config = read(
        shared
        + tunnel(
            "ipsec",
            'servers = ["h"]\nauth = "tls"\npkcs12 = { file = "client.p12" }\n'
            'pkcs12_password = { env = "GATEWAY_TEST_PASSWORD" }',
            "a",
        )
        + tunnel("openvpn", 'servers = ["h"]\ntls_auth = { file = "ta.key" }', "b")
    )
    bundle, other = (spec.vpn for spec in config.tunnels)
    assert isinstance(bundle, IpsecSpec)
    assert (bundle.certificate, bundle.key) == (None, None)
    assert isinstance(other, OpenVpnSpec)
    assert (other.certificate, other.tls_crypt, other.tls_auth) == (CLIENT.pem, None, Secret(STATIC_KEY))


def test_a_device_of_another_name(read):
    config = read(
        tunnel("openvpn", f'interface = "tun-a"\nservers = ["h"]\nca = {{ file = "ca.crt" }}\n{LOGIN}', "a" * 40)
    )
    assert only(config).interface == "tun-a"


def test_what_is_legal_and_worth_a_look(read):
    text = f'servers = ["h"]\nca = {{ file = "ca.crt" }}\n{LOGIN}pkcs12_password = {{ env = "GATEWAY_TEST_PASSWORD" }}'
    wg = (
        'servers = ["h"]\nprivate_key = { file = "wg.key" }\n'
        f'peer_public_key = "{PUBLIC}"\naddresses = ["10.0.0.2/32"]\nallowed_ips = ["10.0.0.0/8"]'
    )
    warnings = read(tunnel("ipsec", text, "a") + tunnel("wireguard", wg, "b") + tunnel("wireguard", wg, "c")).warnings
    assert [warning.split(": ", 1)[1].rsplit(": ", 1)[0] for warning in warnings] == [
        'tunnel "a": pkcs12_password',
        'tunnel "b": allowed_ips: there is no way to 192.168.100.30 (forward hello)',
        'tunnel "c": private_key: tunnel b has the same, and the same peer',
        'tunnel "c": addresses: 10.0.0.2 is an address of tunnel b as well',
        'tunnel "c": allowed_ips: there is no way to 192.168.100.30 (forward hello)',
    ]
    assert 'pkcs12_password: comes to nothing with auth = "mschapv2"' in warnings[0]
