"""The writer against real pipes: nobody who logs ever waits, and what is lost is said."""

import fcntl
import gc
import os
import subprocess
import sys
import threading
import time
import weakref

import pytest

from gateway.observe.writer import LineWriter


def notice(count: int) -> str:
    return f"{count} dropped"


@pytest.fixture
def writer(pipe):
    made = LineWriter(pipe.write_end, notice=notice, capacity=256 * 1024)
    yield made
    made.close(timeout=0)


def test_lines_arrive_in_order(pipe, writer):
    for number in range(100):
        writer.write(f"line {number}")
    assert [pipe.read_line() for _ in range(100)] == [f"line {number}" for number in range(100)]


def test_a_reader_that_stalls_delays_no_writer_and_is_told_what_it_missed(pipe, writer):
    line = "x" * 1000
    slowest = 0.0
    for _ in range(2000):  # 2 MB into a 64 KiB pipe and a 256 KiB queue
        before = time.perf_counter()
        writer.write(line)
        slowest = max(slowest, time.perf_counter() - before)
    assert slowest < 1.0, "write waited for the reader"
    dropped = writer.dropped
    assert dropped > 1000

    read = [pipe.read_line() for _ in range(2000 - dropped + 1)]
    assert read.count(f"{dropped} dropped") == 1
    assert read.count(line) == 2000 - dropped
    writer.write("back to normal")
    assert pipe.read_line() == "back to normal"


def test_the_pipe_stays_in_blocking_mode(pipe, writer):
    writer.write("line")
    pipe.read_line()
    assert not fcntl.fcntl(pipe.write_end, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_descriptor_that_others_made_non_blocking_loses_nothing(pipe, writer):
    os.set_blocking(pipe.write_end, False)
    for _ in range(150):
        writer.write("y" * 1000)
    assert [len(pipe.read_line()) for _ in range(150)] == [1000] * 150
    assert writer.dropped == 0


def test_close_writes_what_waits(pipe):
    writer = LineWriter(pipe.write_end, notice=notice)
    for number in range(1000):
        writer.write(str(number))
    writer.close()
    assert pipe.read_all() == [str(number) for number in range(1000)]
    writer.close()


def test_close_keeps_its_deadline_when_nobody_reads(pipe):
    writer = LineWriter(pipe.write_end, notice=notice)
    for _ in range(200):
        writer.write("z" * 1000)
    before = time.monotonic()
    writer.close(timeout=0.1)
    assert 0.1 <= time.monotonic() - before < 5
    assert all(thread.name != "log-writer" for thread in threading.enumerate())
    assert len([line for line in pipe.read_all() if len(line) == 1000]) == 200 - writer.dropped


def test_after_close_lines_are_dropped_and_counted(writer):
    writer.close()
    writer.write("too late")
    assert writer.dropped == 1


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe, writer, wait_until):
    os.close(pipe.read_end)
    writer.write("to nobody")
    wait_until(lambda: writer.dropped == 1)
    writer.write("nor this")
    wait_until(lambda: writer.dropped == 2)


def test_text_that_is_no_unicode_is_written_escaped(pipe, writer):
    writer.write("a lone surrogate: \udc80, and a µ")
    assert pipe.read_line() == "a lone surrogate: \\udc80, and a µ"


def test_many_threads_write_whole_lines(pipe, writer):
    def write(name: str) -> None:
        for number in range(50):
            writer.write(f"{name} {number} " + "." * 200)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    lines = [pipe.read_line() for _ in range(200)]
    for thread in threads:
        thread.join()
    for name in "abcd":
        numbers = [int(line.split()[1]) for line in lines if line.startswith(name)]
        assert numbers == list(range(50))


def test_no_thread_runs_before_the_first_line(pipe):
    LineWriter(pipe.write_end, notice=notice)
    assert all(thread.name != "log-writer" for thread in threading.enumerate())


def test_a_forgotten_writer_is_collected(pipe):
    kept = weakref.ref(LineWriter(pipe.write_end, notice=notice))
    gc.collect()
    assert kept() is None


FORKS = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is what is tried here
from gateway.observe.writer import LineWriter
writer = LineWriter(1, notice=str)
writer.write("parent")
child = os.fork()
if child == 0:
    writer.write("child")
    writer.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
writer.write("parent again")
writer.close()
"""


def test_a_forked_child_writes_its_own_lines_and_none_of_its_parents():
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == ["child", "parent", "parent again"]


STALLS_AT_EXIT = """
import sys
from gateway.observe import logs
import structlog
logs.configure(environment="test")
for _ in range(300):
    structlog.get_logger().info("log.filled", text="x" * 1000)
print("ended", flush=True)
"""


def test_an_interpreter_ends_although_nobody_reads_its_log():
    with subprocess.Popen(
        [sys.executable, "-c", STALLS_AT_EXIT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read() == "ended\n"
        assert process.wait(timeout=30) == 0
