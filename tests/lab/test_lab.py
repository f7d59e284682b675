from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.lab import client, netns, state, vpn
from tests.lab.errors import LabError
from tests.lab.lab import Lab
from tests.lab.names import Role, namespace_name
from tests.lab.processes import ProcessId
from tests.lab.servers.openvpn import OpenVpnServer
from tests.lab.topology import PAIR, Site

pytestmark = pytest.mark.lab

_CRASHING_OWNER = """
import sys
from tests.lab.lab import Lab
lab = Lab("openvpn", "ipsec", "wireguard")
lab.up()
print(lab.directory.name, *(lab.processes.id(name).pid for name in lab.processes.names()), flush=True)
sys.stdin.read()
"""


def _namespaces(name: str) -> set[str]:
    return {namespace_name(name, role) for role in Role} & netns.existing()


@pytest.mark.parametrize("site", PAIR)
async def test_each_tunnel_answers_with_its_own_address(lab, site):
    tunnel = lab.vpn(site)
    assert tunnel.address.startswith(site.pool(1))
    assert (await client.fetch(lab.cloud, device=tunnel.device)).seen == tunnel.address


def test_a_lab_leaves_nothing_behind():
    with Lab("openvpn") as lab:
        name, path = lab.directory.name, lab.directory.path
        processes = [lab.processes.id(each) for each in lab.processes.names()]
        assert len(processes) == 5
        assert all(process.alive for process in processes)
        assert len(_namespaces(name)) == len(Role)
    assert not any(process.alive for process in processes)
    assert _namespaces(name) == set()
    assert not path.exists()


def test_two_labs_do_not_see_each_other(lab):
    with Lab("openvpn") as other:
        with other.faults.carrier(Site.A), other.faults.kill9("corp"):
            assert not other.answers(Site.A)
            assert lab.answers(Site.A)
        assert other.answers(Site.B)


def test_nothing_is_made_in_the_machines_own_namespace(lab):
    own = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    devices = {line.split()[0].partition("@")[0] for line in own.splitlines()}
    assert devices.isdisjoint({"wan-a", "wan-b", "c-a", "s-a", "tun-a", "tun-b", "br-a", "uplink"})


def test_a_lab_that_cannot_be_built_is_taken_down(monkeypatch):
    seen = []

    def broken(workshop, site):
        seen.append(workshop.directory.name)
        raise LabError("no wire")

    monkeypatch.setattr(vpn, "load", lambda _kind: broken)
    with pytest.raises(LabError, match="no wire"):
        Lab("openvpn").up()
    assert _namespaces(seen[0]) == set()
    assert not (state.ROOT / seen[0]).exists()


def test_what_a_crashed_owner_leaves_is_swept():
    with subprocess.Popen(
        [sys.executable, "-c", _CRASHING_OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        name, *pids = owner.stdout.readline().split()
        processes = [ProcessId.of(int(pid)) for pid in pids]
        owner.send_signal(signal.SIGKILL)
    assert all(process.wait(5) for process in processes)  # they die with their owner
    assert len(_namespaces(name)) == len(Role)
    assert name in state.sweep()
    assert _namespaces(name) == set()


def test_a_server_of_the_same_name_is_refused_and_harms_nobody(lab):
    second = OpenVpnServer(lab.workshop, Site.A)
    with pytest.raises(LabError, match="openvpn-server-a runs already"), lab.serving(second):
        pass
    assert lab.answers(Site.A)


def test_unknown_processes_are_refused(lab):
    with pytest.raises(LabError, match=r"no process is called corps; there are corp,"):
        lab.restart("corps")
