from __future__ import annotations

import os
import subprocess

import pytest

from tests.lab import state
from tests.lab.errors import LabError
from tests.lab.processes import ProcessId


@pytest.fixture
def root(tmp_path):
    return tmp_path / "labs"


def _bury(directory):
    """Make the owner of a directory somebody who has died."""
    with subprocess.Popen(["true"]) as process:
        owner = ProcessId.of(process.pid)
    (directory.path / "owner").write_text(str(owner))


def test_a_claimed_directory_is_private_and_ours(root):
    directory = state.claim("glab-x", root=root)
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert directory.owner == ProcessId.of(os.getpid())
    assert [each.name for each in state.living(root=root)] == ["glab-x"]


def test_namespaces_are_recorded_before_they_are_made(root):
    directory = state.claim("glab-x", root=root)
    assert "glab-x-cloud" in (directory.path / "namespaces").read_text().split()


def test_release_removes_it(root):
    directory = state.claim("glab-x", root=root)
    state.release(directory)
    assert not directory.path.exists()
    with pytest.raises(LabError, match="is gone"):
        _ = directory.owner


def test_a_sweep_takes_the_dead_and_their_processes_and_spares_the_living(root):
    dead, alive = state.claim("glab-dead", root=root), state.claim("glab-alive", root=root)
    with subprocess.Popen(["sleep", "60"]) as left_behind:
        (dead.processes / "sleeper").write_text(str(ProcessId.of(left_behind.pid)))
        _bury(dead)
        assert state.sweep(root=root) == ["glab-dead"]
        assert left_behind.wait(5) != 0
    assert not dead.path.exists()
    assert alive.path.exists()


def test_the_next_claim_sweeps(root):
    dead = state.claim("glab-dead", root=root)
    _bury(dead)
    state.claim("glab-next", root=root)
    assert not dead.path.exists()


def test_a_directory_whose_maker_died_before_signing_is_swept(root):
    unsigned = state.claim("glab-unsigned", root=root)
    (unsigned.path / "owner").unlink()
    (unsigned.path / "namespaces").unlink()
    assert state.sweep(root=root) == ["glab-unsigned"]
