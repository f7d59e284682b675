from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.tunnels.ipsec import pid_file
from tests.lab.waiting import wait_until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "charon.pid"


@contextmanager
def _running(tmp_path, name):
    """A process that goes by `name`."""
    program = tmp_path / name
    shutil.copy(shutil.which("sleep"), program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            wait_until(lambda: _comm(process.pid) == name, within=5, what=f"{name} runs")
            yield process.pid
        finally:
            process.kill()


def _comm(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


@pytest.mark.parametrize("content", [None, "", "nonsense", "999999999\n"])
def test_without_a_living_holder_the_way_is_free(path, content):
    if content is not None:
        path.write_text(content)
    assert pid_file.holder(path) is None


def test_a_living_charon_holds_it(path, tmp_path):
    with _running(tmp_path, "charon") as pid:
        path.write_text(f"{pid}\n")
        assert pid_file.holder(path) == pid
        assert path.exists()


def test_another_program_of_the_same_number_does_not_and_its_file_is_taken_away(path, tmp_path):
    with _running(tmp_path, "postgres") as pid:
        path.write_text(f"{pid}\n")
        assert pid_file.holder(path) is None
        assert not path.exists()


@pytest.mark.parametrize(("named", "left"), [(4711, False), (4712, True)])
def test_only_our_own_is_taken_away(path, named, left):
    path.write_text(f"{named}\n")
    pid_file.release(path, 4711)
    assert path.exists() is left


def test_nothing_to_take_away_is_no_error(path):
    pid_file.release(path, 4711)
