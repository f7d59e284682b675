from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench.children import SampleError
from bench.vpn.clocks import cpu_seconds, descendants, parents


def test_the_clock_of_this_process_is_its_own():
    before = time.process_time()
    told = cpu_seconds([os.getpid()])
    assert before <= told <= time.process_time()


def test_it_tells_the_time_of_others_finer_than_ticks():
    script = "import sys\nfor _ in range(10000): pass\nprint('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        told = cpu_seconds([child.pid])
        child.communicate()
    assert told > 0
    assert told * os.sysconf("SC_CLK_TCK") % 1 != 0


def test_the_time_of_a_process_that_ended_is_lost():
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(SampleError, match=f"process {child.pid} ended"):
        cpu_seconds([child.pid])


def test_descendants_are_children_and_theirs():
    assert descendants(2, {1: 0, 2: 1, 3: 2, 4: 1, 5: 3, 6: 2}) == (3, 6, 5)


def test_this_process_descends_from_its_parent():
    assert os.getpid() in descendants(os.getppid(), parents())
