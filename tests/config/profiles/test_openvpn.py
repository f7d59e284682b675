from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.profiles import openvpn, statements
from gateway.config.profiles.openvpn import OpenVpnProfile
from gateway.config.profiles.options import VERDICTS
from gateway.config.profiles.remarks import Remarks
from gateway.config.profiles.statements import Statement
from gateway.model import Compression, Endpoint, IPAddress, Secret, Transport

FILES = {
    "ca.crt": b"CA\n",
    "client.crt": b"CERT\n",
    "client.key": b"KEY\n",
    "ta.key": b"TA\n",
    "client.p12": b"\x30\xff",
    "latin": b"d\xe9mo",
    "both": b"<ca>\nCA\n</ca>\n",
    "login": b"myuser\nhunter2\n",
    "name-only": b"myuser\n",
}
LOGIN = ("username", "password")
SMALLEST = "client\ndev tun\nremote vpn.example.com\nca ca.crt\nauth-user-pass\n"


def fetched(path: str) -> bytes:
    if path not in FILES:
        raise ValueError(f'cannot read the file "{path}": No such file or directory')
    return FILES[path]


def read(text: str, *given: str) -> tuple[OpenVpnProfile, Remarks]:
    remarks = Remarks("client.ovpn")
    return openvpn.read(text, remarks, fetched, given=given), remarks


def good(text: str, *given: str) -> OpenVpnProfile:
    profile, remarks = read(text, *given)
    assert remarks.problems == remarks.warnings == ()
    return profile


def problems(line: str) -> list[str]:
    """What is wrong with one line in an otherwise good profile; without its place."""
    found = read(f"{line}\n{SMALLEST}", *LOGIN)[1].problems
    return [text.removeprefix('"client.ovpn", ').removeprefix("line 1: ") for text in found]


def warnings(line: str) -> list[str]:
    profile, remarks = read(f"{line}\n{SMALLEST}", *LOGIN)
    assert remarks.problems == ()
    assert profile.text == good(SMALLEST, *LOGIN).text
    return [text.removeprefix('"client.ovpn", line 1: ') for text in remarks.warnings]


# ---------------------------------------------------------------- profiles that are right


def test_the_smallest():
    profile = good(SMALLEST, *LOGIN)
    assert profile.text.reveal() == "<ca>\nCA\n</ca>\n"
    assert profile.servers == (Endpoint("vpn.example.com", 1194),)
    assert profile.transport is Transport.UDP
    assert profile.login
    assert (profile.username, profile.password, profile.allow_compression, profile.dns) == (None, None, None, ())
    assert (profile.secret_files, profile.secret) == ((), False)


USUAL = """
client
dev tun
proto tcp
remote 198.51.100.7 443
remote vpn.example.com
port 1195
resolv-retry infinite
nobind
persist-key
persist-tun
remote-cert-tls server
verify-x509-name "my server" name
cipher AES-256-CBC
auth SHA256
compress lz4-v2
allow-compression yes
reneg-sec 3600
verb 3
mute 20
script-security 1
setenv UV_ASSET 17
setenv opt tls-version-min 1.2 or-highest
<ca>
CA
</ca>
cert client.crt
key client.key
key-direction 1
<tls-auth>
TA
</tls-auth>
"""


def test_a_usual_one():
    profile = good(USUAL)
    assert profile.text.reveal() == (
        'remote-cert-tls server\nverify-x509-name "my server" name\ncipher AES-256-CBC\nauth SHA256\n'
        "compress lz4-v2\nreneg-sec 3600\nsetenv UV_ASSET 17\ntls-version-min 1.2 or-highest\nkey-direction 1\n"
        "data-ciphers AES-256-GCM:AES-128-GCM:?CHACHA20-POLY1305:?AES-256-CBC\n"
        "<ca>\nCA\n</ca>\n<cert>\nCERT\n</cert>\n<key>\nKEY\n</key>\n<tls-auth>\nTA\n</tls-auth>\n"
    )
    assert profile.servers == (Endpoint("198.51.100.7", 443), Endpoint("vpn.example.com", 1195))
    assert profile.transport is Transport.TCP
    assert not profile.login
    assert profile.allow_compression is Compression.YES
    assert profile.secret_files == ("client.key",)
    assert profile.secret
    assert profile.blocks == {"ca": "CA\n", "cert": "CERT\n", "key": "KEY\n", "tls-auth": "TA\n"}


def test_its_secrets_are_not_printed():
    assert "KEY" not in repr(good(USUAL))


def test_what_stands_in_a_block_wins_over_the_older_way_to_say_so():
    profile = good("ca [inline]\ntls-auth [inline] 1\n<ca>\nX\n</ca>\n<tls-auth>\nY\n</tls-auth>\n" + SMALLEST, *LOGIN)
    assert profile.text.reveal() == "key-direction 1\n<ca>\nCA\n</ca>\n<tls-auth>\nY\n</tls-auth>\n"


