"""The OpenVPN client against real servers: every way in, every way to fail, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from gateway.model import Endpoint, FailureReason, Secret
from gateway.tunnels.openvpn.client import OpenVpnClient
from tests.lab.pki import Certified
from tests.lab.samples.openvpn import OpenVpnSample
from tests.lab.servers.openvpn import ControlKey, Login, OpenVpnServer, Transport
from tests.lab.topology import CORP_ADDRESS, Site
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
    server = OpenVpnServer(cloud.workshop, Site.A)
    async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE
    assert "Connection refused" in failure.detail


async def test_nobody_there_over_tcp(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, transport=Transport.TCP)
    async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE


@pytest.mark.matrix
async def test_a_name_that_does_not_resolve(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    async with running(OpenVpnClient(entry(server.access), tools), Endpoint("vpn.invalid", 1194)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.UNREACHABLE
    assert "vpn.invalid" in failure.detail


async def test_a_server_that_is_silent(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.faults.blackhole(Site.A):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
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


async def test_an_attempt_that_is_cancelled_leaves_nothing(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A)
    with cloud.faults.blackhole(Site.A):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:

            async def started() -> bool:
                return bool(processes())

            await eventually(started, within=5.0, what="the client has started")
            await run.cancelled()
            assert processes() == []
            assert list(tools.runtime.iterdir()) == []


async def test_secrets_are_nowhere_to_be_seen(cloud, tools):
    server = OpenVpnServer(cloud.workshop, Site.A, login=Login.BOTH)
    with cloud.serving(server):
        async with running(OpenVpnClient(entry(server.access), tools), server_of(server.access)) as run:
            ear = await run.connected()
            (pid,) = processes()
            password = server.access.account.password
            for each in ("cmdline", "environ"):
                assert password.encode() not in Path(f"/proc/{pid}/{each}").read_bytes()  # noqa: ASYNC240
            assert password not in ear.text
            assert "PRIVATE KEY" not in ear.text
            assert all(not each.is_file() for each in tools.runtime.rglob("*"))
