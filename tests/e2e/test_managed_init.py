"""The gateway as PID 1, as in a container: it inherits every orphan, and has to reap what is nobody's."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.e2e.failover import forward, page
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import configuration, connected, tunnel
from tests.e2e.traces import child, children, kept
from tests.lab.servers.openvpn import OpenVpnServer
from tests.lab.topology import Site
from tests.lab.waiting import eventually

pytestmark = pytest.mark.lab

_AS_INIT = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
_ORPHANS = 3


async def test_orphans_are_reaped_and_clients_are_still_waited_for(empty_lab, tmp_path):
    with empty_lab.serving(OpenVpnServer(empty_lab.workshop, Site.A)) as server:
        before = kept(empty_lab)
        entry = tunnel("zone-a", server.access)
        text = configuration(empty_lab, tmp_path, entry, forward("hello", 33000, 8080))
        async with GatewayProcess(empty_lab, tmp_path, text, launcher=_AS_INIT) as process:
            await process.event("gateway.started")
            await connected(process, "zone-a")
            (init,) = children(process.pid)
            for _ in range(_ORPHANS):
                _leave_an_orphan(init)

            async def all_inherited() -> bool:
                return len(children(init, "sleep")) == _ORPHANS

            await eventually(all_inherited, within=10.0, what="they are the gateway's")
            for orphan in children(init, "sleep"):
                os.kill(orphan, signal.SIGTERM)

            async def all_reaped() -> bool:
                return children(init, "sleep") == []

            await eventually(all_reaped, within=10.0, what="its orphans are reaped")

            mark = len(process.events)
            child(init, "openvpn").end()
            ended = await process.event("tunnel.disconnected", since=mark)
            assert "openvpn was ended by SIGKILL" in str(ended["detail"]), "it was the gateway that waited for it"
            await process.event("tunnel.transition", since=mark, new="up")
            assert (await page(empty_lab, 33000)).startswith(f"{server.pool}.")
            os.kill(init, signal.SIGTERM)  # `unshare` passes none on
            assert await process.exit_code() == 0
        assert kept(empty_lab) == before


def _leave_an_orphan(init):
    """Start a process beside `init`, in its namespace of processes, and let its parent end before it does."""
    argv = ["nsenter", "--target", str(init), "--pid", "--", "sh", "-c", "sleep 60 >/dev/null 2>&1 &"]
    subprocess.run(argv, check=True)
