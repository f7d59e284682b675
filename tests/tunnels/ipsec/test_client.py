"""The client against real servers of the lab, with real charons; for kernel ESP, which needs another kernel, a fake.

Whatever a test does, at its end the cloud is as it was before: no process, device, route, rule or file of charon's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shlex
import signal
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from gateway.errors import LinkError
from gateway.model import Endpoint, Esp, FailureReason, LineLevel, Secret
from gateway.tunnels.ipsec import charon as daemon
from gateway.tunnels.ipsec import connection, pid_file
from gateway.tunnels.ipsec.client import IpsecClient
from gateway.tunnels.ipsec.connection import if_id
from gateway.tunnels.ipsec.orders import Orders
from gateway.tunnels.tools import Link
from tests.lab import client
from tests.lab.pki import Certified
from tests.lab.samples.ipsec import IpsecSample
from tests.lab.servers.ipsec import Auth, IpsecServer
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.waiting import eventually
from tests.tunnels.ipsec.support import Ear, charons, entry, running

pytestmark = pytest.mark.lab


@pytest.fixture
def server(empty_lab):
    with empty_lab.serving(IpsecServer(empty_lab.workshop, Site.B)) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_is_left(empty_lab, tools):
    before = _traces(empty_lab)
    yield
    assert _traces(empty_lab) == before
    assert list(tools.runtime.iterdir()) == []
    assert charons(tools.runtime) == []


def _traces(lab):
    """Devices, rules of both families, and routes; those of IPv6 come with the devices, and late."""
    commands = (
        ["ip", "-o", "link"],
        ["ip", "rule"],
        ["ip", "-6", "rule"],
        ["ip", "-4", "route", "show", "table", "all"],
    )
    devices, *others = [lab.cloud.run(command) for command in commands]
    return ([line.split(":")[1] for line in devices.splitlines()], *others)


async def _page(lab, device):
    """The address that the company sees behind this device."""
    lab.cloud.ip(f"route replace {CORP_NETWORK} dev {device}")
    return (await client.fetch(lab.cloud, device=device)).seen


# ---------------------------------------------------------------- connected


@pytest.mark.parametrize(
    ("auth", "bundled"), [(Auth.MSCHAPV2, False), (Auth.TLS, False), (Auth.TLS, True), (Auth.PUBKEY, False)]
)
async def test_every_way_to_log_in(empty_lab, server, tools, auth, bundled):
    server.offer(auth)
    async with running(IpsecClient(entry(server.access, bundled=bundled, mtu=1280), tools)) as run:
        ear = await run.connected()
        (address,) = ear.addresses
        assert address.startswith(f"{server.pool}.")
        link = empty_lab.cloud.link("zone-b")
        assert f"{address}/32" in link.addresses
        assert link.up
        assert "mtu 1280" in empty_lab.cloud.run(["ip", "link", "show", "zone-b"])
        assert await _page(empty_lab, "zone-b") == address
        await run.cancelled()


async def test_it_says_what_charon_says_and_counts_what_passes_also_while_keys_are_renewed(empty_lab, server, tools):
    async with running(IpsecClient(entry(server.access), tools)) as run:
        ear = await run.connected()
        address = await _page(empty_lab, "zone-b")
        await _until(lambda: min(ear.counts[-1]) > 300)
        once = ear.counts[-1]
        await _rekey(tools, {"child": "networks"})
        await _until(lambda: "closing CHILD_SA networks{1}" in ear.text)
        assert await _page(empty_lab, "zone-b") == address
        await _rekey(tools, {"ike": "gateway"})
        await _until(lambda: "IKE_SA gateway[2] rekeyed" in ear.text)
        assert await _page(empty_lab, "zone-b") == address
        await _until(lambda: ear.counts[-1][0] > 2 * once[0] and ear.counts[-1][1] > 2 * once[1])
        assert ear.counts == sorted(ear.counts)
        assert (LineLevel.INFO, "ike", "initiating IKE_SA gateway[1] to 10.91.2.2") in ear.lines
        assert not run.task.done()


async def _rekey(tools, what):
    """As charon does by itself every few hours."""
    async with Orders(tools.runtime / "ipsec-zone-b.vici") as orders:
        await orders.give("rekey", what)


async def _until(condition):
    await eventually(_as_coroutine(condition), within=10, what="seen")


def _as_coroutine(condition):
    async def asked():
        return condition()

    return asked


async def test_two_tunnels_to_the_same_network_come_up_at_once_and_each_carries_by_its_device(empty_lab, server, tools):
    async with AsyncExitStack() as stack:
        other = stack.enter_context(empty_lab.serving(IpsecServer(empty_lab.workshop, Site.A, auth=Auth.PUBKEY)))
        clients = [IpsecClient(entry(other.access, "zone-a"), tools), IpsecClient(entry(server.access), tools)]
        runs = [await stack.enter_async_context(running(each)) for each in clients]
        ears = [await run.connected() for run in runs]
        assert not pid_file.PATH.exists() or int(pid_file.PATH.read_text()) not in charons(tools.runtime)
        for ear, device, pool in zip(ears, ("zone-a", "zone-b"), (other.pool, server.pool), strict=True):
            assert await _page(empty_lab, device) == ear.addresses[0]
            assert ear.addresses[0].startswith(f"{pool}.")
        await runs[0].cancelled()
        assert await _page(empty_lab, "zone-b") == ears[1].addresses[0]


async def test_no_secret_is_seen_outside(empty_lab, server, tools):
    server.offer(Auth.TLS)
    with_certificate = server.access
    server.offer(Auth.MSCHAPV2)
    secrets = [server.access.account.password, with_certificate.bundle.password]
    secrets += with_certificate.identity.key.read_text().splitlines()[1:2]
    async with running(IpsecClient(entry(server.access, bundled=False), tools)) as run:
        ear = await run.connected()
        (pid,) = charons(tools.runtime)
        seen = [*_of_process(pid), *_in_files(tools.runtime), ear.text.encode()]
        assert b"STRONGSWAN_CONF=" in seen[1]
        assert len(seen) == 4
    for each in seen:
        assert not [secret for secret in secrets if secret.encode() in each]


def _of_process(pid):
    return [Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "environ")]


def _in_files(directory):
    return [each.read_bytes() for each in directory.iterdir() if each.is_file()]


def _open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_client_connects_again_and_again_and_keeps_nothing_open(empty_lab, server, tools):
    ikev2 = IpsecClient(entry(server.access), tools)
    for cycle in range(4):
        async with running(ikev2) as run:
            await run.connected()
            await run.cancelled()
        if cycle == 0:
            opened = _open_files()
    assert _open_files() <= opened


async def test_two_servers_as_they_are_printed_give_out_the_same_address_and_both_tunnels_have_it(empty_lab, tools):
    async with AsyncExitStack() as stack:
        devices = {"zone-a": Site.A, "zone-b": Site.B}
        for device, site in devices.items():
            sample = stack.enter_context(empty_lab.serving(IpsecSample(empty_lab.workshop, site)))
            run = await stack.enter_async_context(running(IpsecClient(entry(sample.access, device), tools)))
            assert (await run.connected()).addresses == ("10.10.10.1",)
        for device, site in devices.items():
            assert "10.10.10.1/32" in empty_lab.cloud.link(device).addresses
            assert await _page(empty_lab, device) == site.lan


async def test_a_server_as_it_is_printed_lets_a_bundle_in(empty_lab, tools):
    with empty_lab.serving(IpsecSample(empty_lab.workshop, Site.A, auth=Auth.TLS)) as sample:
        async with running(IpsecClient(entry(sample.access, bundled=True), tools)) as run:
            await run.connected()
            assert await _page(empty_lab, "zone-b") == Site.A.lan


# ---------------------------------------------------------------- not connected


async def _failure(tools, spec):
    """Why an attempt that is bound to fail has failed, and what was said meanwhile."""
    async with running(IpsecClient(spec, tools)) as run:
        failure = await run.ended()
    assert not run.ear.up.is_set()
    return failure, run.ear


@pytest.mark.parametrize("auth", list(Auth))
@pytest.mark.parametrize(
    ("certified", "reason", "words"),
    [
        (Certified.EXPIRED, FailureReason.CERTIFICATE_EXPIRED, "O=gateway-lab, CN=site-b is valid from"),
        (Certified.MISNAMED, FailureReason.NAME_MISMATCH, "CN=elsewhere.example.com is not one of 10.91.2.2"),
        (Certified.UNTRUSTED, FailureReason.CERTIFICATE_NOT_TRUSTED, "CN=site-b is issued by O=stranger, CN=stranger"),
    ],
)
async def test_a_server_that_is_not_believed(server, tools, auth, certified, reason, words):
    server.offer(auth, certified)
    failure, _ = await _failure(tools, entry(server.access))
    assert failure.reason is reason
    assert words in failure.detail
    assert failure.server == Endpoint("10.91.2.2", 500)


@pytest.mark.parametrize("auth", [Auth.TLS, Auth.PUBKEY])
@pytest.mark.parametrize(
    ("certified", "reason", "words"),
    [
        (
            Certified.EXPIRED,
            FailureReason.CERTIFICATE_EXPIRED,
            "the client's certificate CN=gw-client,O=gateway-lab expired",
        ),
        (
            Certified.UNTRUSTED,
            FailureReason.CERTIFICATE_NOT_TRUSTED,
            "the client's certificate O=stranger, CN=gw-client",
        ),
    ],
)
async def test_a_client_that_is_not_believed(empty_lab, server, tools, auth, certified, reason, words):
    server.offer(auth)
    access = replace(server.access, identity=empty_lab.workshop.pki.client(certified))
    failure, _ = await _failure(tools, entry(access))
    assert failure.reason is reason
    assert words in failure.detail


async def test_a_wrong_password_is_said_and_not_shown(server, tools):
    failure, ear = await _failure(tools, entry(server.access, password=Secret("wrong-and-planted")))
    assert failure.reason is FailureReason.WRONG_PASSWORD
    assert "user name or password of gw-user" in failure.detail
    assert any(level is LineLevel.ERROR for level, _, _ in ear.lines)
    assert "planted" not in ear.text + failure.detail


@pytest.mark.parametrize("offered", [Auth.TLS, Auth.PUBKEY])
async def test_a_server_that_lets_nobody_in_by_an_account(server, tools, offered):
    access = server.access
    server.offer(offered)
    failure, _ = await _failure(tools, entry(access))
    assert failure.reason is FailureReason.NO_COMMON_METHOD


@pytest.mark.parametrize(
    ("further", "reason", "words"),
    [
        ({"proposals": ("3des-md5-modp1024",)}, FailureReason.NO_PROPOSAL, "IKE proposals"),
        ({"proposals": ("nonsense",)}, FailureReason.CONFIGURATION, "charon does not take what it is told"),
        ({"remote_networks": (ip_network("172.31.0.0/16"),)}, FailureReason.CONFIGURATION, "set remote_networks"),
        ({"remote_id": "vpn.example.com"}, FailureReason.NO_COMMON_METHOD, "remote_id"),
        ({"ca": "no certificate"}, FailureReason.CONFIGURATION, "no certificate in PEM"),
    ],
)
async def test_an_entry_that_does_not_fit_the_server(server, tools, further, reason, words):
    failure, _ = await _failure(tools, entry(server.access, **further))
    assert failure.reason is reason
    assert words in failure.detail


async def test_silence_is_known_within_ten_seconds_and_so_is_a_way_that_does_not_exist(empty_lab, server, tools):
    lost = IpsecClient(entry(server.access), tools)
    silent = IpsecClient(entry(server.access, "zone-a", servers=(Endpoint("10.91.1.2", 500),)), tools)
    nowhere = IpsecClient(entry(server.access, "zone-c", servers=(Endpoint("198.51.100.1", 500),)), tools)
    empty_lab.cloud.ip("route add unreachable 198.51.100.1")
    try:
        async with running(lost) as was_up, running(silent) as unanswered, running(nowhere) as unreachable:
            await was_up.connected()
            with empty_lab.faults.blackhole(Site.B):
                async with asyncio.timeout(10):
                    failures = [await each.ended() for each in (unanswered, unreachable, was_up)]
    finally:
        empty_lab.cloud.ip("route del unreachable 198.51.100.1")
    assert [(each.reason, each.detail) for each in failures] == [
        (FailureReason.TIMED_OUT, "10.91.1.2:500 does not answer: nobody there, or UDP is filtered on the way"),
        (FailureReason.UNREACHABLE, "nothing can be sent to 198.51.100.1:500: No route to host"),
        (FailureReason.TIMED_OUT, "10.91.2.2:500 does not answer any more"),
    ]


async def test_an_attempt_is_cancelled_at_once(empty_lab, server, tools):
    with empty_lab.faults.blackhole(Site.B):
        async with running(IpsecClient(entry(server.access), tools)) as run:
            await _until(lambda: "initiating IKE_SA" in run.ear.text)
            async with asyncio.timeout(2):
                await run.cancelled()


@pytest.mark.parametrize(
    ("host", "reason", "detail"),
    [
        (
            "10.91.2.2",
            FailureReason.TIMED_OUT,
            "not connected within 0.5 s; charon's last words: server requested EAP",
        ),
        ("nowhere.invalid", FailureReason.UNREACHABLE, "the name nowhere.invalid cannot be resolved"),
    ],
)
async def test_an_attempt_takes_no_longer_than_it_may(server, tools, monkeypatch, host, reason, detail):
    monkeypatch.setattr(connection, "_CONNECT", 0.5)
    # A wrong password is answered after two seconds.
    further = {"servers": (Endpoint(host, 500),), "remote_id": server.access.name, "password": Secret("wrong")}
    failure, _ = await _failure(tools, entry(server.access, **further))
    assert failure.reason is reason
    assert failure.detail.startswith(detail)


# ---------------------------------------------------------------- the end of a connection


async def test_a_server_that_ends_in_order_takes_leave(empty_lab, server, tools):
    async with running(IpsecClient(entry(server.access), tools)) as run:
        await run.connected()
        with empty_lab.faults.stop(server.name):
            failure = await run.ended()
    assert failure.reason is FailureReason.SERVER_ENDED


async def test_a_charon_that_is_killed_is_missed_at_once(server, tools):
    async with running(IpsecClient(entry(server.access), tools)) as run:
        await run.connected()
        (pid,) = charons(tools.runtime)
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(0.9):
            failure = await run.ended()
    assert (failure.reason, failure.detail) == (FailureReason.CLIENT_DIED, "charon was ended by SIGKILL")


async def test_a_charon_that_is_frozen_is_given_up(server, tools, monkeypatch):
    async with running(IpsecClient(entry(server.access), tools)) as run:
        await run.connected()
        monkeypatch.setattr(connection, "_ANSWER", 0.2)
        (pid,) = charons(tools.runtime)
        os.kill(pid, signal.SIGSTOP)
        failure = await run.ended()
    assert (failure.reason, failure.detail) == (FailureReason.CLIENT_DIED, "charon has not answered for 0.2 s")


async def test_a_device_that_is_there_already_is_not_taken(empty_lab, server, tools):
    empty_lab.cloud.ip("tuntap add dev zone-b mode tun")
    try:
        failure, _ = await _failure(tools, entry(server.access))
    finally:
        empty_lab.cloud.ip("link del zone-b")
    assert failure.reason is FailureReason.OTHER
    assert "zone-b exists and is a tun device that the gateway has not made" in failure.detail


# ---------------------------------------------------------------- charon itself


async def test_without_a_place_of_its_own_it_does_not_start(server, tools):
    failure, _ = await _failure(replace(tools, runtime=tools.runtime / "gone"), entry(server.access))
    assert failure.reason is FailureReason.OTHER
    assert "cannot be written: No such file or directory" in failure.detail


@pytest.mark.parametrize(
    ("launcher", "words"),
    [
        (["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"], "CAP_NET_ADMIN is missing"),
        (["unshare", "--mount", "--", "sh", "-c", 'mount -t tmpfs none /dev/net; exec "$0"'], "/dev/net/tun"),
        (["unshare", "--mount", "--", "sh", "-c", 'mount -t tmpfs -o ro none /run; exec "$0"'], "/var/run/charon.pid"),
        (["env", "STRONGSWAN_CONF=/nowhere"], "/etc/apparmor.d"),
    ],
)
async def test_what_charon_may_not_do_is_named(server, tools, tmp_path, monkeypatch, launcher, words):
    monkeypatch.setattr(daemon, "PROGRAM", _launched(tmp_path, launcher))
    failure, _ = await _failure(tools, entry(server.access))
    assert failure.reason is FailureReason.NOT_PERMITTED
    assert words in failure.detail


async def test_it_needs_one_capability_and_no_other(server, tools, tmp_path, monkeypatch):
    only = ["setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all,+net_admin", "--"]
    monkeypatch.setattr(daemon, "PROGRAM", _launched(tmp_path, only))
    async with running(IpsecClient(entry(server.access), tools)) as run:
        await run.connected()


def _launched(directory, launcher):
    """charon as a program that begins with `launcher`."""
    program = directory / "launcher"
    program.write_text(f"#!/bin/sh\nexec {shlex.join([*launcher, '/usr/lib/ipsec/charon'])}\n")
    program.chmod(0o700)
    return str(program)


async def test_a_program_that_is_not_installed_is_named(server, tools, monkeypatch):
    monkeypatch.setattr(daemon, "PROGRAM", "charon-of-another-make")
    failure, _ = await _failure(tools, entry(server.access))
    assert (failure.reason, failure.detail) == (
        FailureReason.PROGRAM_MISSING,
        "charon-of-another-make is not installed, or not in PATH",
    )


async def test_another_charon_that_does_not_give_way_is_named(server, tools, monkeypatch):
    monkeypatch.setattr(daemon, "_OTHERS", 0.1)
    monkeypatch.setattr(pid_file, "holder", lambda _: 4711)
    failure, _ = await _failure(tools, entry(server.access))
    assert failure.reason is FailureReason.CONFIGURATION
    assert "another charon (process 4711) holds /var/run/charon.pid" in failure.detail


# ---------------------------------------------------------------- the kernel's ESP


class _KernelLinks:
    """The devices of a kernel that has XFRM interfaces, or (`refusal`) does not make them; all else is `real`."""

    def __init__(self, real, refusal=None):
        self.real = real
        self.refusal = refusal
        self.done = []
        self.there = {}

    def __getattr__(self, name):
        return getattr(self.real, name)

    async def find(self, name):
        return self.there.get(name) or await self.real.find(name)

    async def make(self, name, kind, *, if_id=None, parent=None):
        self.done.append(("make", name, kind, if_id, parent))
        if self.refusal is not None:
            raise LinkError("refused", self.refusal)
        self.there[name] = Link(index=7, name=name, kind=kind, mtu=1500, up=False)

    async def remove(self, name):
        self.done.append(("remove", name))
        self.there.pop(name, None)


_MADE = ("make", "zone-b", "xfrm", if_id("zone-b"), None)
_REMOVED = ("remove", "zone-b")


@pytest.fixture
def links(tools):
    return _KernelLinks(tools.links)


async def test_the_kernel_s_esp_gets_an_xfrm_interface_that_outlives_connections(server, tools, links):
    links.there["zone-b"] = Link(
        index=5, name="zone-b", kind="xfrm", mtu=1500, up=False, ours=True
    )  # from before a crash
    ikev2 = IpsecClient(entry(server.access, esp=Esp.KERNEL), replace(tools, links=links))
    async with asyncio.timeout(20):
        for _ in range(2):
            failure = await ikev2.run(None, Ear())
            assert "the kernel does not take the keys" in failure.detail  # this one has no ciphers
            assert links.done == [_REMOVED, _MADE]
    await ikev2.close()
    await ikev2.close()
    assert links.done == [_REMOVED, _MADE, _REMOVED]


async def test_a_kernel_that_turns_out_to_have_no_ciphers_is_given_up_if_user_space_may_do_it(server, tools, links):
    ikev2 = IpsecClient(entry(server.access, esp=Esp.AUTO), replace(tools, links=links))
    async with asyncio.timeout(20):
        failure = await ikev2.run(None, Ear())
    assert "the kernel does not take the keys" in failure.detail
    assert links.done == [_MADE, _REMOVED]
    async with running(ikev2) as run:
        await run.connected()
    assert links.done == [_MADE, _REMOVED]


async def test_without_xfrm_interfaces_the_kernel_s_esp_is_not_to_be_had(server, tools):
    failure, _ = await _failure(tools, entry(server.access, esp=Esp.KERNEL))
    assert failure.reason is FailureReason.NOT_PERMITTED
    assert "this kernel has no XFRM interfaces" in failure.detail


async def test_and_user_space_takes_over_if_it_may(server, tools):
    async with running(IpsecClient(entry(server.access, esp=Esp.AUTO), tools)) as run:
        ear = await run.connected()
    assert (LineLevel.INFO, "gateway", "this kernel has no XFRM interfaces: ESP is done in user space") in ear.lines


async def test_who_may_make_no_device_is_told_so_and_not_given_another_esp(server, tools, links):
    links.refusal = errno.EPERM
    failure, _ = await _failure(replace(tools, links=links), entry(server.access, esp=Esp.AUTO))
    assert failure.reason is FailureReason.NOT_PERMITTED
    assert links.done == [_MADE]
