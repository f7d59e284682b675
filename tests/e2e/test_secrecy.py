"""The search for secrets finds them: in every dress, in every place that it looks at, and nowhere else."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from urllib.parse import quote

import pytest

from tests.e2e import secrecy
from tests.lab.processes import mortal
from tests.lab.waiting import wait_until

_SECRET = "pass/word=for tests"
_KEY = "-----BEGIN KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASC\nshort\n-----END KEY-----\n"
_SECRETS = {"password": _SECRET, "key": _KEY}


@pytest.mark.parametrize(
    "dressed",
    [
        _SECRET,
        base64.b64encode(_SECRET.encode()).decode(),
        _SECRET.encode().hex(),
        quote(_SECRET, safe=""),
    ],
)
def test_a_secret_is_found_in_any_dress(dressed):
    places = {"here": f"before {dressed} after".encode(), "there": b"nothing"}
    assert secrecy.exposed(_SECRETS, places) == ["password in here"]


def test_a_key_is_found_by_one_of_its_lines_and_not_by_its_frame():
    assert secrecy.exposed(_SECRETS, {"here": b"MIIBVQIBADANBgkqhkiG9w0BAQEFAASC"}) == ["key in here"]
    assert not secrecy.exposed(_SECRETS, {"here": b"-----BEGIN KEY-----"})


def test_what_is_too_short_to_be_looked_for_is_no_secret():
    with pytest.raises(AssertionError, match="too short"):
        secrecy.forms("abc")


def test_arguments_and_environments_of_descendants_are_looked_at():
    sleeper = 'import subprocess, sys; subprocess.run([sys.executable, "-c", "input()", *sys.argv[1:]])'
    argv = mortal([sys.executable, "-c", sleeper, _SECRET])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env={**os.environ, "X": _SECRET}) as parent:
        wait_until(lambda: len(secrecy.family(parent.pid)) == 2, within=10, what="a child")
        child = secrecy.family(parent.pid)[1]
        wait_until(lambda: b"input()" in secrecy.of_processes([child])[f"/proc/{child}/cmdline"], within=10, what="it")
        found = secrecy.exposed(_SECRETS, secrecy.of_processes(secrecy.family(parent.pid)))
        parent.communicate()
    assert found == [
        f"password in /proc/{pid}/{file}" for pid in (parent.pid, child) for file in ("cmdline", "environ")
    ]


def test_files_are_looked_at_but_for_those_that_are_older_or_left_out(tmp_path):
    since = time.time() - 1
    for place in ("new", "deep/down/new", "kept/new", "old"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_SECRET)
    os.utime(tmp_path / "old", (since - 1, since - 1))
    (tmp_path / "link").symlink_to(tmp_path / "old")
    written = secrecy.of_files(tmp_path, since=since, without=[tmp_path / "kept"])
    assert sorted(secrecy.exposed(_SECRETS, written)) == [
        f"password in {tmp_path}/{place}" for place in ("deep/down/new", "new")
    ]


def test_limits_are_those_of_the_process():
    with subprocess.Popen(["prlimit", "--core=7:8", "cat"], stdin=subprocess.PIPE) as limited:
        wait_until(
            lambda: secrecy.limits(limited.pid, "Max core file size") == ("7", "8"),
            within=10,
            what="a limit",
            detail=lambda: str(secrecy.limits(limited.pid, "Max core file size")),
        )
        limited.communicate()
