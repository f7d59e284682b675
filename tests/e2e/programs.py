"""The real programs that the client tests run: where each is, what Debian package it comes from, and how it is run.

A program that is missing skips the test that needs it, with the package's name; on CI (`CI=true`) the test fails.
Programs see nothing of the user who runs the tests: no proxies, no start-up files, no locale.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.lab.processes import mortal

PACKAGES = {  # the program, and the Debian package it comes from
    "curl": "curl",
    "socat": "socat",
    "nginx": "nginx",
    "wrk": "wrk",
    "initdb": "postgresql",
    "pg_isready": "postgresql",
    "pgbench": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql",
    "redis-benchmark": "redis",
    "redis-cli": "redis",
    "redis-server": "redis",
    "ldapadd": "ldap-utils",
    "ldapsearch": "ldap-utils",
    "slapadd": "slapd",
    "slapd": "slapd",
    "iperf3": "iperf3",
    "setpriv": "util-linux",
}

# Debian keeps PostgreSQL's programs beside their version, and servers where a user's PATH does not look.
_POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
_PATH = os.pathsep.join([*map(str, _POSTGRESQL[:1]), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

ENVIRONMENT = {"PATH": _PATH, "HOME": "/nonexistent", "LC_ALL": "C", "LDAPNOINIT": "1"}


def program(name: str) -> str:
    """The path of a program of `PACKAGES`. Skips the test if it is missing, or fails it on CI."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        reason = f"{name} is missing: it needs the Debian package {PACKAGES[name]}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return found


@dataclass(frozen=True, slots=True)
class Done:
    """What a program said, and how it ended."""

    status: int
    out: str
    err: str


def attempt(name: str, *arguments: object, text: str = "", within: float = 30.0) -> Done:
    """Run a program with `text` as its input until it ends. Raises subprocess.TimeoutExpired."""
    argv = mortal([program(name), *map(str, arguments)])
    done = subprocess.run(
        argv, input=text, capture_output=True, text=True, check=False, timeout=within, env=ENVIRONMENT
    )
    return Done(done.returncode, done.stdout, done.stderr)


def run(name: str, *arguments: object, text: str = "", within: float = 30.0) -> str:
    """`attempt`, which must succeed; what it wrote to its standard output."""
    done = attempt(name, *arguments, text=text, within=within)
    assert done.status == 0, f"{name} ended with {done.status}\n{done.err}\n{done.out}"
    return done.out


@contextmanager
def running(name: str, *arguments: object, out: int | IO[str] = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A program that runs meanwhile: its input and output are text by lines. It is killed if it has not ended."""
    argv = mortal([program(name), *map(str, arguments)])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, text=True, bufsize=1, env=ENVIRONMENT) as process:
        try:
            yield process
        finally:
            process.kill()
