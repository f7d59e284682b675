"""What a gateway knows does not end in a core file, even where everybody else's does."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.failover import forward
from tests.e2e.harness import GatewayProcess
from tests.e2e.managed import configuration, tunnel
from tests.lab.servers.wireguard import WireGuardServer
from tests.lab.topology import Site

pytestmark = pytest.mark.lab

_PORT = 33000
_IDLE = ("autoconnect = false", 'routes = "none"')  # a gateway that crashes cannot tidy up: let there be nothing


@pytest.mark.parametrize("number", [signal.SIGABRT, pytest.param(signal.SIGSEGV, marks=pytest.mark.matrix)])
async def test_a_gateway_that_crashes_leaves_none(empty_lab, tmp_path, number):
    here = f"cd {tmp_path} && ulimit -c unlimited && exec"
    _leave_a_core(here, tmp_path, number)
    access = WireGuardServer(empty_lab.workshop, Site.A).access
    text = configuration(empty_lab, tmp_path, tunnel("wg", access, *_IDLE), forward("hello", _PORT))
    async with GatewayProcess(empty_lab, tmp_path, text, launcher=["sh", "-c", f'{here} "$@"', "sh"]) as gateway:
        await gateway.event("gateway.started")
        gateway.signal(number)
        assert await gateway.exit_code() == -number
    assert not [*tmp_path.glob("core*")]


def _leave_a_core(here, directory, number):
    """Show that a program that crashes in `directory` leaves a core file, and remove it; skip where none ever does."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    if pattern.startswith(("/", "|")):
        pytest.skip(f"core files go elsewhere on this machine: {pattern}")
    subprocess.run(["sh", "-c", f"{here} sh -c 'kill -{number} $$'"], check=False)
    (dumped,) = directory.glob("core*")
    dumped.unlink()
