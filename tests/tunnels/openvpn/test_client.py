"""The OpenVPN client against real servers: every way in, every way to fail, and nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.config.profiles.openvpn import read
from gateway.config.profiles.remarks import Remarks
from gateway.errors import LinkError, ProgramMissingError
from gateway.model import Endpoint, FailureReason, OpenVpnSpec, Secret, TunnelKind, TunnelSpec
from gateway.tunnels import children
from gateway.tunnels.openvpn import client as client_module
from gateway.tunnels.openvpn import configuration
from gateway.tunnels.openvpn.client import OpenVpnClient
from tests.lab.names import Role
from tests.lab.pki import Certified
from tests.lab.samples.openvpn import OpenVpnSample
from tests.lab.servers.openvpn import ControlKey, Login, OpenVpnServer, Transport
from tests.lab.topology import CORP_ADDRESS, UPLINK_FAR, Site
from tests.lab.waiting import eventually
from tests.tunnels.openvpn.support import entry, processes, running

pytestmark = pytest.mark.lab


def server_of(access) -> Endpoint:
    return Endpoint(access.host, access.port)


@pytest.mark.parametrize(
    ("transport", "login", "control"),
    [
        (Transport.UDP, Login.PASSWORD, ControlKey.NONE),
        (Transport.TCP, Login.CERTIFICATE, ControlKey.TLS_AUTH),
        (Transport.UDP, Login.BOTH, ControlKey.TLS_CRYPT),
    ],
)
async def test_it_connects(cloud, tools, transport, login, control):
    server = OpenVpnServer(cloud.workshop, Site.A, transport=transport, login=login, control_key=control)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            ear = await run.connected()
            assert ear.addresses[0].startswith(server.pool)
            device = await tools.links.find("zone-c")
            assert device is not None
            assert [str(each.ip) for each in device.addresses] == list(ear.addresses)
            assert device.up

            async def counted() -> bool:
                return bool(ear.counts) and min(ear.counts[-1]) > 0

            await eventually(counted, within=5.0, what="bytes are counted")
            shown = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
            assert CORP_ADDRESS not in shown
        assert processes() == []
        assert await tools.links.find("zone-c") is None
        assert list(tools.runtime.iterdir()) == []


async def test_a_profile_alone_will_do(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.BOTH, control_key=ControlKey.TLS_AUTH)
    remarks = Remarks("client.ovpn")
    profile = read("\n".join(server.access.profile()), remarks, lambda path: Path(path).read_bytes())
    assert not remarks.problems
    vpn = OpenVpnSpec(
        servers=profile.servers, profile=profile.text, username=profile.username, password=profile.password
    )
    spec = TunnelSpec(name="zone-c", kind=TunnelKind.OPENVPN, interface="zone-c", vpn=vpn)
    with cloud.serving(server):
        async with running(OpenVpnClient(spec, tools), profile.servers[0]) as run:
            ear = await run.connected()
            assert ear.addresses[0].startswith(server.pool)


async def test_both_families_inside_and_out(cloud, tools):
    """The server is reached over IPv6, and gives an address of each."""
    near, far = cloud.cloud, cloud.spaces[Site.A.role]
    options = ["proto udp6", f"local {_FAR6}", "server-ipv6 fd71::/64"]
    near.ip(f"addr add {_NEAR6}/64 dev {Site.A.link} nodad")
    far.ip(f"addr add {_FAR6}/64 dev wan0 nodad")
    server = OpenVpnServer(cloud.workshop, Site.A, options=options)
    try:
        with cloud.serving(server):
            async with running(OpenVpnClient(entry(server.access), tools), Endpoint(_FAR6, 1194)) as run:
                ear = await run.connected()
                assert len(ear.addresses) == 2
                assert ear.addresses[1].startswith("fd71::")
                device = await tools.links.find("zone-c")
                assert device is not None
                assert [str(each.ip) for each in device.addresses] == list(ear.addresses)
    finally:
        near.ip(f"addr del {_NEAR6}/64 dev {Site.A.link}")
        far.ip(f"addr del {_FAR6}/64 dev wan0")


_NEAR6, _FAR6 = "fd91::1", "fd91::2"


async def test_of_a_name_with_several_addresses_the_next_is_tried(cloud, tools, monkeypatch):
    server = OpenVpnServer(cloud.workshop, Site.A)
    client = OpenVpnClient(entry(server.access), tools)
    monkeypatch.setattr(client._resolver, "_ask", lambda _: [UPLINK_FAR, server.access.host])
    name = Endpoint("vpn.example", server.access.port)
    with cloud.serving(server):
        async with running(client, name) as run:
            failure = await run.ended()
            assert (failure.reason, failure.server) == (FailureReason.UNREACHABLE, name)
        async with running(client, name) as run:
            await run.connected()


async def test_the_sample_server_as_printed(cloud, tools):
    server = OpenVpnSample(cloud.workshop, Site.A)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            ear = await run.connected()
            assert ear.addresses[0].startswith("10.10.20.")


async def test_what_a_server_pushes_of_routes_and_names_is_ignored(cloud, tools):
    pushed = [
        'push "redirect-gateway def1"',
        'push "dhcp-option DNS 8.8.8.8"',
        'push "route 10.99.0.0 255.255.0.0"',
        'push "ping-restart 120"',
    ]
    server = OpenVpnServer(cloud.workshop, Site.A, options=pushed)
    names = Path("/etc/resolv.conf").read_bytes()  # noqa: ASYNC240
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            await run.connected()
            shown = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout  # noqa: ASYNC221
            assert "10.99.0.0" not in shown
            assert "0.0.0.0/1" not in shown
            assert Path("/etc/resolv.conf").read_bytes() == names  # noqa: ASYNC240


async def _failure(cloud, tools, server, **further):
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access, **further), tools), server_of(server.access)) as run:
            failure = await run.ended()
            print(failure, run.ear.text)  # noqa: T201 - pytest shows it with a failure
            return failure


async def test_a_wrong_password(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.PASSWORD)
    failure = await _failure(cloud, tools, server, password=Secret("not the password"))
    assert failure.reason is FailureReason.WRONG_PASSWORD
    assert f'the account "{server.access.account.user}"' in failure.detail
    assert failure.server == server_of(server.access)


@pytest.mark.parametrize(
    ("certified", "reason", "words"),
    [
        (Certified.EXPIRED, FailureReason.CERTIFICATE_EXPIRED, "the server's certificate"),
        (Certified.MISNAMED, FailureReason.NAME_MISMATCH, 'verify_name wants "site-a"'),
        (Certified.UNTRUSTED, FailureReason.CERTIFICATE_NOT_TRUSTED, "is not signed by an authority that is trusted"),
    ],
)
async def test_a_certificate_that_is_not_right(cloud, tools, certified, reason, words):
    server = OpenVpnServer(cloud.workshop, Site.A, certified=certified)
    failure = await _failure(cloud, tools, server)
    assert failure.reason is reason
    assert words in failure.detail


async def test_nobody_there(cloud, tools):
    """It is known as soon as the first packet is refused."""
    server = OpenVpnServer(cloud.workshop, Site.A)
    async with asyncio.timeout(3), running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE
    assert "Connection refused" in failure.detail


async def test_nobody_there_over_tcp(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, transport=Transport.TCP)
    async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE


async def test_a_name_that_does_not_resolve(cloud, tools, monkeypatch):
    def ask(host):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    server = OpenVpnServer(cloud.workshop, Site.A)
    client = OpenVpnClient(entry(server.access), tools)
    monkeypatch.setattr(client._resolver, "_ask", ask)
    async with running(client, Endpoint("vpn.invalid", 1194)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE
    assert failure.detail == "vpn.invalid cannot be resolved: Name or service not known"


@pytest.fixture
def silence(cloud):
    """A server at which packets vanish."""
    wan = cloud.spaces[Role.WAN]
    drop = "udp dport 1999 drop; tcp dport 1999 drop"
    wan.nft(f"table inet hush {{ chain input {{ type filter hook input priority 0; {drop}\n}}\n}}")
    yield Endpoint(UPLINK_FAR, 1999)
    wan.nft("delete table inet hush")


@pytest.mark.parametrize("transport", Transport)
async def test_a_server_that_is_silent(cloud, tools, silence, transport, monkeypatch):
    monkeypatch.setattr(configuration, "ATTEMPT", 1)
    server = OpenVpnServer(cloud.workshop, Site.A, transport=transport)
    async with asyncio.timeout(5), running(OpenVpnClient(entry(server.access), tools), silence) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.TIMED_OUT
    assert "tls_crypt" in failure.detail


async def test_no_cipher_in_common(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    failure = await _failure(cloud, tools, server, ciphers=("AES-128-CBC",))
    assert failure.reason is FailureReason.NO_PROPOSAL


async def test_an_option_that_openvpn_refuses(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    failure = await _failure(cloud, tools, server, options=("tls-version-min 9.9",))
    assert failure.reason is FailureReason.CONFIGURATION
    assert "tls-version-min" in failure.detail


async def test_the_client_is_killed_and_the_device_stays(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.serving(server):
        client = OpenVpnClient(entry(server.access), tools)
        async with running(client, server_of(server.access)) as run:
            await run.connected()
            before = await tools.links.find("zone-c")
            (pid,) = processes()
            os.kill(pid, signal.SIGKILL)
            failure = await run.ended()
            assert (failure.reason, failure.detail) == (
                FailureReason.CLIENT_DIED,
                "openvpn was ended by SIGKILL",
            )
            after = await tools.links.find("zone-c")
            assert before is not None
            assert after is not None
            assert after.index == before.index


async def test_the_server_stops_in_order(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            await run.connected()
            with cloud.faults.stop(server.name):
                failure = await run.ended()
    assert failure.reason is FailureReason.SERVER_ENDED


@pytest.mark.matrix
async def test_the_server_falls_silent(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            await run.connected()
            with cloud.faults.blackhole(Site.A):
                failure = await run.ended()
    assert failure.reason is FailureReason.TIMED_OUT
    assert "nothing has come from the server for 8 seconds" in failure.detail


@pytest.mark.parametrize("hangs", [False, pytest.param(True, marks=pytest.mark.matrix)])
async def test_an_attempt_that_is_cancelled_leaves_nothing(cloud, tools, silence, hangs):
    server = OpenVpnServer(cloud.workshop, Site.A)
    async with running(OpenVpnClient(entry(server.access), tools), silence) as run:

        async def started() -> bool:
            return bool(processes())

        await eventually(started, within=5.0, what="the client has started")
        if hangs:
            os.kill(processes()[0], signal.SIGSTOP)
        await run.cancelled()
        assert processes() == []
        assert list(tools.runtime.iterdir()) == []


async def test_the_device_is_taken_away(cloud, tools):
    """The client would read for ever what cannot be read, and say so ten thousand times a second."""
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.serving(server):
        client = OpenVpnClient(entry(server.access), tools)
        async with running(client, server_of(server.access)) as run:
            ear = await run.connected()
            await tools.links.remove("zone-c")
            failure = await run.ended()
            assert (failure.reason, failure.detail) == (FailureReason.OTHER, "its device has been taken away")
            assert len(ear.lines) < 300
        async with running(client, server_of(server.access)) as run:
            await run.connected()


async def test_a_server_that_drags_it_out_has_an_end(cloud, tools, monkeypatch):
    """Stopped, the client cannot say why."""
    monkeypatch.setattr(client_module, "PATIENCE", 0.5)
    monkeypatch.setattr(client_module, "_FAREWELL", 0.1)
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:

            async def started() -> bool:
                return bool(processes())

            await eventually(started, within=5.0, what="the client has started")
            os.kill(processes()[0], signal.SIGSTOP)
            failure = await run.ended()
            assert failure.reason is FailureReason.TIMED_OUT
            assert processes() == []


async def test_an_encrypted_key(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    key = load_pem_private_key(server.access.identity.key.read_bytes(), None)
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase"))
    failure = await _failure(cloud, tools, server, key=Secret(encrypted.decode()))
    assert failure.reason is FailureReason.CONFIGURATION
    assert failure.detail == "the private key is encrypted: give it without a passphrase"


async def test_the_program_is_missing(cloud, tools, monkeypatch):
    def find(name: str) -> str:
        raise ProgramMissingError(name)

    monkeypatch.setattr(children, "find_program", find)
    failure = await _failure(cloud, tools, OpenVpnServer(cloud.workshop, Site.A))
    assert failure.reason is FailureReason.PROGRAM_MISSING
    assert "is not installed" in failure.detail


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EPERM, FailureReason.NOT_PERMITTED), (errno.EBUSY, FailureReason.OTHER)]
)
async def test_the_device_is_not_to_be_had(cloud, tools, monkeypatch, number, reason):
    async def make_tun(name: str) -> None:
        raise LinkError(f"cannot make {name}", number)

    monkeypatch.setattr(tools.links, "make_tun", make_tun)
    failure = await _failure(cloud, tools, OpenVpnServer(cloud.workshop, Site.A))
    assert (failure.reason, failure.detail) == (reason, "cannot make zone-c")


async def test_a_device_that_was_being_made_when_it_was_cancelled_is_removed(cloud, tools, monkeypatch):
    begun = asyncio.Event()
    make_tun = tools.links.make_tun

    async def hang(name: str) -> None:
        await make_tun(name)
        begun.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(tools.links, "make_tun", hang)
    server = OpenVpnServer(cloud.workshop, Site.A)
    async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
        await begun.wait()
        await run.cancelled()
    assert cloud.cloud.link("zone-c") is None


@pytest.mark.matrix
async def test_new_keys_need_the_account_again_and_get_it(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.PASSWORD, options=["reneg-sec 2"])
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            ear = await run.connected()

            async def renewed() -> bool:
                return ear.text.count("Control Channel: ") >= 3

            await eventually(renewed, within=15.0, what="keys are renewed twice", detail=lambda: ear.text)
            assert not run.task.done()


@pytest.mark.matrix
async def test_a_token_that_has_expired_is_no_wrong_password(cloud, tools):
    options = ["reneg-sec 3", "hand-window 3", "auth-gen-token 6 6"]
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.PASSWORD, options=options)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            await run.connected()
            failure = await run.ended()
    assert failure.reason is FailureReason.SERVER_ENDED
    assert "token expired" in failure.detail


async def test_secrets_are_nowhere_to_be_seen(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.BOTH)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            ear = await run.connected()
            (pid,) = processes()
            password = server.access.account.password
            for each in ("cmdline", "environ"):
                assert password.encode() not in Path(f"/proc/{pid}/{each}").read_bytes()  # noqa: ASYNC240
            key = server.access.identity.key.read_text().splitlines()[1]
            said = "\n".join(text for _, _, text in ear.lines)
            assert "VERIFY OK" in said
            assert password not in said
            assert key not in said
            assert all(not each.is_file() for each in tools.runtime.rglob("*"))
