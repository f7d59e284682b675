"""A client test is skipped, or fails, for a reason that can be acted on; and its programs never outlive it."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e import programs
from tests.e2e.programs import attempt, program, run, running


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(programs, "_PATH", "/nonexistent")


def test_a_missing_program_skips_with_its_package(nothing_installed, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="psql is missing: it needs the Debian package postgresql"):
        program("psql")


def test_a_missing_program_fails_on_ci(nothing_installed, monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="redis-cli is missing"):
        program("redis-cli")


def test_a_program_that_fails_is_no_success():
    assert attempt("setpriv", "--nonsense").status != 0
    with pytest.raises(AssertionError, match="setpriv ended with"):
        run("setpriv", "--nonsense")


def test_a_program_that_takes_too_long_is_ended():
    with pytest.raises(subprocess.TimeoutExpired):
        run("setpriv", "sleep", "60", within=0.1)


def test_what_runs_meanwhile_is_over_after_the_block():
    with running("setpriv", "cat") as cat:
        cat.stdin.write("hello\n")
        assert cat.stdout.readline() == "hello\n"
    assert cat.returncode == -9
