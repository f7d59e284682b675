"""The client against real servers of the lab, with real processes of wireguard-go.

Whatever a test does, at its end the cloud is as it was before: no process, device, route or socket.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import sys
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest

from gateway.model import Endpoint, FailureReason, LineLevel
from gateway.tunnels.wireguard import client as wireguard
from gateway.tunnels.wireguard import connection, uapi, userspace
from gateway.tunnels.wireguard.client import WireguardClient
from gateway.tunnels.wireguard.userspace import DIRECTORY
from tests.lab import client
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import CORP_NETWORK, Site
from tests.lab.waiting import eventually
from tests.tunnels.wireguard.support import entry, orders, processes, running, secret

pytestmark = pytest.mark.lab


@pytest.fixture
def server(empty_lab):
    with empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.C)) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_is_left(empty_lab, tools):
    before = _traces(empty_lab)
    yield
    assert _traces(empty_lab) == before
    assert processes("zone-d") == []
    assert not orders("zone-d").exists()
    assert list(tools.runtime.iterdir()) == []


def _traces(lab):
    devices = [line.split(":")[1] for line in lab.cloud.run(["ip", "-o", "link"]).splitlines()]
    return devices, lab.cloud.run(["ip", "-4", "route", "show", "table", "all"])


async def _page(lab, device="zone-d"):
    """The address that the company sees behind this device."""
    lab.cloud.ip(f"route replace {CORP_NETWORK} dev {device}")
    return (await client.fetch(lab.cloud, device=device)).seen


async def _until(condition, within=10):
    async def asked():
        return condition()

    await eventually(asked, within=within, what="seen")


async def _told(device="zone-d"):
    """How the device's process says that it stands."""
    reader, writer = await asyncio.open_unix_connection(orders(device))
    try:
        writer.write(uapi.GET.encode())
        return (await reader.readuntil(uapi.END)).decode().splitlines()
    finally:
        writer.close()


# ---------------------------------------------------------------- connected


async def test_it_connects_carries_and_counts(empty_lab, server, tools):
    async with running(WireguardClient(entry(server.access, mtu=1380), tools)) as run:
        ear = await run.connected()
        assert ear.addresses == (f"{server.pool}.2",)
        link = empty_lab.cloud.link("zone-d")
        assert (link.up, link.addresses) == (True, (server.access.address,))
        assert "mtu 1380" in empty_lab.cloud.run(["ip", "link", "show", "zone-d"])
        once = ear.counts[-1]
        assert await _page(empty_lab) == f"{server.pool}.2"
        await _until(lambda: min(a - b for a, b in zip(ear.counts[-1], once, strict=True)) > 300)
        assert ear.counts == sorted(ear.counts)
        assert (LineLevel.INFO, "wireguard", "Received handshake response") in ear.lines
        assert {component for _, component, _ in ear.lines} == {"gateway", "wireguard"}
        assert not run.task.done()


async def test_a_tunnel_without_a_keepalive_shakes_hands_all_the_same_and_is_silent_then(empty_lab, server, tools):
    async with running(WireguardClient(entry(server.access, keepalive=0), tools)) as run:
        await run.connected()
        assert "persistent_keepalive_interval=0" in await _told()
        assert await _page(empty_lab) == f"{server.pool}.2"


async def test_a_preshared_key(empty_lab, tools):
    with empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.A, preshared=True)) as server:
        async with running(WireguardClient(entry(server.access), tools)) as run:
            await run.connected()
            assert await _page(empty_lab) == f"{server.pool}.2"


async def test_a_server_by_its_name(empty_lab, server, tools, monkeypatch):
    gateway = WireguardClient(entry(server.access, servers=(Endpoint("vpn.example", server.access.port),)), tools)
    monkeypatch.setattr(gateway._resolver, "_ask", {"vpn.example": [server.access.host]}.__getitem__)
    async with running(gateway) as run:
        await run.connected()
        assert await _page(empty_lab) == f"{server.pool}.2"


async def test_a_name_that_leads_elsewhere_by_now_is_followed_while_nobody_answers(
    empty_lab, server, tools, monkeypatch
):
    """The handshake goes to a site without a server at first, and again after five seconds."""
    answers = iter([[Site.B.far], [server.access.host]])
    gateway = WireguardClient(entry(server.access, servers=(Endpoint("vpn.example", server.access.port),)), tools)
    monkeypatch.setattr(gateway._resolver, "_ask", lambda _: next(answers))
    async with running(gateway) as run:
        ear = await run.connected()
        assert f"the server is tried at {server.access.host}:51820, not {Site.B.far}:51820" in ear.text