def test_a_key_with_its_direction():
    assert good(f"tls-auth ta.key 1\n{SMALLEST}", *LOGIN).text.reveal().startswith("key-direction 1\n")
    assert "key-direction" not in good(f"tls-auth ta.key\n{SMALLEST}", *LOGIN).text.reveal()


def test_a_binary_file_is_put_inline_as_base64():
    profile = good("remote a\npkcs12 client.p12\n")
    assert profile.text.reveal() == "<pkcs12>\nMP8=\n</pkcs12>\n"
    assert base64.b64decode(profile.blocks["pkcs12"]) == FILES["client.p12"]


@pytest.mark.parametrize("line", ["data-ciphers AES-256-GCM", "ncp-ciphers AES-256-GCM"])
def test_ciphers_that_are_offered_are_what_is_offered(line):
    text = good(f"cipher AES-256-CBC\n{line}\n{SMALLEST}", *LOGIN).text.reveal()
    assert text.startswith(f"cipher AES-256-CBC\n{line}\n<ca>")


@pytest.mark.parametrize(
    ("line", "given", "username", "password"),
    [
        ("auth-user-pass", LOGIN, None, None),
        ("auth-user-pass [inline]", LOGIN, None, None),
        ("auth-user-pass login", (), "myuser", Secret("hunter2")),
        ("auth-user-pass name-only", ("password",), "myuser", None),
        ("<auth-user-pass>\nmyuser\nhunter2\n</auth-user-pass>", (), "myuser", Secret("hunter2")),
    ],
)
def test_a_login(line, given, username, password):
    profile = good(f"remote a\nca ca.crt\n{line}\n", *given)
    assert profile.login
    assert (profile.username, profile.password) == (username, password)
    assert profile.secret is line.startswith("<")
    assert "hunter2" not in repr(profile)
    assert "hunter2" not in profile.text.reveal()


def test_a_login_that_the_profile_does_not_mention():
    assert not good("remote a\nca ca.crt\n", *LOGIN).login


def test_servers_from_elsewhere():
    assert good("client\nca ca.crt\nproto tcp\nauth-user-pass\n", "servers", *LOGIN).transport is Transport.TCP


def test_connections():
    text = "<connection>\nremote a 1\nproto udp\n</connection>\n<connection>\nremote b\nport 2\n</connection>\n"
    assert good(text + SMALLEST, *LOGIN).servers == (
        Endpoint("a", 1),
        Endpoint("b", 2),
        Endpoint("vpn.example.com", 1194),
    )


def test_name_servers():
    dns = good(f"dhcp-option DNS 10.0.0.53\ndhcp-option DNS6 2001:db8::53\n{SMALLEST}", *LOGIN).dns
    assert list(map(str, dns)) == ["10.0.0.53", "2001:db8::53"]
    assert all(isinstance(one, IPAddress) for one in dns)


def test_the_text_is_understood_as_it_was_meant():
    profile = good(USUAL)
    again = good(profile.text.reveal(), "servers")
    assert again.text == profile.text


# ---------------------------------------------------------------- what is left out


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("route 10.0.0.0 255.0.0.0", "route: left out: the gateway adds the routes to its targets itself"),
        ("redirect-gateway def1", "redirect-gateway: left out: the gateway adds the routes"),
        ("keepalive 10 120", "keepalive: left out: the gateway notices a dead tunnel by itself"),
        ("inactive 3600", "inactive: left out: a tunnel stays up"),
        ("remote-random", "remote-random: left out: servers are tried in the order"),
        ("lport 1194", "lport: left out: the client's own port"),
        ("dev tun5", "dev: left out: the device bears the tunnel's name"),
        ("connect-retry 5", "connect-retry: left out: the gateway itself bounds an attempt"),
        ("block-outside-dns", "block-outside-dns: left out: it is for Windows"),
        ("setenv opt block-outside-dns", "block-outside-dns: left out: it is for Windows"),
        ("keysize 256", "keysize: left out: OpenVPN no longer has it"),
        ("setenv FORWARD_COMPATIBLE 1", "setenv: left out: it sets a variable for programs"),
        ("dhcp-option DOMAIN example.com", "dhcp-option: left out: only DNS means anything here"),
        ("setenv opt frobnicate 1", "frobnicate: left out: it is not known here"),
    ],
)
def test_left_out_with_a_warning(line, why):
    (warning,) = warnings(line)
    assert warning.startswith(why)


@pytest.mark.parametrize("line", ["dev-type tun", "script-security 0", "route-noexec", "persist-tun", "pull", "verb 9"])
def test_left_out_as_the_gateway_does_so_anyhow(line):
    assert warnings(line) == []


