from __future__ import annotations

import subprocess
import sys

import pytest

from tests.lab import keeper, netns
from tests.lab.errors import LabError

pytestmark = pytest.mark.lab


def _lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.lab", *words], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_kept_lab_takes_orders_and_goes_when_told():
    name = keeper.start("openvpn")
    kept = next(each for each in keeper.kept() if each.name == name)
    try:
        assert keeper.ask(kept, ["check"]) == "site a: answers\nsite b: answers"
        assert keeper.ask(kept, ["fault", "carrier", "a"]) == "injected: carrier a"
        assert "faults: carrier a" in keeper.ask(kept, ["status"])
        assert keeper.ask(kept, ["check"]) == "site a: silent\nsite b: answers"
        with pytest.raises(LabError, match="no fault is called flood"):
            keeper.ask(kept, ["fault", "flood"])
        assert keeper.ask(kept, ["heal"]) == "as good as new"
        assert keeper.ask(kept, ["restart", "openvpn-client-b"]) == "openvpn-client-b restarted"
    finally:
        keeper.stop(kept)
    assert not any(each.startswith(name) for each in netns.existing())
    assert not kept.path.exists()


def test_a_kept_lab_can_have_a_kind_for_each_site():
    name = keeper.start("wireguard", "openvpn", "ipsec")
    kept = next(each for each in keeper.kept() if each.name == name)
    try:
        assert keeper.ask(kept, ["check"]) == "site a: answers\nsite b: answers\nsite c: answers"
        assert keeper.ask(kept, ["restart", "ipsec-client-c"]) == "ipsec-client-c restarted"
    finally:
        keeper.stop(kept)


def test_a_lab_that_cannot_be_built_says_why():
    with pytest.raises(LabError, match="no VPN is of kind pigeon"):
        keeper.start("pigeon")


def test_without_a_command_the_command_line_teaches():
    answer = _lab()
    assert answer.returncode == 0
    assert "fault NAME WORD" in answer.stdout


def test_all_faults_are_listed():
    assert "tun_carrier SITE" in _lab("fault").stdout.splitlines()
