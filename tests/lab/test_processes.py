from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.processes import ProcessId, end_recorded, mortal
from tests.lab.waiting import wait_until

_PARENT = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_id_and_start(sleeper):
    known = ProcessId.of(sleeper.pid)
    assert known is not None
    assert known.alive
    assert ProcessId.parse(str(known)) == known


def test_another_process_with_the_same_id_is_never_signalled(sleeper):
    known = ProcessId.of(sleeper.pid)
    stranger = ProcessId(known.pid, known.start - 1)
    assert not stranger.alive
    assert not stranger.signal(signal.SIGKILL)
    assert known.alive


def test_a_zombie_counts_as_gone(sleeper):
    known = ProcessId.of(sleeper.pid)
    known.end()  # not reaped: its parent, this process, has not waited yet
    assert not known.alive
    assert sleeper.wait(5) == -signal.SIGKILL
    assert ProcessId.of(sleeper.pid) is None
    assert not known.signal(signal.SIGKILL)


def test_wait_tells_whether_it_ended(sleeper):
    known = ProcessId.of(sleeper.pid)
    assert not known.wait(0.01)
    sleeper.kill()
    assert known.wait(5)


def test_what_is_recorded_is_ended(sleeper, tmp_path):
    known = ProcessId.of(sleeper.pid)
    (tmp_path / "sleeper").write_text(str(known))
    (tmp_path / "long gone").write_text(f"{os.getpid()} 1")
    end_recorded(tmp_path)
    assert not known.alive


def test_a_mortal_process_dies_with_whoever_started_it():
    argv = [sys.executable, "-c", _PARENT, *mortal(["sleep", "60"])]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        child = ProcessId.of(pid)
        wait_until(lambda: _command(pid) == "sleep", within=5, what="setpriv became sleep")
        parent.kill()
    assert child.wait(5)


def _command(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()