def test_an_option_that_may_be_left_out():
    (warning,) = read(f"ignore-unknown-option frobnicate\nfrobnicate 1\n{SMALLEST}", *LOGIN)[1].warnings
    assert warning == '"client.ovpn", line 2: frobnicate: left out: it is not known here'


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("up /etc/openvpn/up.sh", "up: refused: it runs a program"),
        ("--up /etc/openvpn/up.sh", "up: refused: it runs a program"),
        ('"up" "/etc/openvpn/up.sh"', "up: refused: it runs a program"),
        ("setenv opt up /etc/openvpn/up.sh", "up: refused: it runs a program"),
        ("ignore-unknown-option up\nup x", "line 2: up: refused: it runs a program"),
        ("script-security 2", "script-security: refused: above 1 it lets the client run programs"),
        ("plugin evil.so", "plugin: refused: it loads code"),
        ("management 127.0.0.1 7505", "management: refused: the gateway alone drives the client"),
        ("daemon", "daemon: refused: how the client runs"),
        ("log /var/log/openvpn.log", "log: refused: it writes a file"),
        ("config other.ovpn", "config: refused: it reads another file"),
        ("setenv LD_PRELOAD evil.so", "setenv: refused: it changes how programs are loaded and run"),
        ("setenv PATH .", "setenv: refused: it changes how programs are loaded and run"),
        ("setenv opt setenv LD_PRELOAD evil.so", None),
        ("dev tap", "dev: refused: only tun"),
        ("dev-type tap", "dev-type: refused: only tun"),
        ("dev null", "dev: refused: only tun"),
        ("proto tcp-server", "proto: the transport of a client is udp or tcp"),
        ("port 0", "port: ports are 1 to 65535"),
        ("port", "port: must have one argument"),
        ("remote", "remote: it names no server"),
        ("frobnicate", "frobnicate: refused: it is not known here"),
        ("pull-filter accept route", "pull-filter: refused: pull-filter may only ignore"),
        ("crl-verify lists dir", "crl-verify: a directory of lists is not taken"),
        ("cert", "cert: it names no file"),
        ("tls-auth missing.key", 'tls-auth: cannot read the file "missing.key"'),
        ("tls-auth latin", 'tls-auth: the file "latin" is not UTF-8 text'),
        ("extra-certs both\nca both", 'line 2: ca: the file "both" holds </ca>: is it a profile?'),
        ("auth-user-pass latin", 'auth-user-pass: the file "latin" is not UTF-8 text'),
        ("allow-compression maybe", "allow-compression: must be no, asym, yes"),
        ("dhcp-option DNS here", "dhcp-option: must be an IP address"),
        ("<cipher>\nAES\n</cipher>", "cipher: refused: it has arguments, not a block"),
        ("connection", "connection: is a block of the file itself"),
        ("<connection>\nremote a\ncipher X\n</connection>", "line 3: cipher: inside <connection> only remote"),
        ("<connection>\nremote a\nup x\n</connection>", "line 3: up: refused: it runs a program"),
        ("<key>\nKEY", "cannot be read: <key> has no </key>"),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj", "this line: is no option; is it a piece of a file"),
        ('auth "SHA256', 'cannot be read: a quotation mark (") is not closed'),
    ],
)
def test_refused_with_its_line_and_why(line, why):
    found = problems(line)
    if why is None:
        assert found == []
        assert "LD_PRELOAD" not in read(f"{line}\n{SMALLEST}", *LOGIN)[0].text.reveal()
    else:
        assert found[0].startswith(why), found


@pytest.mark.parametrize(
    ("text", "given", "wanted"),
    [
        ("", (), ["ca: needed: the server", "auth-user-pass: needed, or else cert and key", "remote: needed"]),
        ("remote a\nca ca.crt\ncert client.crt\n", (), ["key: needed beside cert"]),
        ("remote a\nca ca.crt\nkey client.key\n", (), ["cert: needed beside key"]),
        ("remote a\nca ca.crt\nauth-user-pass\n", (), [f"auth-user-pass: needs the key {key}" for key in LOGIN]),
        ("remote a\nca ca.crt\nauth-user-pass name-only\n", (), ["auth-user-pass: needs the key password"]),
    ],
)
def test_what_is_missing(text, given, wanted):
    found = [problem.removeprefix('"client.ovpn": ') for problem in read(text, *given)[1].problems]
    assert [one.startswith(start) for one, start in zip(found, wanted, strict=True)] == [True] * len(wanted)


def test_an_argument_is_never_shown():
    for name in VERDICTS:
        _, remarks = read(f"{name} hunter2 hunter2 hunter2\nsetenv opt {name} hunter2\n")
        said = [line for line in (*remarks.problems, *remarks.warnings) if "cannot read the file" not in line]
        assert not any("hunter2" in line for line in said)


LINES = st.lists(
    st.tuples(
        st.sampled_from([*VERDICTS, "frobnicate", "setenv opt", "--up", "<ca>", "</ca>", "<connection>", '"', "\\"]),
        st.sampled_from(["", "a", "1", "tun", "udp", "ca.crt", "both", "login", "LD_PRELOAD x", '"', "</connection>"]),
    ),
    max_size=12,
)


@given(LINES)
def test_whatever_it_says_nothing_dangerous_comes_out(lines):
    profile, _ = read("".join(f"{name} {argument}\n" for name, argument in lines))
    for one in statements.read(profile.text.reveal()):
        assert isinstance(one, Statement)
        assert VERDICTS[one.name].fate in openvpn._WHOLE_FILE
