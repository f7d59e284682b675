"""The daemon's own life. What it is used for is in test_client.py."""

from __future__ import annotations

import asyncio

import pytest

from gateway.model import FailureReason, IpsecAuth
from gateway.tunnels.ipsec import charon as daemon
from gateway.tunnels.ipsec import pid_file
from gateway.tunnels.ipsec.charon import CharonError, charon
from gateway.tunnels.ipsec.settings import TABLE, Encryption, Settings

pytestmark = pytest.mark.lab


@pytest.fixture
def settings(tools):
    def of(name):
        return Settings(socket=tools.runtime / f"{name}.vici", auth=IpsecAuth.PUBKEY, encryption=Encryption.USERSPACE)

    return of


async def test_it_takes_orders_and_nothing_of_it_is_outside(empty_lab, settings, tools):
    lines = []
    async with charon(settings("one"), lines.append) as running:
        await running.orders.give("version", {})
        assert empty_lab.cloud.link(running.device) is not None
        assert f"lookup {TABLE}" not in empty_lab.cloud.run(["ip", "rule"])
        assert f"lookup {TABLE}" not in empty_lab.cloud.run(["ip", "-6", "rule"])
        assert not _names(running.process.pid)
    assert running.process.returncode == 0
    assert any("SIGTERM received" in line for line in lines)
    assert empty_lab.cloud.link(running.device) is None
    assert list(tools.runtime.iterdir()) == []


def _names(pid):
    return pid_file.PATH.exists() and pid_file.PATH.read_text().strip() == str(pid)


async def test_any_number_of_them_start_at_once(settings):
    together = asyncio.Barrier(4)

    async def live(name):
        async with charon(settings(name), lambda _: None) as running:
            await running.orders.give("version", {})
            async with asyncio.timeout(10):
                await together.wait()
            return running.device

    async with asyncio.TaskGroup() as group:
        lives = [group.create_task(live(f"charon-{number}")) for number in range(4)]
    assert len({each.result() for each in lives}) == 4


async def test_one_that_never_takes_orders_is_not_waited_for(settings, tmp_path, monkeypatch):
    program = tmp_path / "mute"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    monkeypatch.setattr(daemon, "PROGRAM", str(program))
    monkeypatch.setattr(daemon, "_START", 0.1)
    with pytest.raises(CharonError, match="takes no orders"):
        async with charon(settings("mute"), lambda _: None):
            pass


async def test_one_that_is_killed_before_it_is_ready_is_said_to_be(settings, tmp_path, monkeypatch):
    program = tmp_path / "stillborn"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o700)
    monkeypatch.setattr(daemon, "PROGRAM", str(program))
    with pytest.raises(CharonError, match="ended by SIGKILL before it took orders") as raised:
        async with charon(settings("stillborn"), lambda _: None):
            pass
    assert raised.value.failure.reason is FailureReason.CLIENT_DIED