async def test_the_next_attempt_begins_with_the_address_after_the_one_that_was_silent(
    empty_lab, server, tools, monkeypatch
):
    monkeypatch.setattr(connection, "_FIRST_HANDSHAKE", 0.3)
    gateway = WireguardClient(entry(server.access, servers=(Endpoint("vpn.example", server.access.port),)), tools)
    monkeypatch.setattr(gateway._resolver, "_ask", lambda _: [Site.B.far, server.access.host])
    async with running(gateway) as run:
        assert f"no handshake with {Site.B.far}:51820" in (await run.ended()).detail
        async with running(gateway) as another:
            await another.connected()


async def test_the_next_server_is_reached_over_the_same_device_and_process(empty_lab, server, tools):
    gateway = WireguardClient(entry(server.access), tools)
    async with running(gateway, Endpoint(Site.B.far, 51820)) as run:
        await _until(lambda: "Sending handshake initiation" in run.ear.text)
        before = (empty_lab.cloud.link("zone-d").index, processes("zone-d"))
        await run.cancelled()
        assert not [line for line in await _told() if line.startswith("public_key")]
        async with running(gateway) as another:
            await another.connected()
            assert (empty_lab.cloud.link("zone-d").index, processes("zone-d")) == before
            assert await _page(empty_lab) == f"{server.pool}.2"


async def test_two_tunnels_to_the_same_network_each_carry_by_their_device(empty_lab, server, tools):
    async with AsyncExitStack() as stack:
        other = stack.enter_context(empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.A)))
        clients = [WireguardClient(entry(other.access, "zone-c"), tools), WireguardClient(entry(server.access), tools)]
        runs = [await stack.enter_async_context(running(each)) for each in clients]
        for run, device, pool in zip(runs, ("zone-c", "zone-d"), (other.pool, server.pool), strict=True):
            await run.connected()
            assert await _page(empty_lab, device) == f"{pool}.2"
        await runs[0].cancelled()
        await clients[0].close()
        assert await _page(empty_lab, "zone-d") == f"{server.pool}.2"


# ---------------------------------------------------------------- ended


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_client_that_dies_is_missed_at_once_and_comes_back(empty_lab, server, tools, number):
    gateway = WireguardClient(entry(server.access), tools)
    async with running(gateway) as run:
        await run.connected()
        (pid,) = processes("zone-d")
        async with asyncio.timeout(1):
            os.kill(pid, number)
            failure = await run.task
        how = "was ended by SIGKILL" if number is signal.SIGKILL else "ended with status 0"
        assert (failure.reason, failure.detail) == (FailureReason.CLIENT_DIED, f"wireguard-go {how}")
        assert failure.server == Endpoint(server.access.host, server.access.port)
        assert empty_lab.cloud.link("zone-d") is None
        async with running(gateway) as another:
            await another.connected()
            assert await _page(empty_lab) == f"{server.pool}.2"


async def test_a_client_that_hangs_is_given_up_and_comes_back(empty_lab, server, tools, monkeypatch):
    monkeypatch.setattr(userspace, "_ANSWER", 0.5)
    gateway = WireguardClient(entry(server.access), tools)
    async with running(gateway) as run:
        await run.connected()
        (pid,) = processes("zone-d")
        os.kill(pid, signal.SIGSTOP)
        failure = await run.ended()
        assert failure.reason is FailureReason.CLIENT_DIED
        assert failure.detail == "wireguard-go has not answered for 0.5 s"
        async with running(gateway) as another:
            await another.connected()
            assert processes("zone-d") != [pid]
            assert await _page(empty_lab) == f"{server.pool}.2"


async def test_a_device_that_somebody_deletes_is_missed_at_once(empty_lab, server, tools):
    async with running(WireguardClient(entry(server.access), tools)) as run:
        await run.connected()
        async with asyncio.timeout(1):
            empty_lab.cloud.ip("link del zone-d")
            assert (await run.task).reason is FailureReason.CLIENT_DIED


async def test_a_device_that_somebody_renames_is_made_anew(empty_lab, server, tools):
    gateway = WireguardClient(entry(server.access), tools)
    async with running(gateway) as run:
        await run.connected()
        empty_lab.cloud.ip("link set zone-d name zone-x")
        await run.cancelled()
        async with running(gateway) as another:
            await another.connected()
            assert await _page(empty_lab) == f"{server.pool}.2"


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 100])
async def test_cancelled_at_any_moment_it_leaves_nothing(server, tools, turns):
    """After so many turns of the loop; that nothing is left is seen by the fixture."""
    async with running(WireguardClient(entry(server.access), tools)) as run:
        for _ in range(turns):
            await asyncio.sleep(0)
        await run.cancelled()


