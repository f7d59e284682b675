from __future__ import annotations

import os
import subprocess

import pytest

from bench.vpn.cores import Cores, move, on_core, share_out


@pytest.mark.parametrize(
    ("available", "cores"),
    [
        ([5], (5, 5, 5, 5)),
        ([0, 1], (0, 0, 1, 1)),
        ([0, 1, 2], (0, 1, 2, 2)),
        ([0, 1, 2, 3], (0, 1, 2, 3)),
        ([2, 4, 6, 8, 10], (2, 4, 6, 8)),
    ],
)
def test_whoever_can_has_a_core_of_its_own(available, cores):
    gateway, client, server, load = cores
    assert share_out(available) == Cores(gateway=gateway, client=client, server=server, load=load)


def test_what_is_started_meanwhile_is_on_the_core_and_can_be_moved():
    before = os.sched_getaffinity(0)
    first, last = min(before), max(before)
    with on_core(first), subprocess.Popen(["sleep", "60"]) as child:
        try:
            assert os.sched_getaffinity(child.pid) == {first}
            move(child.pid, last)
            assert os.sched_getaffinity(child.pid) == {last}
        finally:
            child.kill()
    assert os.sched_getaffinity(0) == before
