from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.mounts import View
from tests.lab.processes import ProcessId
from tests.lab.waiting import wait_until

pytestmark = pytest.mark.lab


@pytest.fixture
def view(empty_lab, tmp_path):
    hostname = tmp_path / "hostname"
    hostname.write_text("elsewhere")
    view = View(empty_lab.directory, "view", {Path("/etc/hostname"): hostname})
    view.clear()
    return view


def _mounts():
    return Path("/proc/self/mountinfo").read_text()


def test_it_has_a_run_of_its_own_and_other_files(empty_lab, view):
    cloud, before, hostname = empty_lab.cloud, _mounts(), Path("/etc/hostname").read_text()
    assert cloud.run(view.command(["cat", "/etc/hostname"])) == "elsewhere"
    cloud.run(view.command(["touch", "/run/seen", "/var/run/seen"]))
    assert (view.run / "seen").exists()
    assert not Path("/run/seen").exists()
    assert Path("/etc/hostname").read_text() == hostname
    assert _mounts() == before


def test_the_lab_s_directory_is_where_it_always_is(empty_lab, view):
    ca = empty_lab.workshop.pki.ca
    assert empty_lab.cloud.run(view.command(["cat", str(ca)])) == ca.read_text()


def test_clear_makes_it_empty(empty_lab, view):
    (view.run / "program.pid").write_text("1")
    view.clear()
    assert not (view.run / "program.pid").exists()


def test_a_program_keeps_its_id(empty_lab, view):
    processes = empty_lab.processes
    started = processes.spawn("viewer", view.command(["sh", "-c", "echo $$; exec sleep 60"]), empty_lab.cloud)
    try:
        wait_until(lambda: processes.log("viewer") != "", within=5, what="the program runs")
        assert processes.log("viewer") == f"{started.pid}\n"
    finally:
        processes.kill("viewer")


def test_a_family_goes_together(empty_lab, view):
    processes = empty_lab.processes
    parent = ["sh", "-c", "sleep 60 & echo started; exec sleep 60"]
    head = processes.spawn("family", view.family(parent), empty_lab.cloud)
    try:
        wait_until(lambda: "started" in processes.log("family"), within=5, what="the child runs")
        (child,) = _children(head.pid)
        (grandchild,) = _children(child.pid)
        assert grandchild.alive
    finally:
        processes.kill("family")
    assert child.wait(5)
    assert grandchild.wait(5)


def _children(pid):
    return [ProcessId.of(int(each)) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