def _descriptors():
    return len([*Path("/proc/self/fd").iterdir()])


async def test_again_and_again_it_holds_no_descriptor_more(server, tools):
    held = []
    for _ in range(6):
        gateway = WireguardClient(entry(server.access), tools)
        async with running(gateway) as run:
            await run.connected()
            await run.cancelled()
            async with running(gateway) as another:
                await another.connected()
        held.append(_descriptors())
    assert held[1:] == held[1:2] * 5  # the first makes what stays: the socket of the thread that asks the kernel


async def test_the_socket_and_the_device_of_a_life_that_was_killed_are_no_hindrance(server, tools):
    orders("zone-d").parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(orders("zone-d")))
    async with running(WireguardClient(entry(server.access), tools)) as run:
        await run.connected()


# ---------------------------------------------------------------- what fails


async def test_a_stranger_and_a_server_that_is_not_there_look_the_same(empty_lab, server, tools, monkeypatch):
    monkeypatch.setattr(connection, "_FIRST_HANDSHAKE", 0.5)
    stranger = secret(empty_lab.workshop.pki.wireguard(Site.A.role).private)
    for spec, where in (
        (entry(server.access, private_key=stranger), server.access.host),
        (entry(server.access, servers=(Endpoint(Site.B.far, 51820),)), Site.B.far),
    ):
        async with running(WireguardClient(spec, tools)) as run:
            failure = await run.ended()
        assert failure.reason is FailureReason.TIMED_OUT
        assert failure.detail.startswith(f"no handshake with {where}:51820 within 0.5 s: nobody is there, a firewall")
        assert not run.ear.up.is_set()


@pytest.mark.parametrize(
    ("host", "detail"),
    [
        ("10.99.0.1", "nothing can be sent to the server: 10.99.0.1: No route to host"),
        ("no-such-name.invalid", "no-such-name.invalid cannot be resolved: Name or service not known"),
    ],
)
async def test_a_server_that_nothing_leads_to(empty_lab, server, tools, monkeypatch, host, detail):
    def ask(host):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    empty_lab.cloud.ip("route add unreachable 10.99.0.0/24")
    try:
        gateway = WireguardClient(entry(server.access, servers=(Endpoint(host, 51820),)), tools)
        monkeypatch.setattr(gateway._resolver, "_ask", ask)
        async with running(gateway) as run:
            failure = await run.ended()
    finally:
        empty_lab.cloud.ip("route del unreachable 10.99.0.0/24")
    assert (failure.reason, failure.detail) == (FailureReason.UNREACHABLE, detail)


async def test_a_network_that_takes_no_packets_is_unreachable_and_not_silent(empty_lab, server, tools, monkeypatch):
    """The route is there when it is looked for, and gone when the packet is sent."""
    monkeypatch.setattr(connection, "_FIRST_HANDSHAKE", 0.5)
    gateway = WireguardClient(entry(server.access), tools)
    routed = wireguard.routed

    async def and_gone(resolver, server):
        found = await routed(resolver, server)
        empty_lab.cloud.ip(f"route add unreachable {server.host}")
        return found

    monkeypatch.setattr(wireguard, "routed", and_gone)
    try:
        async with running(gateway) as run:
            failure = await run.ended()
    finally:
        empty_lab.cloud.ip(f"route del unreachable {server.access.host}")
    assert failure.reason is FailureReason.UNREACHABLE
    assert failure.detail == f"nothing can be sent to {server.access.host}:51820: no route to host"


async def test_somebody_elses_device_is_left_alone(empty_lab, server, tools):
    empty_lab.cloud.ip("tuntap add dev zone-d mode tun")
    try:
        async with running(WireguardClient(entry(server.access), tools)) as run:
            failure = await run.ended()
        assert empty_lab.cloud.link("zone-d") is not None
    finally:
        empty_lab.cloud.ip("link del zone-d")
    assert failure.reason is FailureReason.CONFIGURATION
    assert failure.detail.startswith("a device called zone-d exists and is a tun device that the gateway has not made")


async def test_a_process_of_another_namespace_keeps_its_socket_and_never_learns_the_key(empty_lab, server, tools):
    name = "wireguard-elsewhere"
    elsewhere = empty_lab.spaces[Site.A.role]
    empty_lab.processes.spawn(name, ["wireguard-go", "-f", "zone-d"], elsewhere)
    try:
        await _until(lambda: orders("zone-d").exists())
        async with running(WireguardClient(entry(server.access), tools)) as run:
            failure = await run.ended()
        assert failure.reason is FailureReason.CONFIGURATION
        assert "another WireGuard process has the socket of a device of this name" in failure.detail
        assert not [line for line in await _told() if line.startswith("private_key")]
    finally:
        empty_lab.processes.kill(name)
        orders("zone-d").unlink()


