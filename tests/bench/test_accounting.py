from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.accounting import Memory, cpu_seconds, memory, parse_machine, parse_rollup, parse_stat

TICK = 1 / os.sysconf("SC_CLK_TCK")


def test_stat_survives_a_name_with_spaces_and_brackets():
    text = "42 (a) b (c) S 1 40 41 0 -1 4194304 100 0 0 0 7 5 3 1 20 0 1 0 1234 0 0"
    assert parse_stat(text) == (41, 16 * TICK)


def test_waiting_idle_and_stolen_time_are_not_busy():
    assert parse_machine("cpu  10 1 20 1000 500 3 4 99 0 0\ncpu0 1 1\n") == 38 * TICK


def test_memory_is_what_was_allocated():
    text = "55d0-7fff ---p 00000000 00:00 0 [rollup]\nRss: 900 kB\nPss: 700 kB\nPss_Anon: 500 kB\nAnonymous: 600 kB\n"
    assert parse_rollup(text) == Memory(anonymous=500 * 1024, pss=700 * 1024)


def test_a_session_is_a_process_and_what_it_forked():
    script = "import os, sys\nif os.fork(): os.wait()\nelse: print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        both = memory(child.pid)
        lone = parse_rollup(Path(f"/proc/{child.pid}/smaps_rollup").read_text())
        assert both.anonymous > lone.anonymous
        assert cpu_seconds(child.pid) >= 0
        child.communicate()
    assert cpu_seconds(child.pid) == 0