async def test_without_the_program(server, tools, monkeypatch):
    monkeypatch.setattr(userspace, "PROGRAM", "no-wireguard-go")
    async with running(WireguardClient(entry(server.access), tools)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.PROGRAM_MISSING
    assert failure.detail == "this kernel has no WireGuard, and no-wireguard-go is not installed, or not in PATH"


async def test_a_process_that_is_killed_before_it_is_ready_is_said_to_be(server, tools, tmp_path_factory, monkeypatch):
    """And what it left is taken away: the fixture sees that its socket is gone."""
    program = tmp_path_factory.mktemp("programs") / "stillborn"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, signal, socket\n"
        f"os.makedirs({str(DIRECTORY)!r}, exist_ok=True)\n"
        f"socket.socket(socket.AF_UNIX).bind({str(orders('zone-d'))!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    program.chmod(0o700)
    monkeypatch.setattr(userspace, "PROGRAM", str(program))
    async with running(WireguardClient(entry(server.access), tools)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.CLIENT_DIED
    assert "was ended by SIGKILL before it took orders" in failure.detail


# ---------------------------------------------------------------- secrets


async def test_the_keys_are_nowhere_but_in_memory(empty_lab, tools):
    with empty_lab.serving(WireGuardServer(empty_lab.workshop, Site.A, preshared=True)) as server:
        planted = [secret(path).reveal() for path in (server.access.private_key, server.access.preshared_key)]
        words = [*planted, *(bytes_of(word).hex() for word in planted)]
        async with running(WireguardClient(entry(server.access), tools)) as run:
            ear = await run.connected()
            (pid,) = processes("zone-d")
            arguments, environment = (shown(pid, name) for name in ("cmdline", "environ"))
            assert arguments == ["/usr/bin/wireguard-go", "-f", "zone-d"]
            assert {each.partition("=")[0] for each in environment} <= {
                *("LC_ALL", "LOG_LEVEL", "PATH", "PWD", "WG_PROCESS_FOREGROUND"),
            }
            assert not [word for word in words if word in str(environment)]
            assert list(tools.runtime.iterdir()) == []
            assert orders("zone-d").stat().st_mode & 0o077 == 0
            assert not [word for word in words if word in ear.text]
            assert words[2] in "\n".join(await _told())  # the search would have found it


def shown(pid: int, name: str) -> list[str]:
    return Path(f"/proc/{pid}/{name}").read_text().rstrip("\0").split("\0")


def bytes_of(key: str) -> bytes:
    return base64.b64decode(key)


# ---------------------------------------------------------------- slowly


@pytest.mark.matrix
async def test_a_server_that_is_silent_from_the_first(server, tools):
    spec = entry(server.access, servers=(Endpoint(Site.B.far, 51820),))
    async with running(WireguardClient(spec, tools)) as run:
        failure = await run.ended()
    assert failure.reason is FailureReason.TIMED_OUT
    assert failure.detail.startswith(f"no handshake with {Site.B.far}:51820 within 10 s")


@pytest.mark.matrix
@pytest.mark.timeout(120)
async def test_a_server_that_falls_silent_is_lost_and_one_that_was_restarted_is_not(empty_lab, server, tools):
    loop = asyncio.get_running_loop()
    async with running(WireguardClient(entry(server.access, keepalive=0), tools)) as run, asyncio.TaskGroup() as group:
        await run.connected()
        assert await _page(empty_lab) == f"{server.pool}.2"
        asking = group.create_task(_keep_asking(empty_lab))
        await asyncio.to_thread(empty_lab.restart, server.name)
        await _until(lambda: "we stopped hearing back after 15 seconds" in run.ear.text, within=25)
        await _until(lambda: run.ear.text.count("Received handshake response") == 2)
        assert await _page(empty_lab) == f"{server.pool}.2"
        with empty_lab.faults.kill9(server.name):
            began = loop.time()
            async with asyncio.timeout(40):
                failure = await run.task
            passed = loop.time() - began
        asking.cancel()
    assert failure.reason is FailureReason.TIMED_OUT
    assert failure.detail.startswith("nothing came for ")
    assert 24 < passed < 34


async def _keep_asking(lab):
    while True:
        with suppress(OSError):
            await client.fetch(lab.cloud, device="zone-d", within=1)
        await asyncio.sleep(0.2)
